"""Runtime tracing: what is recorded of a call, and that the call is left as it was."""

from __future__ import annotations

import asyncio
import random
import threading

import numpy as np
import pytest

import ato
from ato import events
from ato.adict import ADict
from ato.events import CallRecord
from ato.trace import record, register_scope, runtime_trace, scope_call
from recorders import ListRecorder, recording


def one(recorder: ListRecorder, suffix: str) -> CallRecord:
    (call,) = recorder.of(suffix)
    return call


def test_the_result_is_the_very_object_that_the_function_returned() -> None:
    """A traced function returns its result untouched, with a run open and without."""
    result = object()
    traced = runtime_trace(lambda: result, trace_id="same")
    assert traced() is result
    with recording():
        assert traced() is result


def test_without_a_run_nothing_is_recorded_and_nothing_fails() -> None:
    """A traced function works alike where no run is open."""
    traced = runtime_trace(lambda x: x + 1, trace_id="alone")
    assert traced(1) == 2
    assert events.current_run() is None


def test_arguments_and_output_are_recorded_by_path() -> None:
    """Each argument has its parameter's name; nested values are recorded leaf by leaf."""

    def scale(x, *rest, by=2, **more):
        return {"scaled": x * by, "rest": list(rest)}

    traced = runtime_trace(scale, trace_id="scale")
    with recording() as recorder:
        traced(3.0, "a", "b", by=4, extra=None)
    call = one(recorder, "scale")
    assert set(call.inputs) == {"x", "rest[0]", "rest[1]", "by", "extra"}
    assert call.inputs["x"].text == "3.0"
    assert call.output["output['scaled']"].text == "12.0"
    assert call.outcome == "returned"


def test_a_keyword_may_have_the_name_of_a_positional_argument() -> None:
    """Both are recorded, each under a path of its own."""

    def step(x, /, **options): ...

    with recording() as recorder:
        runtime_trace(step, trace_id="step", every=1)(1, x=2, y=3)
    (call,) = recorder.of("step")
    assert {path: leaf.text for path, leaf in call.inputs.items()} == {
        "x": "1",
        "options['x']": "2",
        "y": "3",
    }


def test_equal_arguments_have_equal_fingerprints_and_others_have_not() -> None:
    """Inputs of two calls are equal exactly where the values are."""
    traced = runtime_trace(lambda x: x, trace_id="inputs")
    with recording() as recorder:
        traced(np.arange(3.0))
        traced(np.arange(3.0))
        traced(np.arange(4.0))
    prints = [call.inputs["x"].fingerprint for call in recorder.of("inputs")]
    assert prints[0] == prints[1] != prints[2]


def test_a_changed_argument_is_part_of_the_output() -> None:
    """A mutable input that the call changed is recorded with its value after the call."""

    def fill(array, other):
        array[0] = 7.0

    traced = runtime_trace(fill, trace_id="fill")
    with recording() as recorder:
        traced(np.zeros(3), np.zeros(3))
    call = one(recorder, "fill")
    assert set(call.mutated) == {"array"}
    assert call.mutated["array"].fingerprint != call.inputs["array"].fingerprint


def test_an_exception_passes_through_and_is_the_outcome() -> None:
    """The caller gets the very exception, and the record says which it was."""
    error = ValueError("no <object at 0x7f0012345678> here")

    def fail():
        raise error

    traced = runtime_trace(fail, trace_id="fail")
    with recording() as recorder, pytest.raises(ValueError) as caught:
        traced()
    assert caught.value is error
    call = one(recorder, "fail")
    assert call.outcome == "raised"
    assert call.error == "ValueError: no <object at 0x…> here"


