"""torch's values: tensors by what they are, modules by their tree, loaders by what they load."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

from ato.exceptions import UnsupportedValueError
from ato.fingerprints import fingerprint, observe
from ato.fingerprints.generators import states

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Net(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.drop = nn.Dropout(p)
        self.norm = nn.BatchNorm1d(2)
        self.scale = [1.0, 2.0]

    def forward(self, x):
        return self.norm(self.drop(self.fc(x)))


def net(**options):
    torch.manual_seed(0)
    return Net(**options)


def trained(model=None):
    """A module and an optimizer after one step."""
    model = model or net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def collate(items):
    return items


CHANGES = {
    "weight": lambda m: m.fc.weight.data.add_(1),
    "dropout rate": lambda m: setattr(m.drop, "p", 0.2),
    "training flag of a part": lambda m: m.norm.eval(),
    "buffer": lambda m: m.norm.running_mean.add_(1),
    "plain attribute": lambda m: m.scale.append(3.0),
    "frozen parameter": lambda m: m.fc.requires_grad_(requires_grad=False),
    "new submodule": lambda m: m.add_module("extra", nn.ReLU()),
    "other class": lambda m: setattr(m, "drop", nn.AlphaDropout(0.1)),
    "missing bias": lambda m: setattr(m.fc, "bias", None),
    "hook": lambda m: m.fc.register_forward_hook(print),
    "pre-hook": lambda m: m.fc.register_forward_pre_hook(print),
    "own forward": lambda m: setattr(m, "forward", len),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_part_of_a_module_counts(change):
    """Whatever changes what a module computes changes its fingerprint and its leaves."""
    model = net()
    before, leaves = fingerprint(model), observe(model, "m").leaves
    assert fingerprint(copy.deepcopy(model)) == before
    change(model)
    assert fingerprint(model) != before
    assert observe(model, "m").leaves != leaves


def test_a_changed_attribute_is_named_by_its_submodule():
    """Another dropout rate changes the leaf of the dropout layer, whose text shows the rate."""
    first, second = (observe(net(p=p), "model").leaves for p in (0.1, 0.2))
    changed = [path for path in first if first[path].fingerprint != second[path].fingerprint]
    assert changed == ["model.drop"]
    assert "p=0.2" in second["model.drop"].text


def test_the_order_of_submodules_counts():
    """A sequence runs its parts in order, so equal parts in another order are another module."""
    parts = [nn.ReLU(), nn.Tanh()]
    assert fingerprint(nn.Sequential(*parts)) != fingerprint(nn.Sequential(*reversed(parts)))


def test_parameters_are_leaves_by_name():
    """Parameters and buffers are leaves under the names that a state dict gives them."""
    model = net()
    leaves = observe(model, "model").leaves
    assert {f"model.{name}" for name in model.state_dict()} <= set(leaves)
    weight = leaves["model.fc.weight"]
    assert (weight.type, weight.shape) == ("Parameter", (2, 3))
    assert weight.fingerprint == fingerprint(model.fc.weight.detach()).hex


def test_gradients_are_observed_and_are_not_the_fingerprint():
    """A gradient is a leaf at a call; two modules of equal weights are equal with and without."""
    model = net()
    before = fingerprint(model)
    model.fc(torch.ones(1, 3)).sum().backward()
    assert fingerprint(model) == before
    assert "model.fc.weight.grad" in observe(model, "model").leaves


@pytest.mark.parametrize(
    "model",
    [
        nn.LSTM(2, 3),
        nn.TransformerEncoderLayer(4, 2),
        nn.MultiheadAttention(4, 2),
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        nn.ModuleDict({"a": nn.Conv2d(1, 1, 1)}),
    ],
    ids=lambda model: type(model).__name__,
)
def test_torchs_own_modules_have_a_fingerprint(model):
    """Modules that keep odd things (weak references, functions) have a fingerprint, and no gap."""
    assert fingerprint(model) == fingerprint(copy.deepcopy(model))
    assert observe(model, "m").gaps == []


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.LBFGS])
def test_an_optimizer_counts_by_class_hyperparameters_and_state(kind):
    """A learning rate or a step changes an optimizer's fingerprint; being built again does not."""

    def make(lr=0.1):
        return kind(net().parameters(), lr=lr)

    assert fingerprint(make()) == fingerprint(make()) != fingerprint(make(lr=0.2))
    leaves = observe(make(), "opt").leaves
    assert leaves["opt.param_groups[0]['lr']"].text == "0.1"


def test_a_step_changes_the_state_of_the_optimizer():
    """The moments and step counts of an optimizer are part of it."""
    first, second = trained()[1], trained()[1]
    assert fingerprint(first) == fingerprint(second)
    second.step()
    assert fingerprint(first) != fingerprint(second)
    assert "opt.state[0]['exp_avg']" in observe(first, "opt").leaves


