"""Watching a torch module: what is recorded of its parts, and that nothing of it stays behind."""

from __future__ import annotations

import copy
import gc
import io
import weakref

import pytest
import torch
from torch import nn

import ato
from ato.exceptions import NotAModuleError, ScheduleError
from ato.fingerprints import fingerprint
from ato.trace import runtime_trace
from recorders import recording

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.encoder(x))


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def step(model):
    model(torch.ones(4, 3)).sum().backward()


def hooks_of(model):
    """Everything on a module and its parameters that a hook may hang on."""
    found = [
        (name, dict(value))
        for part in model.modules()
        for name, value in vars(part).items()
        if "hook" in name and isinstance(value, dict)
    ]
    tensors = [
        (p._backward_hooks, p._post_accumulate_grad_hooks, vars(p)) for p in model.parameters()
    ]
    return found, tensors


def test_each_part_records_output_parameters_and_gradients() -> None:
    """A forward pass has a record a part, inner ones first; a backward pass one a gradient."""
    model = net()
    with ato.watch(model), recording() as recorder:
        step(model)
    forward = [c for c in recorder.calls if c.kind == "value" and "(backward)" not in c.trace_id]
    assert [call.trace_id for call in forward] == [
        "watch:Net.encoder.0",
        "watch:Net.encoder.1",
        "watch:Net.encoder.2",
        "watch:Net.encoder",
        "watch:Net.head",
        "watch:Net",
    ]
    assert list(forward[0].output) == ["parameter['weight']", "parameter['bias']", "output"]
    assert (
        forward[0].output["parameter['weight']"].fingerprint
        == fingerprint(net().encoder[0].weight).hex
    )
    assert "buffer['running_mean']" in forward[1].output
    assert forward[4].output["output"].shape == (4, 2)
    backward = [call for call in recorder.calls if call.trace_id.endswith(" (backward)")]
    assert {(call.trace_id, *call.output) for call in backward} == {
        (f"watch:Net.{part} (backward)", f"grad[{name!r}]")
        for part in ("encoder.0", "encoder.1", "head")
        for name in ("weight", "bias")
    }
    assert backward[0].trace_id == "watch:Net.head (backward)"


def test_unwatch_leaves_nothing_behind() -> None:
    """After `unwatch` module and parameters are as before: hooks, attributes, fingerprint."""
    model = net()
    before, print_before = hooks_of(model), fingerprint(model)
    names = [set(vars(part)) for part in model.modules()]
    ato.watch(model)
    with recording():
        step(model)
    model.zero_grad()
    assert hooks_of(model) != before
    ato.unwatch(model)
    assert hooks_of(model) == before
    assert [set(vars(part)) for part in model.modules()] == names
    with recording() as recorder:
        step(model)
    assert [call.kind for call in recorder.calls] == ["run"]
    assert fingerprint(net()) == print_before
    ato.unwatch(model)  # and once more: nothing happens


