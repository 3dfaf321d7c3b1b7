"""Which function receives the config, and as which argument."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from ato import Scope
from ato.exceptions import ScopeError
from ato.trace import runtime_trace


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
