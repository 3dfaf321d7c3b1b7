"""OmegaConf's configs as ADicts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, OmegaConf

from ato.adict import ADict
from ato.exceptions import ConfigTypeError, ConfigValueError
from ato.provenance import explain, shown_path
from hydra_trees import write_tree


class Color(Enum):
    RED = 1


@dataclass
class Model:
    depth: int = 50
    color: Color = Color.RED
    path: Path = Path("weights")


@dataclass
class Train:
    lr: float = MISSING
    model: Model = field(default_factory=Model)
    layers: list[int] = field(default_factory=lambda: [1, 2])


def test_values_are_resolved_and_plain():
    """Interpolations are resolved, lists are lists, and nothing of OmegaConf's is left."""
    config = ADict.from_omegaconf(
        OmegaConf.create({"a": 1, "b": "${a}", "l": [{"c": "${b}"}, "x_${a}"], "n": None, 3: 4})
    )
    assert config == {"a": 1, "b": 1, "l": [{"c": 1}, "x_1"], "n": None, 3: 4}
    assert type(config.l) is list and type(config.l[0]) is ADict
    (write,) = config.history("b")
    assert (write.origin.kind, write.origin.text) == ("code", "from_omegaconf")
    assert write.origin.file == shown_path(__file__)


def test_structured_configs_keep_their_types():
    """A config made of dataclasses keeps enums and paths."""
    cfg = OmegaConf.structured(Train(lr=0.1))
    config = ADict.from_omegaconf(cfg)
    assert config.model.color is Color.RED
    assert config.model.path == Path("weights")
    assert config.layers == [1, 2]


def test_what_was_not_given_is_an_error_with_its_keys():
    """Every key that is still `???` is named by its dotted path."""
    cfg = OmegaConf.create({"a": "???", "b": {"c": "???"}, "d": 1})
    with pytest.raises(ConfigValueError, match=r"still \?\?\? and without a value: a, b\.c"):
        ADict.from_omegaconf(cfg)
    with pytest.raises(ConfigValueError, match="without a value: lr"):
        ADict.from_omegaconf(OmegaConf.structured(Train))


def test_a_reference_to_nothing_is_an_error_with_its_key():
    """An interpolation that cannot be resolved names the key that it stands at."""
    with pytest.raises(ConfigValueError, match=r"a\.b: Interpolation key 'nowhere' not found"):
        ADict.from_omegaconf(OmegaConf.create({"a": {"b": "${nowhere}"}}))


@pytest.mark.parametrize("value", [{"a": 1}, OmegaConf.create([1]), 3, None])
def test_only_a_dictconfig_is_taken(value):
    """Anything else than a DictConfig is an error that names the other way."""
    with pytest.raises(ConfigTypeError, match="takes a DictConfig, not a"):
        ADict.from_omegaconf(value)
    with pytest.raises(ConfigTypeError, match="use ADict.from_omegaconf"):
        ADict.from_object(OmegaConf.create({"a": 1}))


def test_overrides_are_the_origins_of_what_they_set():
    """Values, branches and group choices name the override that set them; the last one wins."""
    cfg = OmegaConf.create(
        {
            "lr": 0.1,
            "model": {"name": "vit", "depth": 3},
            "source": {"db": 1},
            "x": [1],
            "n": {"o": 1},
        }
    )
    config = ADict.from_omegaconf(
        cfg,
        overrides=[
            "model.depth=9",
            "model=vit",
            "model.depth=3",
            "db@source=mysql",
            "++x=[1]",
            "~y",
        ],
    )
    texts = {key: config.history(key)[-1].origin for key in config.to_flat()}
    assert {key: origin.text for key, origin in texts.items() if origin.kind == "cli"} == {
        "model.name": "model=vit",
        "model.depth": "model.depth=3",
        "source.db": "db@source=mysql",
        "x": "++x=[1]",
    }
    assert explain("x", config.history("x")).endswith("set by the command line: ++x=[1]")
    part = ADict.from_omegaconf(cfg.model, overrides=["lr=1", "model.depth=3"])
    assert part.history("depth")[0].origin.text == "model.depth=3"
    assert part.history("name")[0].origin.kind == "code"


def test_a_running_hydra_job_gives_its_overrides(tmp_path):
    """Inside of a Hydra job its own overrides are the origins, nested group choices too."""
    root = write_tree(
        tmp_path / "conf",
        {
            "config": "defaults:\n  - net/optim: sgd\n  - _self_\nlr: 1\n",
            "net/optim/sgd": "m: 1\n",
            "net/optim/adam": "m: 2\n",
        },
    )
    with initialize_config_dir(str(root), version_base="1.3"):
        cfg = compose("config", overrides=["net/optim=adam", "lr=2"], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        try:
            # The folder of the run is known to a program that Hydra started, and to no other.
            config = ADict.from_omegaconf(OmegaConf.masked_copy(cfg, ["lr", "net"]))
        finally:
            HydraConfig.instance().cfg = None
    assert config == {"lr": 2, "net": {"optim": {"m": 2}}}
    assert config.history("net.optim.m")[0].origin.text == "net/optim=adam"
    assert str(config.history("lr")[0].origin) == "command line: lr=2"


def test_hydra_is_not_needed_and_neither_library_is_imported():
    """OmegaConf alone is enough, and Ato imports neither by itself."""
    program = (
        "import sys, ato.adict\n"
        "from ato.adict import ADict\n"
        "ADict.from_object({'a': 1})\n"
        "assert not {'omegaconf', 'hydra', 'pydantic', 'attr', 'ml_collections'} & set(sys.modules)\n"
        "from omegaconf import OmegaConf\n"
        "print(ADict.from_omegaconf(OmegaConf.create({'a': 1}), ['a=1']).history('a')[0].origin)\n"
        "assert 'hydra' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("command line: a=1", "")


@pytest.mark.parametrize("overrides", ["lr=1", [1], [None]])
def test_overrides_are_texts(overrides):
    """One text, or what is no text, is refused: it would be read letter by letter."""
    with pytest.raises(ConfigTypeError, match="overrides are a list of texts"):
        ADict.from_omegaconf(OmegaConf.create({"lr": 1}), overrides)