def test_init_fn_runs_before_every_call_and_inspect_fn_only_where_recorded() -> None:
    """`init_fn` is called first each time; `inspect_fn` gives the output of recorded calls."""
    begun, seen = [], []

    def look(result):
        seen.append(result)
        return result["loss"]

    traced = runtime_trace(
        lambda x: {"loss": x, "noise": object()},
        trace_id="inspected",
        init_fn=lambda: begun.append(1),
        inspect_fn=look,
        every=2,
    )
    with recording() as recorder:
        for x in range(4):
            traced(float(x))
    assert len(begun) == 4
    assert len(seen) == 2
    assert [call.output["output"].text for call in recorder.of("inspected")] == ["0.0", "2.0"]


def test_nested_calls_know_their_parent_and_complete_first() -> None:
    """An inner call's parent is the outer one; sequences follow completion, idents opening."""
    inner = runtime_trace(lambda x: x, trace_id="inner")
    outer = runtime_trace(lambda x: inner(x) + inner(x), trace_id="outer")
    with recording() as recorder:
        outer(1)
    first, second = recorder.of("inner")
    (around,) = recorder.of("outer")
    assert first.parent == second.parent == around.ident
    assert first.sequence < second.sequence < around.sequence
    assert around.ident < first.ident < second.ident
    assert [first.index, second.index] == [0, 1]


def test_config_reads_belong_to_the_innermost_call_with_their_position() -> None:
    """A leaf that is read counts for the call that reads it; a branch passed through does not."""
    config = ADict(lr=0.1, model={"depth": 3})
    inner = runtime_trace(lambda c: c.model.depth, trace_id="reader")

    def body():
        config.lr
        inner(config)

    registration = register_scope(body)
    with recording() as recorder:
        with scope_call(registration):
            body()
    assert [read.key for read in one(recorder, "reader").reads] == ["model.depth"]
    (scope,) = [call for call in recorder.calls if call.kind == "scope"]
    assert [(read.key, read.position) for read in scope.reads] == [("lr", 0)]


def test_a_config_argument_is_no_input() -> None:
    """What is read of a config counts; the config object itself is no input."""
    traced = runtime_trace(lambda c, x: x, trace_id="configured")
    with recording() as recorder:
        traced(ADict(lr=0.1), 1)
    assert set(one(recorder, "configured").inputs) == {"x"}


def test_generators_are_recorded_before_and_after() -> None:
    """A call that draws leaves another state behind; one that does not leaves the same."""
    draws = runtime_trace(lambda: (random.random(), np.random.rand()), trace_id="draws")
    still = runtime_trace(lambda: 1, trace_id="still")
    with recording() as recorder:
        draws()
        still()
    drawn, quiet = one(recorder, "draws").random, one(recorder, "still").random
    assert drawn["random"].before != drawn["random"].after
    assert drawn["numpy.random"].before != drawn["numpy.random"].after
    assert quiet["random"].before == quiet["random"].after == drawn["random"].after


def test_tracing_draws_no_random_number() -> None:
    """The numbers that a script draws are the same with tracing and without."""

    def draw():
        return [random.random() for _ in range(3)] + list(np.random.rand(3))

    traced = runtime_trace(draw, trace_id="bits")
    random.seed(1)
    np.random.seed(1)
    plain = draw()
    random.seed(1)
    np.random.seed(1)
    with recording():
        assert traced() == plain


COUNTS = {"calls": 0}


def test_a_global_that_the_function_reads_is_an_input() -> None:
    """Mutable module state is recorded as `global:NAME`, and as output where the call changed it."""

    def count():
        COUNTS["calls"] += 1
        return 0

    traced = runtime_trace(count, trace_id="counting")
    with recording() as recorder:
        traced()
        traced()
    first, second = recorder.of("counting")
    (path,) = first.inputs
    assert path.startswith("global:COUNTS")
    assert first.inputs[path].fingerprint != second.inputs[path].fingerprint
    assert set(first.mutated) == {path}


def test_what_cannot_be_fingerprinted_is_a_gap() -> None:
    """A lock among the arguments is listed as a gap and the call is recorded all the same."""
    traced = runtime_trace(lambda x, lock: x, trace_id="gap")
    with recording() as recorder:
        traced(1, threading.Lock())
    call = one(recorder, "gap")
    assert set(call.inputs) == {"x"}
    assert any(gap.startswith("lock:") for gap in call.gaps)


