from __future__ import annotations

import math
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato import ADict
from ato.exceptions import CommandLineError, SpaceError
from ato.hyperopt.base import GridSpaceMixIn
from ato.hyperopt.sampling import GridSampler, sampler_for
from ato.hyperopt.spaces import parse_spaces


def floats(low, high, count=None, **more):
    return {"param_type": "FLOAT", "param_range": (low, high), "num_samples": count, **more}


def integers(low, high, count=None, **more):
    return {"param_type": "INTEGER", "param_range": (low, high), "num_samples": count, **more}


def categories(*values):
    return {"param_type": "CATEGORY", "categories": list(values)}


def points(**space):
    return parse_spaces({"x": space}).columns()[0]


def grid(spaces, config=None):
    return GridSpaceMixIn.prepare_distributions(config or ADict(), spaces)


def test_a_grid_is_every_combination_in_order():
    """The last parameter changes fastest, the common config is in every point."""
    found = grid({"a": categories("x", "y"), "b": integers(1, 3)}, ADict(c=7))
    assert [(point.a, point.b, point.c) for point in found] == [
        ("x", 1, 7), ("x", 2, 7), ("x", 3, 7), ("y", 1, 7), ("y", 2, 7), ("y", 3, 7),
    ]  # fmt: skip


def test_dotted_keys_are_nested():
    """`optim.lr` is the key `lr` of the section `optim`, which is made where it is missing."""
    (point,) = grid({"optim.sgd.lr": floats(0.1, 0.1, 1)}, ADict(optim={"name": "sgd"}))
    assert point == {"optim": {"name": "sgd", "sgd": {"lr": 0.1}}}
    assert isinstance(point.optim.sgd, ADict)


def test_a_logarithmic_grid_hits_the_powers_of_its_base():
    """Powers of 10 and of 2 are grid points, to the last bit, where they are equally spaced."""
    assert points(**floats(1e-4, 1e-1, 4, space_type="LOG")) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert points(**floats(1, 1024, 11, space_type="LOG", base=2)) == [2.0**n for n in range(11)]


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(1, 40),
    st.sampled_from(["LINEAR", "LOG"]),
    st.sampled_from([2, 10, 0.5, math.e]),
    st.integers(0, 2**32),
)
def test_floats_stay_inside_the_range(a, b, count, form, base, seed):
    """Points and draws are float64 inside the range, both ends are points, and they rise."""
    low, high = min(a, b), max(a, b)
    if form == "LOG":
        low, high = (abs(low) or 1.0), (abs(high) or 1.0)
        low, high = min(low, high), max(low, high)
    space = parse_spaces({"x": floats(low, high, count, space_type=form, base=base)})
    (found,) = space.columns()
    assert all(type(x) is float and low <= x <= high for x in found)
    assert found == sorted(set(found))
    assert found[0] == low
    assert count == 1 or found[-1] == high
    drawn = space.draw(random.Random(seed), None)["x"]
    assert type(drawn) is float
    assert low <= drawn <= high


@given(
    st.integers(-(10**18), 10**18),
    st.integers(0, 10**18),
    st.integers(1, 40),
    st.sampled_from(["LINEAR", "LOG"]),
    st.integers(0, 2**32),
)
def test_integers_are_unique_and_inside_the_range(low, width, count, form, seed):
    """Points and draws are ints inside the range, no point twice, both ends included."""
    low = abs(low) or 1 if form == "LOG" else low
    high = low + width
    space = parse_spaces({"x": integers(low, high, count, space_type=form)})
    found = list(space.columns()[0])
    assert all(type(x) is int and low <= x <= high for x in found)
    assert found == sorted(set(found))
    assert len(found) <= count
    if form == "LINEAR":
        assert found[0] == low
        assert count == 1 or found[-1] == high
        assert len(found) == min(count, width + 1)
    assert low <= space.draw(random.Random(seed), None)["x"] <= high


def test_integers_are_rounded():
    """Four points of 1 to 10 are 1, 4, 7, 10; without a number every integer is one."""
    assert list(points(**integers(1, 10, 4))) == [1, 4, 7, 10]
    assert list(points(**integers(1, 4))) == [1, 2, 3, 4]
    assert list(points(**integers(1, 3, 50))) == [1, 2, 3]
    assert list(points(**integers(1, 100, 3, space_type="LOG"))) == [1, 10, 100]


