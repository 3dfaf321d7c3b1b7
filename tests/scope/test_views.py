"""Views: in which order they apply, what they ask for first, and what happens when one fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato import ADict, Scope
from ato.exceptions import (
    ConfigTypeError,
    DuplicateScopeError,
    ScopeError,
    UnknownKeyError,
    ViewChainError,
)


def ordered(scope, argv=()):
    """Apply a scope whose views append their name, and return the names."""
    return scope.apply(argv=list(argv)).get("order", [])


def view(scope, name, **options):
    def append(config):
        config.order = [*config.get("order", []), name]

    scope.observe(name, **options)(append)


def test_defaults_then_named_then_lazy_each_by_priority():
    """Stages come first, then priority, then registration or the order of the command line."""
    scope = Scope()
    view(scope, "lazy2", lazy=True, priority=2)
    view(scope, "lazy1", lazy=True, default=True, priority=1)
    view(scope, "late", default=True, priority=5)
    view(scope, "one", default=True)
    view(scope, "two", default=True)
    view(scope, "early", priority=-1)
    view(scope, "a")
    view(scope, "b")
    view(scope, "unasked")
    assert ordered(scope, ["b", "lazy2", "a", "early", "b"]) == [
        "one", "two", "late", "early", "b", "a", "lazy1", "lazy2",
    ]  # fmt: skip


def test_prerequisites_come_first_and_once():
    """Chains are followed recursively, against priorities, and nothing applies twice."""
    scope = Scope()
    view(scope, "base", priority=9)
    view(scope, "mid", chain_with="base", priority=5)
    view(scope, "top", chain_with=["base", "mid"])
    view(scope, "defaults", default=True)
    assert ordered(scope, ["top", "mid"]) == ["defaults", "base", "mid", "top"]
    assert scope.get_assigned_views() == {"config": ["defaults", "base", "mid", "top"]}


def test_a_lazy_prerequisite_stays_lazy_and_its_own_come_early():
    """A lazy view applies after the command line, also when an early view asks for it."""
    scope = Scope()
    view(scope, "early")
    view(scope, "late", lazy=True, chain_with="early")
    view(scope, "asks", chain_with="late")
    assert ordered(scope, ["asks"]) == ["early", "asks", "late"]


def test_a_lazy_prerequisite_comes_before_what_asks_for_it():
    """Against priorities, for lazy views as for others; a block goes in by the view's priority."""
    scope = Scope()
    view(scope, "base", lazy=True, priority=9)
    view(scope, "top", lazy=True, chain_with="base")
    view(scope, "last", lazy=True, priority=2)

    @scope.observe(priority=1)
    def blocks(config):
        with Scope.lazy():
            config.order = [*config.get("order", []), "block"]

    assert ordered(scope, ["last", "top", "blocks"]) == ["base", "top", "block", "last"]


def test_a_chain_is_resolved_only_when_its_view_applies():
    """A view may name another that is not there, as long as nobody asks for it."""
    scope = Scope()
    view(scope, "broken", chain_with="missin")
    view(scope, "missing")
    assert ordered(scope) == []
    with pytest.raises(
        ViewChainError, match=r"broken → missin \(.*test_views.py:\d+\); did you mean 'missing'"
    ):
        scope.apply(argv=["broken"])


def test_a_chain_in_a_circle_is_printed():
    """The error shows the way around."""
    scope = Scope()
    view(scope, "a", chain_with="b")
    view(scope, "b", chain_with="c")
    view(scope, "c", chain_with="b")
    with pytest.raises(ViewChainError, match=r"circle: a → b → c → b \(.*test_views.py:\d+\)"):
        scope.apply(argv=["a"])


def test_a_mapping_is_a_view_that_is_merged_in():
    """`config=` merges deeply and its origin is the line that registered it."""
    scope = Scope(config={"model": {"depth": 1, "act": "relu"}})
    scope.observe("deep", config={"model": {"depth": 101}}, default=True)
    assert scope.config.model == {"depth": 101, "act": "relu"}
    origin = scope.history("model.depth")[-1].origin
    assert (origin.kind, origin.text) == ("view", "deep")
    assert origin.file.endswith("test_views.py")


def test_observe_takes_every_form_of_decorator():
    """Bare, called, and with another name; the function itself is returned."""
    scope = Scope()

    @scope.observe
    def one(config):
        config.one = 1

    @scope.observe()
    def two(config):
        one(config)

    @scope.observe("three")
    def _(config):
        config.three = 3

    assert list(scope.views) == ["one", "two", "three"]
    assert scope.apply(argv=["two", "three"]) == {"one": 1, "three": 3}


def test_what_cannot_be_a_view():
    """Wrong registrations are errors at once."""
    scope = Scope()
    view(scope, "a")
    with pytest.raises(DuplicateScopeError, match="a view named 'a' already"):
        view(scope, "a")
    with pytest.raises(ScopeError, match="means something else"):
        view(scope, "manual")
    for name in ("a b", "a=1", "-a", "--help", 3):
        with pytest.raises(ScopeError, match="is no word there"):
            view(scope, name)
    for priority in ("high", None, float("nan")):
        with pytest.raises(ScopeError, match="the priority of view 'b' is a number, not "):
            view(scope, "b", priority=priority)
    for chain in (view, [view], ["a", 3]):
        with pytest.raises(ScopeError, match="chain_with takes the names of views, not "):
            view(scope, "b", chain_with=chain)
    assert list(scope.views) == ["a"]
    with pytest.raises(ScopeError, match="needs the view's name"):
        scope.observe(config={})
    with pytest.raises(ConfigTypeError, match="takes a mapping"):
        scope.observe("x", config=3)
    with pytest.raises(ScopeError, match="view m is a mapping .* and no decorator for <function"):
        scope.observe("m", config={})(lambda config: None)
    del scope.views["m"]
    with pytest.raises(ScopeError, match="function of the config"):
        scope.observe("x")(3)
    with pytest.raises(ScopeError, match="a function that sets each key, not 3"):
        scope.manual(3)


