"""Ranks of one torchrun launch: rank 0 opens the run, the others join it."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from ato.db_routers.sql.engine import explain_failure
from ato.db_routers.sql.journals import Writer, host_name
from ato.db_routers.sql.processes import started
from ato.db_routers.sql.schema import Experiment
from ato.exceptions import RankTimeoutError

__all__ = ["Launch", "current_launch", "join_run"]

WAIT = 300.0  # seconds in which rank 0 must have opened the run: it may well load data before
_PAUSE = 0.05

# A process of a launch may open several runs, one after the other; so does every rank.
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of all ranks, as each of them knows it, and the number of the run in it.

    `launcher` is the process that started this one. Without `--rdzv-id` every launch has the same
    id, and on one machine the launcher tells them apart.
    """

    name: str
    launcher: str
    rank: int

    @property
    def text(self) -> str:
        """What the run's row keeps."""
        return f"{self.name} {self.launcher}"


def current_launch() -> Launch | None:
    """The launch for the next run of this process; `None` if torchrun did not start it."""
    variables = os.environ
    launch, rank = variables.get("TORCHELASTIC_RUN_ID"), variables.get("RANK", "")
    if launch is None or not rank.isdigit():
        return None
    restart = variables.get("TORCHELASTIC_RESTART_COUNT", "0")
    place = f"{variables.get('MASTER_ADDR', '')}:{variables.get('MASTER_PORT', '')}"
    name = f"{launch}/{place}/{restart}/{next(_numbers)}"
    parent = os.getppid()
    return Launch(name, f"{host_name()}:{parent}:{started(parent)}", int(rank))


def join_run(engine: Engine, launch: Launch) -> Writer:
    """Wait until rank 0 of the launch has opened its run; returns who this rank is in it.

    Raises:
        RankTimeoutError: it did not in time.
        StoreError: the store cannot be read.
    """
    deadline = time.monotonic() + WAIT
    while True:
        try:
            found = _find(engine, launch)
        except DBAPIError as error:
            raise explain_failure(error, engine) from error
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise RankTimeoutError(
                f"rank {launch.rank} waited {WAIT:.0f} s for rank 0 to open the run of launch "
                f"{launch.name}; call run() on rank 0 too, with the same store, or on rank 0 only"
            )
        time.sleep(_PAUSE)


def _find(engine: Engine, launch: Launch) -> Writer | None:
    query = (
        select(
            Experiment.id,
            Experiment.attempt,
            Experiment.start_time,
            Experiment.status,
            Experiment.host,
            Experiment.launch,
        )
        .where(Experiment.launch.startswith(launch.name + " ", autoescape=True))
        .order_by(Experiment.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    same_host = row.host == host_name()
    # Of a launch on other machines an older one of the same name can only be told by its end.
    if row.launch != launch.text if same_host else row.status != "running":
        return None
    return Writer(
        run_id=row.id,
        attempt=row.attempt,
        rank=launch.rank,
        process=0,
        start=row.start_time.timestamp(),
        host=host_name(),
        pid=os.getpid(),
    )