WRONG = [
    ({}, "search_spaces is empty"),
    ([1], "search_spaces is a mapping"),
    ({3: integers(1, 2)}, "dotted text"),
    ({"a..b": integers(1, 2)}, "dotted text"),
    ({"__metric__": integers(1, 2)}, "'__metric__'"),
    ({"lr": 3}, r"\['lr'\] is a mapping"),
    ({"lr": {}}, r"\['lr'\]: param_type is missing"),
    ({"lr": {"param_type": "DOUBLE"}}, r"\['lr'\]: param_type is 'DOUBLE'"),
    ({"lr": {"param_type": "FLOAT"}}, r"\['lr'\]: param_range is missing"),
    ({"lr": floats(2, 1, 3)}, r"\['lr'\]: param_range ends below"),
    ({"lr": floats("a", 1, 3)}, r"\['lr'\]: param_range holds 'a'"),
    ({"lr": floats(0, math.inf, 3)}, r"\['lr'\]: param_range holds inf"),
    ({"lr": {"param_type": "FLOAT", "param_range": (1, 2, 3)}}, r"\['lr'\]: param_range is \(1"),
    ({"lr": floats(0, 1, 3, space_type="LOG")}, r"\['lr'\]: param_range begins at 0"),
    ({"lr": floats(0, 1, 0)}, r"\['lr'\]: num_samples"),
    ({"lr": floats(0, 1, 2.5)}, r"\['lr'\]: num_samples"),
    ({"lr": floats(0, 1, 3, space_type="LOGG")}, r"\['lr'\]: space_type is 'LOGG'"),
    ({"lr": floats(1, 2, 3, base=1)}, r"\['lr'\]: base"),
    ({"n": integers(0.5, 2)}, r"\['n'\]: param_range of integers"),
    ({"lr": floats(1, 2, 3, num_sample=3)}, r"\['lr'\]: num_sample .* did you mean 'num_samples'"),
    ({"c": {"param_type": "CATEGORY"}}, r"\['c'\]: categories is missing"),
    ({"c": {"param_type": "CATEGORY", "categories": []}}, r"\['c'\]: categories is empty"),
    ({"c": {"param_type": "CATEGORY", "categories": "sgd"}}, r"\['c'\]: categories is 'sgd'"),
    ({"a": integers(1, 2), "a.b": integers(1, 2)}, "'a' is a value"),
]


@pytest.mark.parametrize(("spaces", "message"), WRONG)
def test_a_wrong_space_is_an_error_that_names_parameter_and_field(spaces, message):
    """Every mistake in a space is a SpaceError with the parameter and the field."""
    with pytest.raises(SpaceError, match=message):
        parse_spaces(spaces)


def test_a_grid_of_floats_needs_its_number_of_points():
    """A range of floats without num_samples can be drawn from, and is no grid."""
    with pytest.raises(SpaceError, match=r"\['lr'\]: a grid needs num_samples"):
        grid({"lr": {"param_type": "FLOAT", "param_range": (0, 1)}})


def test_nothing_can_be_searched_below_a_value():
    """A dotted key below a number of the config is an error that names both."""
    with pytest.raises(SpaceError, match=r"\['lr.x'\]: 'lr' holds 0.5"):
        grid({"lr.x": integers(1, 2)}, ADict(lr=0.5))


def test_conditions_see_what_was_chosen_before():
    """A callable receives the partial config; where it returns None its key is not searched."""
    spaces = {
        "optim.name": categories("sgd", "adam"),
        "optim.momentum": lambda config: floats(0, 0.9, 2) if config.optim.name == "sgd" else None,
    }
    base = ADict(optim={"momentum": -1.0})
    found = [(p.optim.name, p.optim.momentum) for p in grid(spaces, base)]
    assert found == [("sgd", 0.0), ("sgd", 0.9), ("adam", -1.0)]
    sampler = sampler_for("random", parse_spaces(spaces), base, seed=0)
    for trial in range(20):
        values = sampler.ask(trial)
        assert ("optim.momentum" in values) is (values["optim.name"] == "sgd")


BIG = {"a": integers(1, 100), "b": integers(1, 100), "c": integers(1, 100)}


def memory(spaces):
    """Bytes that a grid takes at most while its first points are asked for."""
    grid(spaces)
    tracemalloc.start()
    try:
        found = grid(spaces)
        assert len(found[:10]) == 10
        assert sum(1 for _ in zip(range(100), found, strict=False)) == 100
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_million_points_take_no_more_memory_than_a_thousand():
    """The points of a large grid are made when they are asked for."""
    small = {key: integers(1, 10) for key in "abc"}
    assert len(grid(BIG)) == 10**6
    assert memory(BIG) < memory(small)


def test_a_large_grid_is_shuffled_without_making_its_points():
    """`random.shuffle` puts every point somewhere, in a few bytes a point."""
    found = grid({key: integers(1, 40) for key in "abc"})
    tracemalloc.start()
    try:
        random.Random(0).shuffle(found)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(found)
    finally:
        tracemalloc.stop()
    numbers = {(p.a, p.b, p.c) for p in found[:1000]}
    assert len(numbers) == 1000
    assert len({a for a, _, _ in numbers}) == 40


