"""Which function receives the config, and as which argument."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from contextlib import contextmanager
from functools import partial

import pytest

from ato import ADict, Scope
from ato.exceptions import ConfigTypeError, ScopeError
from ato.trace import runtime_trace
from recorders import recording


@pytest.fixture
def scope():
    made = Scope()

    @made.observe(default=True)
    def defaults(config):
        config.lr = 0.1

    return made


def test_the_parameter_of_the_scopes_name_receives_the_config(scope):
    """Wherever it stands; the other arguments are the caller's, by position or name."""

    @scope
    def first(config, a, b=2):
        return config.lr, a, b

    @scope
    def middle(a, config, b):
        return config.lr, a, b

    @scope
    def last(a, b=2, *, config):
        return config.lr, a, b

    @scope
    def rest(a, config, *more, **named):
        return config.lr, a, *more, named

    assert first(1) == first(a=1) == first(1, 2) == first(1, b=2) == (0.1, 1, 2)
    assert middle(1, 2) == middle(a=1, b=2) == middle(1, b=2) == (0.1, 1, 2)
    assert last(1) == last(1, 2) == (0.1, 1, 2)
    assert rest(1, 2, 3, z=4) == (0.1, 1, 2, 3, {"z": 4})


def test_an_explicit_config_wins(scope):
    """By keyword, or by position where the arguments would otherwise be one too many."""

    @scope
    def train(a, config, b=0):
        return a, config, b

    assert train(1, 2, config="mine") == (1, "mine", 2)
    assert train(1, config="mine") == (1, "mine", 0)
    other = scope.config.clone()
    assert train(1, other, 2)[1] is other
    with pytest.raises(TypeError):
        train(1, 2, 3)


def test_without_such_a_parameter_the_config_fills_the_gap(scope):
    """The config goes first where the caller's arguments do not fill the signature and with it do."""

    @scope
    def train(cfg):
        return cfg

    @scope
    def evaluate(cfg, model):
        return cfg, model

    @scope
    def forward(model, x):
        return model, x

    @scope
    def nothing():
        return 1

    @scope
    def optional(cfg=None):
        return cfg

    @scope
    def needs(cfg, *, key):
        return cfg, key

    assert train() is scope.config
    assert evaluate("m") == (scope.config, "m")
    assert forward(1, 2) == forward(1, x=2) == forward(model=1, x=2) == (1, 2)
    assert nothing() == 1
    assert optional() is None
    assert needs(key=1) == (scope.config, 1)
    with pytest.raises(TypeError, match="missing 2 required"):
        forward()
    assert train("mine") == "mine"


def test_names_documentation_and_signature_are_kept(scope):
    """The wrapper looks like the function, without the config."""

    @scope
    def train(a: int, config, b=2) -> int:
        """Train."""

    assert (train.__name__, train.__doc__) == ("train", "Train.")
    assert str(inspect.signature(train)) == "(a: 'int', b=2) -> 'int'"
    assert train.__ato_kind__ == "scope"
    assert inspect.unwrap(train).__name__ == "train"


def test_methods_coroutines_and_stacked_decorators(scope):
    """Methods have `self` first; coroutines are awaited; tracing may stand on either side."""

    class Trainer:
        @scope
        def run(self, config, x):
            return config.lr, x

        @scope
        def other(self, cfg):
            return cfg.lr

        @staticmethod
        @scope
        def static(config):
            return config.lr

    @scope
    async def later(config):
        await asyncio.sleep(0)
        return config.lr

    @scope.runtime_trace
    @scope
    def outside(config, x):
        return config.lr, x

    @scope
    @scope.runtime_trace(trace_id="inside", every=2)
    def inside(config, x):
        return config.lr, x

    @scope.trace(trace_id="t")
    @scope
    @scope.trace()
    def code(config, x):
        return config.lr, x

    @scope
    @runtime_trace
    def plain(x, config):
        return config.lr, x

    assert Trainer().run(1) == outside(1) == inside(1) == code(1) == plain(1) == (0.1, 1)
    assert Trainer().other() == Trainer.static() == asyncio.run(later()) == 0.1


