"""A Hydra callback: a run that a Hydra job opens says which job it was, and ends with it.

hydra:
  callbacks:
    ato:
      _target_: ato.integrations.hydra.AtoCallback
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ato import events
from ato.db_routers.sql.manager import open_loggers
from ato.db_routers.sql.redaction import mask_command
from ato.exceptions import StoreError

__all__ = ["AtoCallback", "note_job"]


class AtoCallback(Callback):
    """Puts a job's overrides, choices and folder on the runs that are opened in it.

    Each override becomes a tag of the run (secrets masked); the job's name and number, the chosen
    options and the output folder stand in its notes. A run that the job left open ends with the
    job: as `completed`, or as `failed` with the traceback, so that the jobs of a sweep, which share
    a process, do not run into each other.
    """

    def __init__(self) -> None:
        self._open_before: list[Any] = []

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember the job that begins, for the runs that it opens."""
        global _job  # noqa: PLW0603 (Hydra runs one job at a time in a process)
        _job = _described(config)
        self._open_before = open_loggers()
        events.when_run_opens(f"{__name__}:{note_job.__name__}")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """End the runs that the job opened and left open."""
        global _job  # noqa: PLW0603
        _job = None
        error = job_return._return_value if job_return.status is JobStatus.FAILED else None
        for logger in open_loggers():
            if not any(logger is other for other in self._open_before):
                trace = None if error is None else error.__traceback__
                logger.__exit__(None if error is None else type(error), error, trace)


@dataclass(frozen=True, slots=True)
class _Job:
    overrides: list[str]
    notes: str


_job: _Job | None = None


def note_job(run: events.OpenRun) -> None:
    """Put the job that runs at present on a run that opens."""
    from ato.db_routers.sql import queries  # SQLAlchemy is loaded where a run opens
    from ato.db_routers.sql.recorder import RunRecorder

    recorder = run.recorder
    if _job is None or not isinstance(recorder, RunRecorder):
        return
    if recorder.unopened is not None:  # its row is still to come
        tags, notes = (recorder.unopened["row"][name] for name in ("tags", "notes"))
    else:
        row = queries.find_run(recorder.engine, recorder.run_id)
        if row is None:
            raise StoreError(f"run {recorder.run_id} is not in its store")
        tags, notes = row.tags or [], row.notes
    notes = f"{notes}\n{_job.notes}" if notes else _job.notes
    recorder.update(tags=[*tags, *_job.overrides], notes=notes)


def _described(config: DictConfig) -> _Job:
    name = OmegaConf.select(config, "hydra.job.name", default="job")
    number = OmegaConf.select(config, "hydra.job.num", default=None)
    folder = OmegaConf.select(config, "hydra.runtime.output_dir", default=None)
    chosen = OmegaConf.select(config, "hydra.runtime.choices", default={})
    choices = [f"{group}={choice}" for group, choice in chosen.items() if "hydra/" not in group]
    lines = [f"Hydra job {name}" + ("" if number is None else f", number {number}")]
    lines += [f"choices: {', '.join(choices)}"] if choices else []
    lines += [f"folder: {folder}"] if folder else []
    overrides = [str(text) for text in config.hydra.overrides.task]
    return _Job(mask_command(overrides), "\n".join(lines))