def test_inputs_can_be_left_unwatched() -> None:
    """With `inputs=False` the record has no inputs and says so."""
    traced = runtime_trace(lambda x: x, trace_id="blind", inputs=False)
    with recording() as recorder:
        traced(1)
    call = one(recorder, "blind")
    assert call.inputs == {}
    assert call.gaps == ["inputs: left unwatched (inputs=False)"]


def test_skipped_calls_count_for_the_function_around_them() -> None:
    """A call that the schedule skips leaves no record; its reads and its number go to the caller."""
    config = ADict(lr=0.1)
    inner = runtime_trace(lambda: config.lr, trace_id="sparse", every=10)
    outer = runtime_trace(lambda: [inner() for _ in range(3)], trace_id="around")
    with recording() as recorder:
        outer()
    assert len(recorder.of("sparse")) == 1
    call = one(recorder, "around")
    assert call.skipped == {"sparse": 2}
    assert [read.key for read in call.reads] == ["lr"]


def test_coroutines_are_traced() -> None:
    """An async function stays one, and its awaited result is the output."""

    async def slow(x):
        await asyncio.sleep(0)
        return x * 2

    traced = runtime_trace(slow, trace_id="slow")
    with recording() as recorder:

        async def both():
            return await asyncio.gather(traced(1), traced(2))

        assert asyncio.run(both()) == [2, 4]
    assert sorted(call.output["output"].text for call in recorder.of("slow")) == ["2", "4"]


def test_a_generator_has_one_record_a_yielded_value() -> None:
    """A generator function yields, receives and returns as before, and is recorded step by step."""

    def steps():
        received = yield 1
        yield received
        return "end"

    traced = runtime_trace(steps, trace_id="steps")
    with recording() as recorder:
        running = traced()
        assert next(running) == 1
        assert running.send("sent") == "sent"
        with pytest.raises(StopIteration) as stop:
            next(running)
        assert stop.value.value == "end"
    assert [call.output["output"].text for call in recorder.of("steps")] == ["1", "'sent'"]


def test_a_generator_can_be_thrown_into_and_closed() -> None:
    """`throw` and `close` reach the generator itself."""
    log = []

    def steps():
        try:
            yield 1
        except KeyError:
            log.append("thrown")
        try:
            yield 2
        finally:
            log.append("closed")

    traced = runtime_trace(steps, trace_id="thrown")
    with recording():
        running = traced()
        next(running)
        assert running.throw(KeyError()) == 2
        running.close()
    assert log == ["thrown", "closed"]


def test_methods_are_traced_with_their_instance() -> None:
    """A traced method records the attributes of its instance as inputs."""

    class Model:
        def __init__(self):
            self.weight = 2.0

        @runtime_trace
        def forward(self, x):
            return self.weight * x

    with recording() as recorder:
        assert Model().forward(3.0) == 6.0
    call = one(recorder, "Model.forward")
    assert call.inputs["self.weight"].text == "2.0"


def test_a_thread_records_into_the_open_run() -> None:
    """A call in a new thread belongs to the process's run, under the thread's role."""
    traced = runtime_trace(lambda: 1, trace_id="threaded")
    with recording() as recorder:
        thread = threading.Thread(target=traced, name="loader-7")
        thread.start()
        thread.join()
    call = one(recorder, "threaded")
    assert call.parent == 0
    assert call.thread == "loader-"


def test_a_run_that_opens_inside_a_scope_function_takes_it_in() -> None:
    """An `@scope` function entered before the run opened encloses the run's calls, reads included."""
    config = ADict(seed=3)
    traced = runtime_trace(lambda: 1, trace_id="inside")
    recorder = ListRecorder()

    def body():
        config.seed
        run = events.open_run(recorder)
        traced()
        return run

    registration = register_scope(body)
    with scope_call(registration):
        run = body()
    events.close_run(run)
    (scope,) = [call for call in recorder.calls if call.kind == "scope"]
    assert one(recorder, "inside").parent == scope.ident
    assert scope.parent == 0
    assert [(read.key, read.position) for read in scope.reads] == [("seed", 0)]
    assert recorder.calls[-1].kind == "run"