def test_two_scopes_stack(scope):
    """Each decorator gives its own config and leaves the other's parameter to the other."""
    other = Scope(name="other")
    other.observe("o", config={"x": 1}, default=True)

    @other
    @scope
    def both(a, config, other):
        return a, config.lr, other.x

    assert both(5) == (5, 0.1, 1)
    assert list(inspect.signature(both).parameters) == ["a"]


def test_paused_functions_run_with_their_own_arguments(scope):
    """Inside `pause()` and between `deactivate()` and `activate()`."""

    @scope
    def train(config=None):
        return config

    with scope.pause():
        assert train() is None
        assert train("mine") == "mine"
    scope.deactivate()
    with scope.pause():
        pass
    assert train() is None
    scope.activate()
    assert train() is scope.config


def test_what_cannot_be_decorated(scope):
    """Classes, descriptors and values are refused with what to do."""
    with pytest.raises(ScopeError, match="decorate its __init__"):
        scope(int)
    with pytest.raises(ScopeError, match="below @staticmethod"):
        scope(staticmethod(len))
    with pytest.raises(ScopeError, match="options have names"):
        scope.trace("my_id")


def test_a_view_may_call_a_decorated_function(scope):
    """It sees the config as it is by then, and applying does not begin again."""

    @scope
    def helper(config):
        return config.lr * 2

    @scope.observe(default=True, priority=1)
    def doubled(config):
        config.double = helper()

    assert scope.config.double == 0.2