def test_a_failing_view_leaves_the_config_as_it_was():
    """Nothing is half applied, and the error says which view it was."""
    given = ADict(lr=1, model={"depth": 1})
    scope = Scope(config=given)

    @scope.observe(default=True)
    def broken(config):
        config.lr = 2
        del config.model
        config.extra = 1
        raise RuntimeError("no")

    with pytest.raises(RuntimeError) as caught:
        scope.apply(argv=[])
    assert caught.value.__notes__ == ["while applying the view 'broken'"]
    assert given == {"lr": 1, "model": {"depth": 1}}


def test_applying_happens_once_until_something_new_is_asked():
    """Views run once; `assign` and `apply(argv=…)` begin anew from what was given at first."""
    given = ADict(count=0)
    scope = Scope(config=given)

    @scope.observe(default=True)
    def counting(config):
        config.count += 1
        config.made = config.count

    assert scope.config.count == scope.config.count == scope.apply().count == 1
    assert scope.config is given
    given.plain = 1
    scope.assign("made=5")
    assert scope.config == {"count": 1, "made": 5}
    assert scope.apply(argv=["made=6"]) == {"count": 1, "made": 5}
    scope.reset_user_inputs()
    assert scope.config == {"count": 1, "made": 1}
    assert scope.config is given


def test_a_missing_key_names_the_view_that_would_set_it():
    """Also for a nested key, and never a view that was applied."""
    scope = Scope(config={"model": {}})

    @scope.observe()
    def my_config(config):
        config.dataset = "cifar"
        config.model.depth = 3
        config["batch"] = 4

    for key in ("dataset", "batch"):
        with pytest.raises(
            UnknownKeyError, match=f"no key '{key}'; view my_config sets it and was not"
        ):
            scope.config[key]
    with pytest.raises(AttributeError, match="add my_config to the command line"):
        scope.config.model.depth
    scope.assign("my_config")
    scope.config.pop("dataset")
    with pytest.raises(UnknownKeyError) as caught:
        scope.config.dataset
    assert "my_config" not in str(caught.value)


def test_a_view_that_writes_through_a_missing_section_is_told_how():
    """The error says what to write first; an auto config needs nothing."""
    scope = Scope()

    @scope.observe(default=True)
    def nested(config):
        config.model.depth = 1

    with pytest.raises(UnknownKeyError, match=r"make it: config.model = ADict\(…\)"):
        scope.apply(argv=[])
    auto = Scope(config=ADict.auto(), name="auto")
    auto.observe("nested", default=True)(nested)
    assert auto.apply(argv=[]) == {"model": {"depth": 1}}


def test_scopes_have_names_of_their_own():
    """A second scope of one name is an error, unless it is meant to replace the first."""
    first = Scope()
    with pytest.raises(DuplicateScopeError, match="a scope named 'config' already"):
        Scope()
    second = Scope(enable_override=True)
    assert list(second.get_assigned_views()) == ["config"]
    Scope.override(first)
    Scope.initialize_registry()
    assert Scope().get_assigned_views() == {"config": []}
    with pytest.raises(ScopeError, match="named like a parameter"):
        Scope(name="my scope")


NAMES = ["a", "b", "c", "d", "e", "f"]
OPTIONS = st.fixed_dictionaries(
    {
        "priority": st.integers(-2, 2),
        "lazy": st.booleans(),
        "default": st.booleans(),
        # Only on views that come later in the alphabet, so that no chain goes in a circle.
        "chain_with": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
    }
)


@given(
    st.permutations(NAMES),
    st.lists(OPTIONS, min_size=6, max_size=6),
    st.lists(st.sampled_from(NAMES)),
)
def test_the_order_of_any_views(registered, options, named):
    """Stages, then priority, then registration or command line; chains first, and each view once."""
    Scope.initialize_registry()
    scope = Scope()
    views = dict(zip(registered, options, strict=True))
    for name, given_options in views.items():
        chain = [other for other in given_options["chain_with"] if other > name]
        given_options["chain_with"] = chain
        view(scope, name, **given_options)
    found = ordered(scope, named)
    asked = list(dict.fromkeys([n for n in registered if views[n]["default"]] + named))
    wanted = set(asked)
    while more := {c for n in wanted for c in views[n]["chain_with"]} - wanted:
        wanted |= more
    assert sorted(found) == sorted(wanted)
    assert [views[n]["lazy"] for n in found] == sorted(views[n]["lazy"] for n in found)
    for name in found:
        for before in views[name]["chain_with"]:
            if views[before]["lazy"] <= views[name]["lazy"]:
                assert found.index(before) < found.index(name)
    if not any(views[n]["chain_with"] for n in wanted):
        stages = [[n for n in asked if views[n]["lazy"] == lazy] for lazy in (False, True)]
        for stage in stages:
            stage.sort(
                key=lambda n: (
                    not views[n]["lazy"] and not views[n]["default"],
                    views[n]["priority"],
                )
            )
        assert found == stages[0] + stages[1]