def test_record_keeps_a_value_in_the_middle_of_a_function() -> None:
    """`ato.record` makes a record of kind `value` inside the running call."""

    def body():
        ato.record("loss", 0.5)

    traced = runtime_trace(body, trace_id="recording")
    record("loss", 1.0)  # no run: nothing happens
    with recording() as recorder:
        traced()
    (value,) = recorder.of("loss")
    assert value.kind == "value"
    assert value.output["loss"].text == "0.5"
    assert value.parent == one(recorder, "recording").ident


def test_every_must_be_at_least_one() -> None:
    """`every=0` is an error that says what is possible."""
    with pytest.raises(ValueError, match="N of 1 or more"):
        runtime_trace(lambda: 1, every=0)


def test_code_is_registered_when_a_run_opens_and_afterwards() -> None:
    """A run gets the code of functions traced before it opened and of those traced while it is."""

    def early():
        return 1

    def late():
        return 2

    runtime_trace(early, trace_id="early")
    with recording() as recorder:
        runtime_trace(late, trace_id="late")
    ids = [code.trace_id for code in recorder.codes]
    assert "early" in ids
    assert "late" in ids


def test_a_run_that_opens_inside_a_traced_function_takes_it_in() -> None:
    """A traced call entered before the run opened encloses the run's calls."""
    inner = runtime_trace(lambda: 1, trace_id="opened_inner")
    recorder = ListRecorder()

    def body():
        run = events.open_run(recorder)
        inner()
        return run

    events.close_run(runtime_trace(body, trace_id="opener")())
    (around,) = recorder.of("opener")
    assert one(recorder, "opened_inner").parent == around.ident
    assert around.parent == 0


def test_a_tracer_that_fails_says_so_once_and_gets_out_of_the_way() -> None:
    """An `inspect_fn` that raises costs the record its output, not the run its result."""

    def broken(result):
        raise RuntimeError("cannot look")

    config = ADict(lr=0.1)
    traced = runtime_trace(lambda: config.lr, trace_id="unlucky", inspect_fn=broken)
    with recording() as recorder:
        with pytest.warns(RuntimeWarning, match="Ato stopped watching unlucky: RuntimeError"):
            assert traced() == 0.1
        assert traced() == 0.1
    first, _second = recorder.of("unlucky")
    assert first.output == {}
    assert [read.key for read in first.reads] == ["lr"]
    assert recorder.calls[-1].gaps == ["unlucky: RuntimeError: cannot look"]


def test_training_is_bit_identical_with_tracing_and_without() -> None:
    """A torch training with dropout and shuffling ends with the same weights, bit for bit."""
    import torch

    def train(wrap):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.ReLU(), torch.nn.Linear(8, 1)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        data = torch.utils.data.TensorDataset(torch.randn(32, 4), torch.randn(32, 1))
        loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)

        def step(model, x, y):
            loss = torch.nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(step)
        for _ in range(3):
            for x, y in loader:
                step(model, x, y)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    plain = train(lambda step: step)
    with recording() as recorder:
        traced = train(lambda step: runtime_trace(step, trace_id="torch_step"))
    assert torch.equal(plain, traced)
    assert len(recorder.of("torch_step")) == 12
    first = recorder.of("torch_step")[0]
    assert first.random["torch"].before != first.random["torch"].after
    assert any(path.startswith("model") and "weight" in path for path in first.mutated)


TICKS = 0