def test_a_scheduler_counts_by_what_it_holds():
    """A scheduler's settings, its position and its functions count; its optimizer does not."""

    def make(size=3, steps=0):
        optimizer = trained()[1]
        scheduler = StepLR(optimizer, size)
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
        return scheduler

    assert fingerprint(make()) == fingerprint(make())
    assert len({fingerprint(make()), fingerprint(make(size=4)), fingerprint(make(steps=1))}) == 3
    for scheduler in (LambdaLR(trained()[1], abs), OneCycleLR(trained()[1], 0.1, 10)):
        assert observe(scheduler, "s").gaps == []


def test_a_loader_counts_by_data_and_settings():
    """Data, batch size, order of sampling, collate function and generator count."""

    def make(value=0, **options):
        return DataLoader(TensorDataset(torch.arange(4) + value), **options)

    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    different = [
        make(),
        make(1),
        make(batch_size=2),
        make(shuffle=True),
        make(drop_last=True),
        make(collate_fn=tuple),
        make(shuffle=True, generator=seeded(1)),
        make(shuffle=True, generator=seeded(2)),
    ]
    assert len({fingerprint(loader).hex for loader in different}) == len(different)
    assert fingerprint(make()) == fingerprint(make())
    assert observe(make(shuffle=True), "loader").gaps == []


def test_dtypes_devices_and_sizes_are_values():
    """Two dtypes, devices or shapes differ, and a shape is no plain tuple."""
    things = [torch.float32, torch.float64, torch.device("cpu"), torch.device("cuda", 1)]
    things += [torch.Size([1]), torch.Size([2]), (1,), torch.strided, torch.contiguous_format]
    assert len({fingerprint(thing).hex for thing in things}) == len(things)


def test_a_generator_counts_by_its_state():
    """Seed and position of a generator count, and taking them draws nothing."""
    generator = torch.Generator().manual_seed(3)
    first = fingerprint(generator)
    assert fingerprint(torch.Generator().manual_seed(3)) == first
    drawn = torch.rand(1, generator=generator)
    assert fingerprint(generator) != first
    assert torch.equal(drawn, torch.rand(1, generator=torch.Generator().manual_seed(3)))


def test_the_default_generator_is_among_the_states():
    """A draw from torch's default generator changes its state and no other's."""
    before = states()
    assert states() == before
    torch.rand(1)
    assert {name for name, state in states().items() if state != before[name]} == {"torch"}


def test_observing_keeps_no_graph_alive():
    """A result that requires a gradient is freed with its graph after it was observed."""

    class Weighty(torch.Tensor):
        pass

    loss = (net().fc(torch.ones(1, 3)) * 2).sum()
    node = weakref.ref(loss)
    seen = observe({"loss": loss}, "output")
    assert seen.gaps == []
    del loss
    gc.collect()
    assert node() is None


def test_tensor_subclasses_count_by_class():
    """A tensor of a subclass is not the plain tensor, though its numbers are the same."""

    class Image(torch.Tensor):
        pass

    plain = torch.ones(2)
    image = plain.as_subclass(Image)
    assert fingerprint(image) != fingerprint(plain)
    (leaf,) = observe(image, "x").leaves.values()
    assert (leaf.type, leaf.shape) == ("Image", (2,))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "layout", ["coo", "csr", "csc", "bsr", "bsc", "quantised", "by channel", "nested", "jagged"]
)
def test_tensors_without_one_block_of_memory_count_by_their_parts(layout):
    """Sparse and quantised tensors have a fingerprint, which tells their numbers apart."""

    def make(value):
        dense = torch.tensor([[0.0, value], [1.0, 0.0]])
        if layout == "quantised":
            return torch.quantize_per_tensor(dense, 0.5, 1, torch.qint8)
        if layout == "by channel":
            zeros = torch.zeros(2, dtype=torch.long)
            return torch.quantize_per_channel(dense, torch.ones(2), zeros, 0, torch.qint8)
        if layout in ("nested", "jagged"):
            kind = torch.jagged if layout == "jagged" else torch.strided
            return torch.nested.nested_tensor([dense[:1], dense], layout=kind)
        if layout in ("bsr", "bsc"):
            return getattr(dense, f"to_sparse_{layout}")((2, 1))
        return getattr(dense, f"to_sparse_{layout}")()

    assert fingerprint(make(2.0)) == fingerprint(make(2.0)) != fingerprint(make(5.0))
    assert fingerprint(make(2.0)) != fingerprint(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    (leaf,) = observe(make(2.0), "x").leaves.values()
    assert leaf.shape == (None if make(2.0).is_nested else (2, 2))


def test_a_meta_tensor_is_a_gap():
    """A tensor without storage has no fingerprint; in a module it is one gap among the leaves."""
    model = nn.Linear(2, 2, device="meta")
    seen = observe(model, "m")
    assert "m" in seen.leaves
    assert [gap.partition(":")[0] for gap in seen.gaps] == ["m.weight", "m.bias"]


@pytest.mark.filterwarnings("ignore")
def test_the_order_of_entries_of_a_sparse_tensor_does_not_count():
    """Entries in another order, or in several parts, are the same tensor; the layout counts."""
    indices, values = torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 2.0])
    one = torch.sparse_coo_tensor(indices, values, (2, 2))
    other = torch.sparse_coo_tensor(indices.flip(1), values.flip(0), (2, 2))
    doubled = torch.sparse_coo_tensor(indices.repeat(1, 2), values.repeat(2) / 2, (2, 2))
    assert fingerprint(one) == fingerprint(other) == fingerprint(doubled)
    assert not doubled.is_coalesced()
    layouts = [one.to_dense(), one, one.to_sparse_csr(), one.to_sparse_csc()]
    assert len({fingerprint(tensor).hex for tensor in layouts}) == 4


