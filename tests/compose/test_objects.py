"""Objects with fields as ADicts."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, NamedTuple, TypedDict

import attrs
import ml_collections
import pydantic.v1
import pytest
from pydantic import BaseModel, ConfigDict

from ato.adict import ADict
from ato.exceptions import ConfigTypeError, ConfigValueError
from ato.provenance import shown_path


class Color(enum.Enum):
    RED = 1


@dataclass
class Model:
    depth: int = 50
    color: Color = Color.RED


@dataclass
class Base:
    seed: int = 1


@dataclass
class TrainArgs(Base):
    lr: float = 0.1
    model: Model = field(default_factory=Model)
    layers: list[int] = field(default_factory=list)
    out: Path = Path("out")
    many: list[Model] = field(default_factory=list)
    of_class: ClassVar[int] = 3
    _private: int = 4


class Optim(BaseModel):
    model_config = ConfigDict(extra="allow")
    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)


class Settings(BaseModel):
    name: str
    optim: Optim = Optim()
    stages: list[Optim] = []
    _secret: int = 3


@attrs.define
class Data:
    path: str = "data"
    sizes: list[int] = attrs.Factory(list)
    total: int = attrs.Factory(lambda self: len(self.sizes), takes_self=True)
    _hidden: int = 1


class Size(NamedTuple):
    width: int
    height: int = 2


def test_a_dataclass_is_nested_and_keeps_types():
    """Nested dataclasses become branches, in lists too; other values stay what they are."""
    config = ADict.from_object(TrainArgs(lr=0.2, many=[Model(3), Model(depth=4)]))
    assert config == {
        "seed": 1,
        "lr": 0.2,
        "model": {"depth": 50, "color": Color.RED},
        "layers": [],
        "out": Path("out"),
        "many": [{"depth": 3, "color": Color.RED}, {"depth": 4, "color": Color.RED}],
    }


def test_given_values_name_the_caller_and_defaults_their_declaration():
    """A value that is the field's default names class, field and line; any other the call."""
    config = ADict.from_object(TrainArgs(lr=0.2))
    line = inspect.currentframe().f_lineno - 1
    given = config.history("lr")[0].origin
    assert (given.kind, given.text, given.line) == ("code", "from_object(TrainArgs)", line)
    assert given.file == shown_path(__file__)
    source, first = inspect.getsourcelines(TrainArgs)
    default = config.history("layers")[0].origin
    assert (default.kind, default.text) == ("default", "default of TrainArgs.layers")
    assert source[default.line - first].strip().startswith("layers:")
    seed = config.history("seed")[0].origin
    assert (seed.text, seed.line) == (
        "default of TrainArgs.seed",
        inspect.getsourcelines(Base)[1] + 2,
    )
    assert config.history("model.depth")[0].origin.text == "default of Model.depth"


def test_a_class_without_source_has_defaults_without_a_line():
    """Classes that code made have no declaration to point at."""
    made = dataclasses.make_dataclass("Made", [("lr", float, field(default=0.1))])
    origin = ADict.from_object(made()).history("lr")[0].origin
    assert (origin.kind, origin.text) == ("default", "default of Made.lr")


def test_a_pydantic_model_knows_what_it_was_given():
    """Nested models, extra fields and lists; a value that was given is no default, equal or not."""
    config = ADict.from_object(
        Settings(name="a", optim=Optim(lr=0.1, extra=[1]), stages=[Optim(lr=1)])
    )
    assert config == {
        "name": "a",
        "optim": {"lr": 0.1, "betas": (0.9, 0.999), "extra": [1]},
        "stages": [{"lr": 1.0, "betas": (0.9, 0.999)}],
    }
    assert config.history("optim.lr")[0].origin.kind == "code"
    assert config.history("optim.betas")[0].origin.text == "default of Optim.betas"


def test_an_attrs_class():
    """Fields of attrs classes, factories too; one computed from others is no default."""
    config = ADict.from_object(Data(path="x"))
    assert config == {"path": "x", "sizes": [], "total": 0}
    assert [config.history(key)[0].origin.kind for key in config] == ["code", "default", "code"]