def test_a_plain_global_that_functions_rebind_is_state() -> None:
    """A counter that a function declares `global` is an input, and as the call leaves it an output."""

    def tick():
        global TICKS
        TICKS += 1
        return 0

    traced = runtime_trace(tick, trace_id="ticking")
    with recording() as recorder:
        traced()
        traced()
    first, second = recorder.of("ticking")
    assert [first.inputs["global:TICKS"].text, second.inputs["global:TICKS"].text] == ["0", "1"]
    assert first.mutated["global:TICKS"].text == "1"


def test_a_run_that_opens_while_another_is_open_takes_over_until_it_ends() -> None:
    """Calls go to the newest open run, with a parent in that run, and afterwards to the other."""
    traced = runtime_trace(lambda: 1, trace_id="shared")
    first, second = ListRecorder(), ListRecorder()

    def body():
        outer = events.open_run(first)
        traced()
        inner = events.open_run(second)
        traced()
        events.close_run(inner)
        traced()
        return outer

    registration = register_scope(body)
    with scope_call(registration):
        outer = body()
    events.close_run(outer)
    assert len(first.of("shared")) == 2
    (call,) = second.of("shared")
    idents = {record.ident: record for record in second.calls}
    assert idents[call.parent].kind == "scope"
    for recorder in (first, second):
        assert all(r.parent is None or r.parent < r.ident for r in recorder.calls)
    assert events.current_run() is None


def test_runs_that_are_never_finished_do_not_mix() -> None:
    """A loop that opens run after run leaves each with calls of its own."""
    traced = runtime_trace(lambda: 1, trace_id="looped")
    recorders = [ListRecorder() for _ in range(3)]
    opened = []

    def body():
        for recorder in recorders:
            opened.append(events.open_run(recorder))
            traced()

    registration = register_scope(body)
    with scope_call(registration):
        body()
    for run in reversed(opened):
        events.close_run(run)
    assert [len(recorder.of("looped")) for recorder in recorders] == [1, 1, 1]
    assert all(
        r.parent is None or r.parent < r.ident for recorder in recorders for r in recorder.calls
    )


def test_what_a_generator_reads_after_its_last_value_counts_for_its_caller() -> None:
    """The end of a generator is no step of its own, and its reads are not lost."""
    config = ADict(bonus=1)

    def steps():
        yield 1
        config.bonus

    traced = runtime_trace(steps, trace_id="tail")
    outer = runtime_trace(lambda: list(traced()), trace_id="drain")
    with recording() as recorder:
        outer()
    assert [read.key for read in one(recorder, "drain").reads] == ["bonus"]
    assert len(recorder.of("tail")) == 1


def test_wrong_arguments_of_a_generator_are_an_error_at_the_call() -> None:
    """A traced generator function checks its arguments when it is called, as it did before."""

    def steps(x):
        yield x

    with pytest.raises(TypeError):
        runtime_trace(steps, trace_id="checked")()


def test_an_asynchronous_generator_has_one_record_a_yielded_value() -> None:
    """An async generator yields, receives and ends as before, and is recorded step by step."""
    config = ADict(first=1)

    async def steps(by):
        received = yield config.first
        await asyncio.sleep(0)
        yield received * by

    traced = runtime_trace(steps, trace_id="async_steps")

    async def drive():
        running = traced(2)
        assert await anext(running) == 1
        assert await running.asend(3) == 6
        with pytest.raises(StopAsyncIteration):
            await anext(running)

    with recording() as recorder:
        asyncio.run(drive())
    calls = recorder.of("async_steps")
    assert [call.output["output"].text for call in calls] == ["1", "6"]
    assert [[read.key for read in call.reads] for call in calls] == [["first"], []]
    assert calls[0].inputs["by"].text == "2"