@pytest.mark.filterwarnings("ignore")
def test_a_shard_counts_by_its_local_part_and_its_placement(tmp_path):
    """A `DTensor` counts by its shard, how it is placed and on which mesh."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("data",))

        def make(value=1.0, placement=None):
            whole = torch.tensor([[value, 2.0]])
            return distribute_tensor(whole, mesh, [placement or Shard(0)])

        different = [make(), make(3.0), make(placement=Shard(1)), make(placement=Replicate())]
        assert len({fingerprint(tensor).hex for tensor in different}) == 4
        assert fingerprint(make()) == fingerprint(make()) != fingerprint(torch.tensor([[1.0, 2.0]]))
        (leaf,) = observe(make(), "x").leaves.values()
        assert (leaf.type, leaf.shape) == ("DTensor", (1, 2))
        assert observe(make(), "x").gaps == []
    finally:
        dist.destroy_process_group()


def test_what_has_no_elements_to_read_is_refused_by_name():
    """Tensors inside a transform, without storage, not made yet, and bare storages are refused."""
    inside = []
    torch.vmap(lambda x: (inside.append(refused(x)), x)[1])(torch.ones(2, 3))
    torch.func.grad(lambda x: (inside.append(refused(x)), x.sum())[1])(torch.ones(2))
    assert all("functorch" in message for message in inside)
    assert "meta tensor" in refused(torch.empty(2, device="meta"))
    assert "run the module once" in refused(nn.LazyLinear(2))
    assert "<UntypedStorage>" in refused(torch.ones(2).untyped_storage())
    assert refused(nn.Linear(2, 2, device="meta")).startswith("value.bias: ")


def refused(value):
    """The message with which a value is refused."""
    with pytest.raises(UnsupportedValueError) as caught:
        fingerprint(value)
    return str(caught.value)


def test_tied_weights_are_not_two_equal_ones():
    """One tensor under two names learns as one; the parts that share it are named."""

    def make(tie):
        model = nn.ModuleDict({"embed": nn.Embedding(3, 2), "out": nn.Linear(2, 3, bias=False)})
        with torch.no_grad():
            model["embed"].weight.fill_(1.0)
            model["out"].weight.fill_(1.0)
        if tie:
            model["out"].weight = model["embed"].weight
        return model

    assert fingerprint(make(True)) == fingerprint(make(True)) != fingerprint(make(False))
    plain, tied = (observe(make(tie), "m").leaves for tie in (False, True))
    assert [path for path in plain if plain[path].fingerprint != tied[path].fingerprint] == ["m"]
    layer = nn.Linear(2, 2)
    twice = nn.Sequential(layer, layer)
    assert fingerprint(twice) != fingerprint(nn.Sequential(layer, copy.deepcopy(layer)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(6).reshape(2, 3),
        lambda: torch.arange(12).reshape(2, 6)[:, ::2] // 2,
        lambda: torch.arange(6).reshape(2, 3).t().contiguous().t(),
        lambda: torch.arange(6).flip(0).reshape(2, 3).flip(0, 1),
        lambda: np.arange(6).reshape(2, 3),
        lambda: np.asfortranarray(np.arange(6).reshape(2, 3)),
        lambda: np.arange(6, dtype=">i8").reshape(2, 3),
        lambda: np.arange(5, -1, -1).reshape(2, 3)[::-1, ::-1],
        lambda: np.broadcast_to(np.arange(6).reshape(1, 2, 3), (1, 2, 3))[0],
        lambda: nn.Parameter(torch.arange(6).reshape(2, 3), requires_grad=False),
    ],
)
def test_an_array_is_what_it_is_however_it_lies_in_memory(make):
    """Views, orders, byte orders, NumPy and torch: equal elements have one fingerprint."""
    assert fingerprint(make()) == fingerprint(np.array([[0, 1, 2], [3, 4, 5]]))
    assert fingerprint([make()]) == fingerprint([torch.arange(6).reshape(2, 3)])