def test_a_watched_module_has_the_fingerprint_that_it_had() -> None:
    """Ato's own hooks are no part of the module."""
    model = net()
    before = fingerprint(model)
    with ato.watch(model):
        assert fingerprint(model) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_training_is_bit_identical_with_all_tracing_and_without(workers) -> None:
    """Dropout, shuffling, workers, a generator argument: the same weights, bit for bit."""

    def train(traced):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        data = torch.utils.data.TensorDataset(torch.randn(24, 4), torch.randn(24, 1))
        shuffling = torch.Generator().manual_seed(4)
        loader = torch.utils.data.DataLoader(
            data, batch_size=6, shuffle=True, generator=shuffling, num_workers=workers
        )

        def noisy(x, generator):
            return x + 0.1 * torch.randn(x.shape, generator=generator)

        def one_step(model, x, y, generator):
            loss = nn.functional.mse_loss(model(noisy(x, generator)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ato.record("loss", loss)
            return loss

        if traced:
            noisy, one_step = runtime_trace(noisy), runtime_trace(one_step)
            ato.watch(model, "net")
        noise = torch.Generator().manual_seed(5)
        for _ in range(3):
            for x, y in loader:
                one_step(model, x, y, noise)
        ato.unwatch(model)
        return torch.cat([p.detach().flatten() for p in model.parameters()]), noise.get_state()

    plain = train(traced=False)
    with recording() as recorder:
        traced = train(traced=True)
    assert all(torch.equal(*pair) for pair in zip(plain, traced, strict=True))
    assert len(recorder.of("watch:net")) == len(recorder.of("one_step")) == 12
    assert recorder.of("one_step")[0].inputs["generator"].type == "Generator"
    assert len(recorder.of("watch:net.3 (backward)")) == 24


def test_records_hang_below_the_call_in_which_they_were_made() -> None:
    """A forward pass inside a traced call is recorded as part of it."""
    model = net()
    traced = runtime_trace(step, trace_id="watched_step")
    with ato.watch(model), recording() as recorder:
        traced(model)
    (call,) = recorder.of("watched_step")
    values = [record for record in recorder.calls if record.kind == "value"]
    assert {record.parent for record in values} == {call.ident}


def test_the_schedule_is_that_of_calls_and_counts_each_part_by_itself() -> None:
    """With `every`, each N-th pass of a part is recorded, and the gradients of the same passes."""
    model = nn.Linear(3, 1)
    with ato.watch(model, "line", every=3), recording() as recorder:
        for _ in range(7):
            step(model)
    assert [call.index for call in recorder.of("watch:line")] == [0, 3, 6]
    grads = [call for call in recorder.of("watch:line (backward)") if "grad['bias']" in call.output]
    assert [call.index for call in grads] == [0, 3, 6]
    with pytest.raises(ScheduleError, match="watch\\(every=0\\)"):
        ato.watch(model, every=0)


def test_gradients_and_parameters_can_be_left_out() -> None:
    """Only outputs are recorded where only they are asked for."""
    model = net()
    with ato.watch(model, gradients=False, parameters=False), recording() as recorder:
        step(model)
    values = [call for call in recorder.calls if call.kind == "value"]
    assert len(values) == 6
    assert all(list(call.output) == ["output"] for call in values)


def test_frozen_parameters_have_no_gradient_and_later_ones_do() -> None:
    """A parameter that is thawed after a recorded pass is watched from then on."""
    model = net()
    model.head.requires_grad_(requires_grad=False)
    with ato.watch(model), recording() as recorder:
        step(model)
        assert recorder.of("head (backward)") == []
        model.head.requires_grad_(requires_grad=True)
        step(model)
        step(model)
    assert len(recorder.of("head (backward)")) == 4


def test_a_shared_part_is_recorded_each_time_under_its_first_name() -> None:
    """A layer that is used twice has two records a pass; a tied weight has one gradient."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = self.first
            self.tied = nn.Linear(3, 3)
            self.tied.weight = self.first.weight

        def forward(self, x):
            return self.tied(self.second(self.first(x)))

    model = Twice()
    with ato.watch(model), recording() as recorder:
        step(model)
    assert len(recorder.of("watch:Twice.first")) == 2
    weights = [c for c in recorder.calls if "grad['weight']" in c.output]
    assert [call.trace_id for call in weights] == ["watch:Twice.first (backward)"]


def test_outputs_of_any_shape_are_recorded_by_leaf() -> None:
    """A module may return a tuple or a dict; each tensor in it has its path."""

    class Many(nn.Module):
        def forward(self, x):
            return {"mean": x.mean(), "parts": (x, [x + 1])}

    with ato.watch(Many()), recording():
        pass
    model = Many()
    with ato.watch(model), recording() as recorder:
        model(torch.ones(2))
    (call,) = recorder.of("watch:Many")
    assert set(call.output) >= {"output['mean']", "output['parts'][0]", "output['parts'][1][0]"}


def test_weights_that_are_used_without_a_forward_pass_are_recorded_by_the_whole() -> None:
    """Attention uses the weights of a part as such; they are leaves of the whole module's record."""
    model = nn.MultiheadAttention(4, 2)
    with ato.watch(model, "attention"), recording() as recorder:
        x = torch.ones(2, 1, 4)
        model(x, x, x)
    (call,) = recorder.of("watch:attention")
    assert "parameter['out_proj.weight']" in call.output


def test_a_part_that_is_added_later_is_watched_from_the_next_pass_on() -> None:
    """After a pass the parts are looked for again."""
    model = nn.Sequential(nn.Linear(3, 3))
    with ato.watch(model, "grown"), recording() as recorder:
        model(torch.ones(1, 3))
        model.append(nn.Linear(3, 2))
        model(torch.ones(1, 3))
        model(torch.ones(1, 3))
    assert len(recorder.of("watch:grown.0")) == 3
    assert len(recorder.of("watch:grown.1")) == 1


def test_modules_of_one_class_have_names_of_their_own() -> None:
    """The second module of a class under watch is numbered; watched again, one keeps its name."""
    first, second = net(), net(1)
    with ato.watch(first) as a, ato.watch(second) as b, ato.watch(first) as c:
        assert [a.name, b.name, c.name] == ["Net", "Net#2", "Net"]
        with recording() as recorder:
            first(torch.ones(2, 3))
    assert len(recorder.of("watch:Net")) == 1


def test_a_copy_or_a_saved_module_is_not_watched() -> None:
    """Copies and saved modules work, record nothing, and lose what stood for the hook."""
    model = net()
    with ato.watch(model), recording() as recorder:
        model.eval()
        shared = copy.copy(model)
        copied = copy.deepcopy(model)
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        x = torch.ones(1, 3)
        for other in (copied, loaded):
            other(x)
            assert not any(part._forward_hooks for part in other.modules())
        assert recorder.of("watch:Net.head") == []
        shared(x)
        assert recorder.of("watch:Net") == []  # its parts are the watched ones, it is not
        assert torch.equal(copied(x), model(x))
        assert len(recorder.of("watch:Net")) == 1


def test_a_watched_module_is_freed_when_the_caller_lets_go_of_it() -> None:
    """No reference leads from the hooks to the module, so that its memory is free at once."""
    model = net()
    ato.watch(model)
    with recording():
        step(model)
    gone = weakref.ref(model), weakref.ref(model.head.weight)
    gc.disable()
    try:
        del model
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()
    with recording() as recorder:
        pass
    assert recorder.calls[-1].gaps == []


def test_a_hook_that_fails_says_so_once_and_gets_out_of_the_way(monkeypatch) -> None:
    """An error while recording is a warning and a gap; the pass goes on without the hook."""

    def broken(*_):
        raise RuntimeError("cannot look")

    model = nn.Linear(3, 1)
    with ato.watch(model, "broken"), recording() as recorder:
        monkeypatch.setattr("ato.trace.module_hooks.emit_values", broken)
        with pytest.warns(RuntimeWarning, match="stopped watching watch:broken: RuntimeError"):
            model(torch.ones(1, 3))
        model(torch.ones(1, 3))
        assert not model._forward_hooks
    assert recorder.calls[-1].gaps == ["watch:broken: RuntimeError: cannot look"]


def test_what_is_not_called_is_a_gap() -> None:
    """Parts that ran no forward pass while the run was open are listed, as is a silent module."""
    model = net()
    with ato.watch(model), recording() as recorder:
        model.encoder(torch.ones(2, 3))
    (gap,) = recorder.calls[-1].gaps
    assert gap.startswith("watch:Net: no output of watch:Net, watch:Net.head was seen")
    with ato.watch(model), recording() as recorder:
        pass
    (gap,) = recorder.calls[-1].gaps
    assert gap.startswith("watch:Net: no forward pass was seen")


# Said by torch of a Python version.
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python:RuntimeWarning")
def test_a_compiled_module_works_and_what_is_inside_is_a_gap() -> None:
    """`torch.compile` makes one graph, as without the hooks; its inside is listed as not seen."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    model = net().eval()
    x = torch.ones(2, 3)
    expected = model(x)
    compiled = torch.compile(model, backend="eager")
    with ato.watch(compiled, "net"), recording() as recorder:
        assert torch.equal(compiled(x), expected)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    (gap,) = recorder.calls[-1].gaps
    assert "torch.compile" in gap
    with ato.watch(model, "net"), recording() as recorder:
        inside = torch.compile(lambda y: model(y) + 1, backend="eager")
        assert torch.equal(inside(x), expected + 1)
        inside(x).sum().backward()
    assert counters["stats"]["unique_graphs"] == 2
    assert any("no forward pass was seen" in gap for gap in recorder.calls[-1].gaps)
    assert recorder.of("watch:net.head (backward)")
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*deprecated:FutureWarning")
def test_a_transformed_or_traced_module_works() -> None:
    """Inside `vmap` there are no numbers to read, which is a gap; `torch.jit.trace` is left alone."""
    model = nn.Linear(3, 2)
    x = torch.ones(4, 3)
    expected = model(x)
    with ato.watch(model, "line"), recording() as recorder:
        assert torch.allclose(torch.vmap(model)(x), expected)
        assert torch.equal(torch.jit.trace(model, x)(x), expected)
    (call,) = [c for c in recorder.of("watch:line") if c.gaps]
    assert "functorch" in call.gaps[0]


def test_only_a_module_can_be_watched() -> None:
    """Anything else is refused by its type, with what to do instead."""
    with pytest.raises(NotAModuleError, match="cannot watch a <list>; pass a torch.nn.Module"):
        ato.watch([1])


def test_why_names_the_first_layer_that_differs(tmp_path, monkeypatch) -> None:
    """Of two runs that part inside a model, the layer is named, and what of it differs."""
    monkeypatch.chdir(tmp_path)

    def run(scale):
        torch.manual_seed(0)
        model = net()
        with torch.no_grad():
            model.head.weight.mul_(scale)
        logger = ato.SQLLogger({"experiment": {"sql": {"db_path": "runs.db"}}})
        logger.run()
        with ato.watch(model):
            step(model)
        logger.finish()

    run(1.0)
    run(1.5)
    answer = ato.why(1, 2, db="runs.db")
    assert answer.first_divergence.trace_id == "watch:Net.head"
    assert answer.first_divergence.path == "parameter['weight']"
