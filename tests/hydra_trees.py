"""Config folders written into a temporary place, composed by Hydra and by Ato."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ato.adict import ADict


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below `root`, by their path; one without extension becomes YAML."""
    for name, text in files.items():
        file = root / (name if "." in Path(name).name else f"{name}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    root.mkdir(exist_ok=True)
    return root


def by_hydra(
    root: Path,
    overrides: Sequence[str] = (),
    config_name: str = "config",
    version_base: str = "1.3",
) -> Any:
    """What Hydra composes, resolved."""
    with warnings.catch_warnings():
        # Of deprecated forms, and of a primary config without `_self_`.
        warnings.simplefilter("ignore")
        with initialize_config_dir(str(root), version_base=version_base):
            config = compose(config_name, overrides=list(overrides))
        return OmegaConf.to_container(config, resolve=True)


def by_ato(root: Path, **arguments: Any) -> dict[str, Any]:
    """What Ato composes; what is still `???` stays, as it does in Hydra."""
    arguments.setdefault("on_missing", "error")
    return ADict.compose_hierarchy(root, **arguments).to_dict()
