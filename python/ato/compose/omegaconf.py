"""OmegaConf's configs as plain values; Hydra's overrides as their origins.

Neither library is imported: whoever has such a config has imported them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ato.exceptions import ConfigTypeError, ConfigValueError
from ato.provenance import Origin, caller

__all__ = ["is_omegaconf", "plain_omegaconf"]


def is_omegaconf(value: object) -> bool:
    """Whether a value is a `DictConfig` or a `ListConfig`."""
    omegaconf = sys.modules.get("omegaconf")
    return omegaconf is not None and bool(omegaconf.OmegaConf.is_config(value))


def plain_omegaconf(
    config: Any, overrides: Sequence[str] | None, *, mandatory_ok: bool = False
) -> tuple[dict[Any, Any], dict[tuple[str, ...], Origin]]:
    """Return the resolved values of a `DictConfig`, and their origins; see `ADict.from_omegaconf`.

    Args:
        config: the config.
        overrides: Hydra's overrides as they were typed; None for those of the Hydra job that runs.
        mandatory_ok: a value that is still `???` stays so instead of being an error.
    """
    if not is_omegaconf(config) or not sys.modules["omegaconf"].OmegaConf.is_dict(config):
        raise ConfigTypeError(
            f"from_omegaconf takes a DictConfig, not a {type(config).__name__}; "
            "for other objects there is from_object"
        )
    if isinstance(overrides, str) or not all(isinstance(text, str) for text in overrides or ()):
        raise ConfigTypeError(f"overrides are a list of texts, not {overrides!r:.80}")
    values = _resolved(config, mandatory_ok)
    job = _running_job()
    typed = overrides if overrides is not None else list(job.overrides.task) if job else []
    groups = set(job.runtime.choices) if job else set()
    by = f"Hydra config {job.job.config_name}" if job else "from_omegaconf"
    origins: dict[tuple[str, ...], Origin] = {
        (str(key),): Origin("code", by, *caller()) for key in values
    }
    # A config that is a part of another one is reached by the keys below it only.
    above = [part for part in str(config._get_full_key(None) or "").split(".") if part]
    for text in typed:
        path = _path(text, groups)
        if path[: len(above)] == above and len(path) > len(above):
            place = tuple(path[len(above) :])
            # A later override may be of a whole branch, over earlier ones of what stands in it.
            origins = {key: origin for key, origin in origins.items() if key[: len(place)] != place}
            origins[place] = Origin("cli", text)
    return values, origins


def _resolved(config: Any, mandatory_ok: bool) -> dict[Any, Any]:
    omegaconf = sys.modules["omegaconf"]
    try:
        missing = sorted(omegaconf.OmegaConf.missing_keys(config))
        values: Any = omegaconf.OmegaConf.to_container(config, resolve=True)
    except RecursionError:
        raise ConfigValueError("the config is nested too deeply") from None
    except omegaconf.errors.OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "config"
        first = str(error).partition("\n")[0]
        raise ConfigValueError(f"{key}: {first}") from error
    if missing and not mandatory_ok:
        raise ConfigValueError(
            f"still ??? and without a value: {', '.join(missing)}; give one on the command line "
            f"({missing[0]}=…) or in the config"
        )
    if not isinstance(values, dict):
        raise ConfigValueError(f"the config is {values!r} and no mapping; give it a value")
    return values


def _running_job() -> Any:
    """Hydra's own config of the job that runs in this process, if one does."""
    module = sys.modules.get("hydra.core.hydra_config")
    if module is None or not module.HydraConfig.initialized():
        return None
    return module.HydraConfig.get()


def _path(override: str, groups: Iterable[str]) -> list[str]:
    """Return the keys of the place that an override writes to.

    `+a.b=1` writes to `a.b`, `group@package=choice` to the package, `a/b=choice` to `a.b`.
    """
    name = override.partition("=")[0].strip().lstrip("+~")
    group, _, package = name.partition("@")
    if package:
        return [] if package == "_global_" else package.split(".")
    if name in groups or "/" in group:
        return group.split("/")
    return [part for part in group.replace("[", ".").replace("]", "").split(".") if part]
