"""`with Scope.lazy():` inside a view."""

from __future__ import annotations

import pytest

from ato import Scope
from ato.exceptions import ScopeError

FACTOR = 10


def test_the_block_runs_after_the_command_line_and_the_rest_before():
    """Conditions, reads and writes inside see what the command line set; those outside do not."""
    scope = Scope()
    seen = []

    @scope.observe(default=True)
    def view(config):
        config.model = "resnet50"
        config.layers = 50
        with Scope.lazy():
            seen.append("inside")
            if config.model == "resnet101":
                config.layers = 101
        seen.append("outside")
        config.before = config.model

    config = scope.apply(argv=["model=resnet101"])
    assert config == {"model": "resnet101", "layers": 101, "before": "resnet50"}
    assert seen == ["outside", "inside"]


def test_a_block_keeps_the_locals_it_met():
    """Loop variables, closures, globals and arguments are those of the moment; files and lines too."""
    scope = Scope()
    outer = 7

    @scope.observe(default=True)
    def view(config, scale=3):
        """Documented."""
        config.base = 1
        for name in ("a", "b"):
            with scope.lazy(with_compile=True):
                config[name] = f"{name}{config.base}{outer}{FACTOR}{scale}"
        name = "other"

    config = scope.apply(argv=["base=2"])
    assert (config.a, config.b) == ("a27103", "b27103")
    origin = scope.history("a")[-1].origin
    assert (origin.kind, origin.text) == ("lazy", "view")
    assert origin.line == view.__code__.co_firstlineno + 6
    assert scope.history("a")[-1].derived_from == ("base",)


def test_blocks_follow_each_other_and_share_what_they_bind():
    """A later block reads what an earlier one computed; conditions outside are decided before."""
    scope = Scope()

    @scope.observe(default=True)
    def view(config):
        config.n = 1
        if config.n == 1:
            with Scope.lazy():
                double = config.n * 2
                values = [double for _ in range(2)]
        with Scope.lazy():
            config.result = (double, values)

    assert scope.apply(argv=["n=4"]).result == (8, [8, 8])


def test_blocks_and_lazy_views_go_by_priority():
    """A block has the priority of its view."""
    scope = Scope()

    @scope.observe(default=True, priority=5)
    def blocks(config):
        with Scope.lazy():
            config.order = [*config.get("order", []), "block"]

    @scope.observe(lazy=True, default=True, priority=1)
    def early(config):
        config.order = [*config.get("order", []), "early"]

    @scope.observe(lazy=True, default=True, priority=9)
    def late(config):
        config.order = [*config.get("order", []), "late"]

    assert scope.apply(argv=[]).order == ["early", "block", "late"]


def test_a_block_in_a_lazy_view_just_runs():
    """Where the command line is past, there is nothing to wait for."""
    scope = Scope()
    seen = []

    def helper():
        with Scope.lazy(with_compile=True):
            seen.append("helper")

    @scope.observe(lazy=True, default=True)
    def view(config):
        with Scope.lazy():
            seen.append(config.n)
        seen.append("after")
        helper()

    scope.apply(argv=["n=1"])
    assert seen == [1, "after", "helper"]
    with pytest.raises(ScopeError, match="works in the body of a view"):
        helper()


def test_other_context_managers_stay():
    """A block that shares its `with` keeps the other managers; other blocks are left alone."""
    scope = Scope()
    seen = []

    class Manager:
        def __enter__(self):
            seen.append("in")

        def __exit__(self, *error):
            seen.append("out")

    @scope.observe(default=True)
    def view(config):
        with Manager(), Scope.lazy():
            seen.append("lazy")
        with Manager():
            seen.append("now")

    scope.apply(argv=[])
    assert seen == ["in", "now", "out", "in", "lazy", "out"]


def test_where_a_block_cannot_work_it_says_so():
    """Outside of a view's body, and where the block leaves a loop."""
    with pytest.raises(ScopeError, match="works in the body of a view"), Scope.lazy():
        pass
    scope = Scope()
    with pytest.raises(
        ScopeError, match=r"test_lazy.py:\d+: this lazy block cannot run later: 'break'"
    ):

        @scope.observe()
        def view(config):
            for _ in range(3):
                with Scope.lazy():
                    break


def test_a_failing_block_rolls_back():
    """An error inside a block leaves the config as it was and names the view."""
    scope = Scope(config={"a": 1})

    @scope.observe(default=True)
    def view(config):
        config.a = 2
        with Scope.lazy():
            raise RuntimeError("no")

    with pytest.raises(RuntimeError) as caught:
        scope.apply(argv=[])
    assert caught.value.__notes__ == ["while applying the view 'view'"]
    assert dict.__getitem__(scope._applier.config, "a") == 1