def test_an_asynchronous_generator_can_be_thrown_into_and_closed() -> None:
    """`athrow`, `aclose`, an error inside and wrong arguments are as without a trace."""
    log = []

    async def steps(fail=False):
        try:
            yield 1
        except KeyError:
            log.append("thrown")
        try:
            if fail:
                raise ValueError("inside")
            yield 2
        finally:
            log.append("closed")

    traced = runtime_trace(steps, trace_id="async_thrown")

    async def drive():
        running = traced()
        await anext(running)
        assert await running.athrow(KeyError()) == 2
        await running.aclose()
        with pytest.raises(ValueError, match="inside"):
            async for _ in traced(fail=True):
                pass

    asyncio.run(drive())
    with recording() as recorder:
        asyncio.run(drive())
    assert log == ["thrown", "closed", "closed"] * 2
    assert [call.outcome for call in recorder.of("async_thrown")] == ["returned"] * 3 + ["raised"]
    with pytest.raises(TypeError):
        traced(no_such_argument=1)


def test_init_fn_of_a_generator_runs_once_before_its_first_step() -> None:
    """A generator is one call with many values: what prepares a call does not disturb it again."""
    begun = []

    def steps():
        begun.append("body")
        yield random.random()
        yield random.random()

    def seed():
        begun.append("init")
        random.seed(5)

    traced = runtime_trace(steps, trace_id="seeded_steps", init_fn=seed)
    state = random.getstate()
    with recording():
        values = list(traced())
    random.seed(5)
    assert values == [random.random(), random.random()]
    random.setstate(state)
    assert begun == ["init", "body"]

    async def stream():
        yield 1
        yield 2

    async def drain():
        return [value async for value in runtime_trace(stream, init_fn=lambda: begun.append(0))()]

    assert asyncio.run(drain()) == [1, 2]
    assert begun.count(0) == 1


def test_randomness_is_read_after_init_fn() -> None:
    """What `init_fn` seeds is the state before the call, in recorded and in skipped calls alike."""
    traced = runtime_trace(
        random.random, trace_id="seeded", init_fn=lambda: random.seed(1), every=2
    )
    state = random.getstate()
    with recording() as recorder:
        first, second, third = traced(), traced(), traced()
    random.setstate(state)
    assert first == second == third == random.Random(1).random()
    one_, other = recorder.of("seeded")
    assert one_.random["random"] == other.random["random"]


def test_a_recursive_function_records_each_level_below_the_one_around_it() -> None:
    """Every level of a recursion is a call of its own, with the level around it as parent."""

    @runtime_trace
    def power(n):
        return 1 if n == 0 else 2 * power(n - 1)

    with recording() as recorder:
        assert power(3) == 8
    calls = {call.inputs["n"].text: call for call in recorder.of("power")}
    assert [calls[n].parent for n in "210"] == [calls[n].ident for n in "321"]