def test_every_place_of_the_parameter(scope):
    """Before a slash, behind a star, between defaults: the caller's arguments keep their places."""

    @scope
    def positional(a, config, b, /, c=3):
        return a, config.lr, b, c

    @scope
    def after_default(a=1, config=None, *, key="k"):
        return a, config.lr, key

    @scope
    def among_rest(*rest, config, **more):
        return rest, config.lr, more

    assert positional(1, 2) == (1, 0.1, 2, 3)
    assert positional(1, 2, 4) == positional(1, 2, c=4) == (1, 0.1, 2, 4)
    assert after_default() == (1, 0.1, "k")
    assert after_default(5, key="x") == after_default(a=5, key="x") == (5, 0.1, "x")
    assert among_rest(1, 2, z=3) == ((1, 2), 0.1, {"z": 3})
    assert among_rest(config=ADict(lr=2)) == ((), 2, {})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
        positional(1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nokey'"):
        after_default(nokey=1)


def test_catch_all_parameters_are_no_place_for_the_config(scope):
    """`*config` and `**config` are the caller's own arguments."""

    @scope
    def rest(*config):
        return config

    @scope
    def named(**config):
        return config

    assert rest(1, 2) == (1, 2)
    assert named(a=1) == {"a": 1}


def test_kinds_of_functions(scope):
    """Generators, asynchronous ones, lambdas, partials, class methods, properties, callable objects."""

    @scope
    def numbers(config, n):
        for index in range(n):
            yield config.lr * index

    @scope
    async def later(n, config):
        for _ in range(n):
            yield config.lr

    @contextmanager
    @scope
    def opened(config):
        yield config.lr

    class Model:
        @classmethod
        @scope
        def make(cls, config, x=1):
            return cls.__name__, config.lr, x

        @property
        @scope
        def lr(self, config):
            return config.lr

        @scope
        def __call__(self, x, config):
            return x, config.lr

    async def collect():
        return [value async for value in later(2)]

    def base(a, config, b):
        return a, config.lr, b

    assert list(numbers(3)) == [0.0, 0.1, 0.2]
    assert asyncio.run(collect()) == [0.1, 0.1]
    with opened() as value:
        assert value == 0.1
    assert Model.make(x=2) == Model().make(2) == ("Model", 0.1, 2)
    assert Model().lr == 0.1
    assert Model()(5) == (5, 0.1)
    assert scope(lambda config: config.lr)() == 0.1
    assert scope(partial(base, b=2))(1) == (1, 0.1, 2)
    with pytest.raises(ScopeError, match="below @classmethod"):
        scope(classmethod(base))


def test_a_function_that_looks_at_its_own_signature_sees_it_whole(scope):
    """The signature of the wrapper lacks the config; that of what it wraps does not."""

    @scope
    def train(a, *, config, b: int = 2):
        """Train."""

    assert str(inspect.signature(train)) == "(a, *, b: 'int' = 2)"
    assert list(inspect.signature(inspect.unwrap(train)).parameters) == ["a", "config", "b"]
    assert train.__qualname__.endswith("<locals>.train")
    assert train.__module__ == __name__


# ------------------------------------------------------------------ using


def test_another_config_for_a_block(scope):
    """Inside `using` functions and `scope.config` see that config; blocks nest, and end."""

    @scope
    def lr(config):
        return config.lr

    trial = scope.config.clone()
    trial.lr = 5
    with scope.using(trial) as used:
        assert used is trial is scope.config
        assert lr() == 5
        with scope.using({"lr": 7, "model": {"depth": 2}}) as inner:
            assert lr() == 7
            assert inner.model.depth == 2
            assert scope.config is inner
        assert lr() == 5
    assert lr() == 0.1
    with pytest.raises(ZeroDivisionError), scope.using(trial):
        raise ZeroDivisionError
    assert lr() == 0.1
    with pytest.raises(ConfigTypeError, match=r"scope.using\(…\) takes a mapping, not 3"):
        scope.using(3)


def test_the_used_config_keeps_its_history(scope):
    """A clone brings its history along, a plain mapping gets one, and writes inside are kept."""
    trial = scope.config.clone()
    with scope.using(trial):
        trial.lr = 5
        assert [write.value_text for write in scope.history("lr")] == ["0.1", "5"]
    with scope.using({"lr": 7}) as plain:
        (write,) = scope.history("lr")
        assert write.origin.kind == "default"
        assert write.origin.text == "the config given to scope.using"
        assert write.origin.place.startswith("tests/scope/test_injection.py:")
        plain.lr = 8
        assert scope.explain("lr").startswith("lr = 8\n  set by tests/scope/test_injection.py:")
    assert [write.value_text for write in scope.history("lr")] == ["0.1"]
    with scope.using(scope.config.clone().freeze()) as frozen:
        assert frozen.lr == 0.1


def test_threads_and_tasks_have_their_own(scope):
    """A block counts for its own thread or task; a new thread sees the scope's own config."""
    seen = {}

    @scope
    def lr(config):
        return config.lr

    barrier = threading.Barrier(4)

    def trial(number):
        with scope.using({"lr": number}):
            barrier.wait()
            seen[number] = lr()
            barrier.wait()

    threads = [threading.Thread(target=trial, args=(number,)) for number in range(4)]
    with scope.using({"lr": 99}):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outside = []
        thread = threading.Thread(target=lambda: outside.append(lr()))
        thread.start()
        thread.join()
    assert seen == {number: number for number in range(4)}
    assert outside == [0.1]

    async def task(number):
        with scope.using({"lr": number}):
            await asyncio.sleep(0.001)
            return lr()

    async def together():
        return await asyncio.gather(*map(task, range(5)))

    assert asyncio.run(together()) == [0, 1, 2, 3, 4]
    with scope.using({"lr": 3}):
        assert contextvars.copy_context().run(lr) == 3


def test_views_make_the_scopes_own_config(scope):
    """Applied inside `using`, a scope's views and what they call see the config that they make."""

    @scope
    def helper(config):
        return config.lr * 2

    @scope.observe(default=True, priority=1)
    def doubled(config):
        config.double = helper()

    with scope.using({"lr": 50}):
        assert helper() == 100
        assert scope.apply().double == 0.2
        assert helper() == 100


def test_reads_of_the_used_config(scope):
    """They count for the running call, by key, as those of the scope's own."""

    @scope.runtime_trace
    def step(config):
        return config.lr, config.model.depth

    with recording() as recorder, scope.using({"lr": 7, "model": {"depth": 2}}) as config:
        step(config)
    (call,) = recorder.of("step")
    assert [read.key for read in call.reads] == ["lr", "model.depth"]
    assert call.inputs == {}


def test_reads_in_threads(scope):
    """A new thread's reads count for the run, those of one that inherits the context for the call."""
    config = scope.config

    @scope.runtime_trace
    def step():
        context = contextvars.copy_context()
        for target in (lambda: config.lr, lambda: context.run(config.get, "none")):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    with recording() as recorder:
        step()
    assert [read.key for read in recorder.of("step")[0].reads] == ["none"]
    assert [read.key for read in recorder.calls[-1].reads] == ["lr"]