@pytest.mark.parametrize("size", [4, 11], ids=["small", "lazy"])
def test_the_grid_is_a_mutable_sequence(size):
    """Indexing, slicing, assignment, deletion, insertion and sorting work, lazy or not."""
    spaces = {key: integers(1, size) for key in "abc"}
    found = grid(spaces)
    count = size**3
    assert len(found) == count
    assert found[-1].to_dict() == {"a": size, "b": size, "c": size}
    found[0].note = "mine"
    assert found[0].note == "mine"
    first, last = found[0], found[-1]
    found[0], found[-1] = found[-1], found[0]
    assert found[0] is last
    assert found[-1] is first
    own = ADict(a=0, b=0, c=0)
    found.append(own)
    assert found[-1] is own
    assert found.index(own) == count
    found.insert(0, own)
    assert found[0] is own
    del found[0]
    assert found.pop() is own
    found.reverse()
    assert found[0] is first
    assert own not in found
    found[1:3] = [own]
    assert len(found) == count - 1
    with pytest.raises(IndexError):
        found[count]


def test_what_a_loop_notes_on_the_points_of_a_lazy_grid_stays():
    """`for config in grid: config.__metric__ = …` and then `max(grid, key=…)` work on any grid."""
    found = grid({key: integers(1, 11) for key in "abc"})
    for config in found:
        if config.a == 3:
            config.__metric__ = config.b * config.c
    best = max(found, key=lambda config: config.get("__metric__", 0))
    assert (best.a, best.b, best.c, best.__metric__) == (3, 11, 11, 121)


def test_notes_enter_no_fingerprint():
    """A point has the same hashes, leaves and text with and without what a search notes on it."""
    plain = grid({"a": integers(1, 2)}, ADict(b={"c": 1}))[0]
    noted = grid({"a": integers(1, 2)}, ADict(b={"c": 1}))[0]
    noted.__metric__ = 0.5
    noted["__num_halved__"] = 3
    noted.update(__budget__=9, __trial__=1, __checkpoint__="x")
    assert noted.__metric__ == 0.5
    assert "__budget__" in noted
    assert noted.get("__trial__") == 1
    assert noted.clone().__num_halved__ == 3
    assert noted.get_structural_hash() == plain.get_structural_hash()
    assert noted.get_value_hash() == plain.get_value_hash()
    assert noted.to_dict() == plain.to_dict() == {"a": 1, "b": {"c": 1}}
    assert noted == plain
    del noted.__metric__
    assert noted.get("__metric__") is None


def test_a_searched_key_is_the_search_s_to_give(scope):
    """A value from the command line for a searched key is an error that shows the token."""
    config = scope.apply(["lr=0.1", "optim.name=adam"])
    with pytest.raises(CommandLineError, match=r"lr=0.1.*'lr' is searched"):
        grid({"lr": floats(0, 1, 2)}, config)
    with pytest.raises(CommandLineError, match=r"'optim' is searched"):
        grid({"optim": categories(1, 2)}, config)
    assert len(grid({"depth": integers(1, 2)}, config)) == 2


def test_random_draws_leave_the_process_s_generator_alone():
    """Trials have generators of their own: the state of `random` is the same afterwards."""
    before = random.getstate()
    sampler = sampler_for("random", parse_spaces({"x": floats(0, 1)}), ADict(), seed=3)
    first = [sampler.ask(trial)["x"] for trial in range(50)]
    assert random.getstate() == before
    again = sampler_for("random", parse_spaces({"x": floats(0, 1)}), ADict(), seed=3)
    assert [again.ask(trial)["x"] for trial in reversed(range(50))] == first[::-1]
    assert len(set(first)) == 50
    assert 0.3 < sum(first) / 50 < 0.7


@given(st.integers(1, 400), st.integers(0, 1000))
def test_the_grid_sampler_meets_each_point_once(count, seed):
    """In shuffled order each point comes once before any comes twice."""
    sampler = GridSampler(parse_spaces({"x": integers(1, count)}), ADict(), seed)
    assert sorted(sampler.ask(trial)["x"] for trial in range(count)) == list(range(1, count + 1))
    assert sampler.ask(count) == sampler.ask(0)


def test_integers_drawn_on_a_logarithmic_scale_reach_both_ends():
    """The first and the last integer of a range are drawn as well."""
    space = parse_spaces({"x": integers(1, 4, space_type="LOG")})
    generator = random.Random(0)
    assert {space.draw(generator, None)["x"] for _ in range(200)} == {1, 2, 3, 4}