def test_threads_that_call_at_once_are_kept_apart() -> None:
    """Calls of many threads have sequence numbers of their own and the reads of their own thread."""
    config = ADict({f"k{number}": number for number in range(8)})
    together = threading.Barrier(8)

    def look(number):
        together.wait()
        return config[f"k{number}"]

    traced = runtime_trace(look, trace_id="crowd")
    with recording() as recorder:
        threads = [threading.Thread(target=traced, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    calls = recorder.of("crowd")
    assert sorted(call.sequence for call in calls) == sorted({call.sequence for call in calls})
    for call in calls:
        assert [read.key for read in call.reads] == [f"k{call.inputs['number'].text}"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_call_that_goes_on_in_a_forked_child_is_the_parents_to_record() -> None:
    """A child that returns out of a traced call records nothing, and calls there work."""
    import os

    traced = runtime_trace(os.fork, trace_id="forking")
    inner = runtime_trace(lambda: 1, trace_id="forked")
    with recording() as recorder:
        child = traced()
        if child == 0:
            inner()
            os._exit(len(recorder.calls))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(recorder.of("forking")) == 1


def test_coroutines_that_interleave_keep_their_reads_and_parents_apart() -> None:
    """Two tasks in one thread each have their own running call."""
    config = ADict(a=1, b=2)
    inner = runtime_trace(lambda: 0, trace_id="task_inner")

    async def look(key):
        await asyncio.sleep(0)
        value = config[key]
        await asyncio.sleep(0)
        inner()
        return value

    traced = runtime_trace(look, trace_id="task")

    async def both():
        await asyncio.gather(traced("a"), traced("b"))

    with recording() as recorder:
        asyncio.run(both())
    calls = recorder.of("task")
    for call in calls:
        assert [read.key for read in call.reads] == [call.inputs["key"].text.strip("'")]
    assert {call.parent for call in recorder.of("task_inner")} == {call.ident for call in calls}


def test_each_function_under_one_trace_id_has_its_own_code() -> None:
    """Of two functions made by one factory, each call is recorded with its function's code."""

    def make(factor):
        @runtime_trace
        def step(x):
            return x * factor

        return step

    double, triple = make(2), make(3)
    with recording() as recorder:
        double(1)
        triple(1)
    first, second = recorder.of("step")
    assert first.code is not None
    assert second.code is not None
    assert first.code != second.code


def test_a_function_that_is_passed_in_is_not_kept_alive() -> None:
    """What a passed closure holds is freed when the caller lets go of it."""
    import gc
    import weakref

    class Big:
        pass

    traced = runtime_trace(lambda f: f(), trace_id="passing")
    with recording():
        big = Big()
        gone = weakref.ref(big)
        traced(lambda big=big: id(big))
        traced(lambda: id(big))
        big = None
        gc.collect()
        assert gone() is None


def test_a_traced_function_that_raises_tells_who_waits_for_its_end() -> None:
    """Callbacks for the end of a traced call get the exception."""
    ends = []

    def body():
        events.current_frame().on_exit.append(ends.append)
        raise KeyError("x")

    with recording(), pytest.raises(KeyError):
        runtime_trace(body, trace_id="ending")()
    assert [type(end) for end in ends] == [KeyError]


def test_every_kind_of_method_and_callable_is_traced() -> None:
    """Static and class methods in either order of decorators, instances, partials, C functions."""
    import functools

    class Kinds:
        @runtime_trace
        @staticmethod
        def outside(x):
            return x

        @staticmethod
        @runtime_trace
        def inside(x):
            return x

        @runtime_trace
        @classmethod
        def of_class(cls, x):
            return cls, x

        @runtime_trace
        def __call__(self, x):
            return x

        @property
        @runtime_trace
        def value(self):
            return 4

    with recording() as recorder:
        assert Kinds.outside(1) == Kinds().outside(1) == Kinds.inside(1) == 1
        assert Kinds.of_class(2) == (Kinds, 2)
        assert Kinds()(3) == 3
        assert Kinds().value == 4
        assert runtime_trace(functools.partial(pow, 2), trace_id="a partial")(3) == 8
        assert runtime_trace(dict, trace_id="a class")(a=1) == {"a": 1}
        assert runtime_trace(max, trace_id="no signature")(1, 2) == 2
    assert len(recorder.of("outside")) == 2
    for name, inputs in {
        "inside": ["x"],
        "of_class": ["x"],
        "value": ["self"],
        "a partial": ["exp"],
        "a class": ["a"],
        "no signature": ["args[0]", "args[1]"],
    }.items():
        assert list(one(recorder, name).inputs) == inputs


def test_code_that_holds_a_config_is_looked_at_without_a_read() -> None:
    """A config in a closure or a default of what a run knows is not read by the run's opening."""
    held = ADict(lr=0.1, optim=ADict(decay=1))

    def hold(given=held):
        return held.lr + given.lr

    traced = runtime_trace(hold, trace_id="holds")
    recorder = ListRecorder()
    with scope_call(register_scope(lambda: None)):
        run = events.open_run(recorder)
        traced()
        ato.fingerprint_code(hold)
        events.close_run(run)
    assert [read.key for read in one(recorder, "holds").reads] == ["lr"]
    (scope,) = [call for call in recorder.calls if call.kind == "scope"]
    assert [read.key for read in scope.reads] == []