def test_namespaces_and_tuples():
    """argparse's and plain namespaces and named tuples; private names are left out."""
    given = argparse.Namespace(lr=0.1, inner=SimpleNamespace(a=[1], _b=2), _c=3)
    assert ADict.from_object(given) == {"lr": 0.1, "inner": {"a": [1]}}
    config = ADict.from_object(Size(3))
    assert config == {"width": 3, "height": 2}
    assert config.history("height")[0].origin.text == "default of Size.height"
    assert ADict.from_object(SimpleNamespace(size=Size(3))).size == Size(3)


def test_mappings():
    """Typed and other dicts are taken with the objects inside them."""

    class Typed(TypedDict):
        lr: float

    assert ADict.from_object(Typed(lr=1.0)) == {"lr": 1.0}
    given = collections.OrderedDict(a=Model(1), b=(Model(2),))
    assert ADict.from_object(given) == {
        "a": {"depth": 1, "color": Color.RED},
        "b": ({"depth": 2, "color": Color.RED},),
    }


@pytest.mark.parametrize("kind", [ml_collections.ConfigDict, ml_collections.FrozenConfigDict])
def test_ml_collections(kind):
    """Config dicts, frozen ones too, with the values that references have by now."""
    given = ml_collections.ConfigDict({"batch": 8, "inner": {"a": 1}})
    given.lr = given.get_ref("batch") * 0.5
    given.batch = 16
    given.late = ml_collections.FieldReference(3)
    config = ADict.from_object(kind(given))
    assert config == {"batch": 16, "inner": {"a": 1}, "lr": 8.0, "late": 3}
    assert config.history("inner.a")[0].origin.text == f"from_object({kind.__name__})"


def test_a_tree_that_contains_itself_is_an_error_with_the_path():
    """A cycle is named where it closes; an object that merely stands twice is none."""
    args = SimpleNamespace(a=SimpleNamespace())
    args.a.back = [args]
    with pytest.raises(ConfigValueError, match=r"a\.back\[0\]: contains the object itself"):
        ADict.from_object(args)
    model = Model()
    twice = ADict.from_object(SimpleNamespace(a=model, b=model))
    assert twice.a == twice.b


@pytest.mark.parametrize("value", [3, "text", [1], object(), None, Model, Settings])
def test_what_has_no_fields_is_refused(value):
    """Any other object, and a class, is an error that lists what is taken."""
    with pytest.raises(ConfigTypeError, match="from_object takes dataclasses, pydantic models"):
        ADict.from_object(value)


def test_fields_without_a_value_are_left_out():
    """A model or an attrs object that was made without some of its fields is taken without them."""

    class Loose(BaseModel):
        needed: int
        size: int = 3

    @attrs.define
    class Late:
        now: int = 1
        later: int = attrs.field(init=False)

    assert ADict.from_object(Loose.model_construct()) == {"size": 3}
    assert ADict.from_object(Late()) == {"now": 1}


def test_models_of_pydantic_1_are_models():
    """A model of the older interface gives its fields, the default ones with that origin."""

    class Old(pydantic.v1.BaseModel):
        needed: int
        size: int = 3

        class Config:
            extra = "allow"

    config = ADict.from_object(Old(needed=1, more=2))
    assert config == {"needed": 1, "size": 3, "more": 2}
    assert config.history("size")[0].origin.text == "default of Old.size"
    assert config.history("needed")[0].origin.kind == "code"


def test_fields_that_cannot_be_read_are_said():
    """An error of the object's own becomes one that says which object it was."""
    config = ml_collections.ConfigDict({"a": {}})
    config.a.must = ml_collections.config_dict.required_placeholder(int)
    with pytest.raises(ConfigValueError, match="a: the fields of a ConfigDict cannot be read: Req"):
        ADict.from_object(config)


def test_what_has_no_end_is_refused():
    """A list that contains itself, and nesting that no stack holds, are errors of Ato's."""
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(
        ConfigValueError, match="nested too deeply, or a list in it contains itself"
    ):
        ADict.from_object(SimpleNamespace(a=circle))
    deep: dict[str, object] = {}
    for _ in range(2000):
        deep = {"a": deep}
    with pytest.raises(ConfigValueError, match="nested too deeply"):
        ADict.from_object(deep)
