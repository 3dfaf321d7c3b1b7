"""How torch's values are taken apart. Loaded when one is met: torch is in the process by then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ato.exceptions import UnsupportedValueError
from ato.fingerprints.arrays import digest_array
from ato.fingerprints.values import Description, Reduced, instance_state, type_name

_PLAIN = frozenset({type(None), bool, int, float, complex, str})

# What `nn.Module` itself keeps. Parameters, buffers, submodules and hooks are taken from these by
# hand; the rest (how a state dict is written and read) does not change what a forward pass computes.
_MODULE_INTERNALS = frozenset(
    {
        "_backward_hooks",
        "_backward_pre_hooks",
        "_buffers",
        "_compiled_call_impl",
        "_forward_hooks",
        "_forward_hooks_always_called",
        "_forward_hooks_with_kwargs",
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
        "_is_full_backward_hook",
        "_load_state_dict_post_hooks",
        "_load_state_dict_pre_hooks",
        "_modules",
        "_non_persistent_buffers_set",
        "_parameters",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
    }
)
# Recurrent layers keep their parameters a second time, with weak references and names.
_RECURRENT_INTERNALS = frozenset(
    {"_all_weights", "_flat_weight_refs", "_flat_weights", "_flat_weights_names"}
)
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

# A scheduler replaces `step` of its optimizer by a counting one; `defaults` serve groups to come.
_OPTIMIZER_INTERNALS = frozenset(
    {"_params", "_numel_cache", "defaults", "found_inf", "grad_scale", "param_groups", "state"}
    | {"step", "_opt_called", "_warned_capturable_if_run_uncaptured", "_zero_grad_profile_name"}
)
# Loading, not what is loaded: the running iterator, and how worker processes are started.
_LOADER_INTERNALS = frozenset(
    {"_DataLoader__initialized", "_DataLoader__multiprocessing_context", "_iterator"}
    | {"_IterableDataset_len_called"}
)


def tensor(obj: torch.Tensor) -> Reduced:
    """A tensor by its digest; a parameter is the tensor that it is.

    Sparse, quantised and nested tensors, shards and wrappers of other tensors go by their parts.
    """
    if torch.nn.parameter.is_lazy(obj):
        raise UnsupportedValueError(
            f"cannot fingerprint a <{type(obj).__qualname__}>, which has no elements yet; run the "
            "module once, so that it makes them"
        )
    obj = obj.detach()
    if obj.is_nested:
        return "nested tensor", (str(obj.dtype), str(obj.layout), obj.dim(), list(obj.unbind()))
    if hasattr(obj, "__tensor_flatten__"):
        return "tensor wrapper", _wrapped_parts(obj)
    if obj.is_quantized:
        return "quantised tensor", _quantised_parts(obj)
    if obj.layout is not torch.strided:
        return "sparse tensor", (str(obj.layout), tuple(obj.shape), _sparse_parts(obj))
    if type(obj) is torch.Tensor:
        return "array", digest_array(obj).hex
    return "array subclass", (type_name(type(obj)), digest_array(obj).hex, instance_state(obj))


def _quantised_parts(obj: torch.Tensor) -> tuple[Any, ...]:
    if obj.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        scales: tuple[Any, ...] = (obj.q_scale(), obj.q_zero_point())
    else:
        scales = (obj.q_per_channel_scales(), obj.q_per_channel_zero_points())
        scales = (*scales, obj.q_per_channel_axis())
    return str(obj.dtype), str(obj.qscheme()), obj.int_repr(), *scales


def _wrapped_parts(obj: Any) -> tuple[Any, ...]:
    """The tensors inside one that has no memory of its own; of a `DTensor` its local shard."""
    header = (type_name(type(obj)), str(obj.dtype), tuple(obj.shape))
    if hasattr(obj, "device_mesh"):
        mesh = obj.device_mesh
        place = (mesh.device_type, mesh.mesh, mesh.mesh_dim_names, mesh.get_coordinate())
        # Placements print as they are made: `Shard(dim=0)`.
        return (*header, place, list(map(str, obj.placements)), obj._local_tensor)
    names, context = obj.__tensor_flatten__()
    return (*header, context, {name: getattr(obj, name) for name in names})


def _sparse_parts(obj: torch.Tensor) -> tuple[torch.Tensor, ...]:
    if obj.layout is torch.sparse_coo:
        obj = obj.coalesce()  # the order of entries, and entries in several parts, are no matter
        return obj.indices(), obj.values()
    if obj.layout in (torch.sparse_csr, torch.sparse_bsr):
        return obj.crow_indices(), obj.col_indices(), obj.values()
    if obj.layout in (torch.sparse_csc, torch.sparse_bsc):
        return obj.ccol_indices(), obj.row_indices(), obj.values()
    raise UnsupportedValueError(
        f"cannot fingerprint a tensor of layout {obj.layout}; pass its parts or x.to_dense()"
    )


def named(obj: object) -> Reduced:
    """A dtype, layout, memory format or device, by its name."""
    return f"torch {type(obj).__name__}", str(obj)


def size(obj: torch.Size) -> Reduced:
    """A shape."""
    return "torch Size", tuple(tuple.__iter__(obj))


def generator(obj: torch.Generator) -> Reduced:
    """A generator by its state, which is read and not drawn from."""
    return "torch generator", (str(obj.device), digest_array(obj.get_state()).hex)


def module(obj: torch.nn.Module) -> Description:
    """A module: its class and plain attributes, parameters, buffers, submodules, hooks by code.

    The gradients of parameters are passing state: two modules with equal weights are equal.
    """
    state = vars(obj)
    internals = _MODULE_INTERNALS
    if isinstance(obj, torch.nn.RNNBase):
        internals |= _RECURRENT_INTERNALS
    attributes = {name: value for name, value in state.items() if name not in internals}
    plain = {name: value for name, value in attributes.items() if type(value) in _PLAIN}
    parameters = {name: value for name, value in state["_parameters"].items() if value is not None}
    header = {
        "class": type_name(type(obj)),
        "plain": plain,
        "parameters": {
            name: None if value is None else value.requires_grad
            for name, value in state["_parameters"].items()
        },
        "buffers": {
            name: name not in state["_non_persistent_buffers_set"] for name in state["_buffers"]
        },
        # Containers run their children in this order.
        "modules": list(state["_modules"]),
        "hooks": list(_hooks(state)),
    }
    tied = _tied(obj)
    if tied:
        header["tied"] = tied
    parts = {name: value for name, value in attributes.items() if name not in plain}
    parts.update(parameters)
    parts.update(state["_buffers"])
    parts.update(state["_modules"])
    gradients = {
        f"{name}.grad": value.grad
        for name, value in parameters.items()
        if value.is_leaf and value.grad is not None
    }
    shown = ", ".join(f"{name}={value!r}" for name, value in sorted(plain.items()))
    return Description("torch module", header, parts, gradients, f"{type(obj).__name__}({shown})")


def _tied(obj: torch.nn.Module) -> list[list[str]]:
    """The parameters and buffers that are one tensor under several names: they learn together."""
    names: dict[int, list[str]] = {}
    stack = [("", obj)]
    while stack:
        path, part = stack.pop()
        if isinstance(part, torch.jit.ScriptModule):
            continue  # it has no fingerprint, and says so itself
        state = vars(part)
        for kind in ("_parameters", "_buffers"):
            for name, tensor in state[kind].items():
                if tensor is not None:
                    names.setdefault(id(tensor), []).append(path + name)
        stack += [(f"{path}{name}.", m) for name, m in state["_modules"].items() if m is not None]
    return sorted(sorted(group) for group in names.values() if len(group) > 1)


def _hooks(state: dict[str, Any]) -> Iterator[tuple[str, object, bool]]:
    """The hooks that change what a pass computes; those of Ato only watch."""
    for kind in _HOOKS:
        with_kwargs = state.get(f"{kind}_with_kwargs", {})
        for number, hook in state.get(kind, {}).items():
            if not str(getattr(hook, "__module__", "")).startswith("ato."):
                yield kind, hook, number in with_kwargs


def wrapped_module(obj: Any) -> Description:
    """A module in a wrapper for parallel training or compilation: the wrapper and the module."""
    inner = getattr(obj, "_orig_mod", None)
    parts = {"module": obj.module if inner is None else inner}
    return Description("torch wrapper", type_name(type(obj)), parts, {})


def optimizer(obj: torch.optim.Optimizer) -> Description:
    """An optimizer: every group's hyperparameters, the state by parameter, what a subclass adds.

    Parameters count by their number: their values are the module's.
    """
    parameters = [value for group in obj.param_groups for value in group["params"]]
    index = {id(value): number for number, value in enumerate(parameters)}
    groups = [
        {**{name: value for name, value in group.items() if name != "params"}, "params": count}
        for group, count in ((group, len(group["params"])) for group in obj.param_groups)
    ]
    state = {index.get(id(key), key): value for key, value in obj.state.items()}
    parts = {
        name: value
        for name, value in vars(obj).items()
        if name not in _OPTIMIZER_INTERNALS and not name.startswith("_optimizer_")
    }
    parts["param_groups"] = groups
    parts["state"] = state
    return Description("torch optimizer", type_name(type(obj)), parts, {})


def scheduler(obj: Any) -> Description:
    """A learning-rate scheduler: what it holds but for its optimizer."""
    parts = {name: value for name, value in vars(obj).items() if name != "optimizer"}
    return Description("torch scheduler", type_name(type(obj)), parts, {})


def data_loader(obj: Any) -> Description:
    """A loader: dataset, sampler, batch size, flags, collate function and generator."""
    state = {name: value for name, value in vars(obj).items() if name not in _LOADER_INTERNALS}
    plain = {name: value for name, value in state.items() if type(value) in _PLAIN}
    parts = {name: value for name, value in state.items() if name not in plain}
    shown = f"{type(obj).__name__}(batch_size={state.get('batch_size')!r})"
    return Description("torch data loader", (type_name(type(obj)), plain), parts, {}, shown)


def sampler(obj: Any) -> Description:
    """One of torch's samplers, which use of their data only its length."""
    parts = dict(instance_state(obj))
    for name in ("data_source", "dataset"):
        if name in parts:
            parts[name] = len(parts[name])
    return Description("torch sampler", type_name(type(obj)), parts, {})
