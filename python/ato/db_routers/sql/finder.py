"""Finding runs in a store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ato.compose.omegaconf import is_omegaconf, plain_omegaconf
from ato.events import quiet_reads
from ato.exceptions import ConfigTypeError

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from ato.db_routers.sql.queries import MetricSeries
    from ato.db_routers.sql.schema import Experiment, Project

__all__ = ["SQLFinder", "store_location"]

_DEFAULT_PROJECT = "default"
_DEFAULT_LOCATION = "sqlite:///experiments.db"


def store_location(config: Mapping[str, Any]) -> tuple[str, str]:
    """Project name and address of the store that a config names, or their defaults.

    Of the configs of several scopes by name (`multi.config`), the first that has a section
    `experiment` is asked. These are the store's own reads of a config; they do not count as the run's.

    Raises:
        ConfigTypeError: `experiment` is there and no section.
    """
    if is_omegaconf(config):
        config, _ = plain_omegaconf(config, None, mandatory_ok=True)
    with quiet_reads():
        experiment = _experiment(config) or _experiment_of_scopes(config)
        project = experiment.get("project_name")
        location = _branch(experiment, "sql").get("db_path")
    return (
        _DEFAULT_PROJECT if project is None else str(project),
        _DEFAULT_LOCATION if location is None else str(location),
    )


def _experiment(config: object) -> Mapping[str, Any]:
    experiment = config.get("experiment") if isinstance(config, Mapping) else None
    if experiment is None:
        return {}
    if not isinstance(experiment, Mapping):
        raise ConfigTypeError(
            f"config.experiment is {experiment!r:.80}; it must be a section that may hold "
            "project_name (a text) and sql.db_path (a path or URL)"
        )
    return experiment


def _experiment_of_scopes(config: Mapping[str, Any]) -> Mapping[str, Any]:
    from ato.db_routers.sql.snapshot import scope_name  # the config's own room loads

    if not isinstance(config, Mapping):
        return {}
    scopes = (value for name, value in config.items() if scope_name(value) == name)
    return next((found for scope in scopes if (found := _experiment(scope))), {})


def _branch(config: object, name: str) -> Mapping[str, Any]:
    branch = config.get(name) if isinstance(config, Mapping) else None
    return branch if isinstance(branch, Mapping) else {}


class SQLFinder:
    """Finds runs in a store: that of a config (as `SQLLogger` reads it), a path or a URL.

    Runs come back as `schema.Experiment`, detached from the database; what is large (metrics,
    fingerprints, artifacts) is read on first use. Reading never locks out a writer. A run that
    says `running` and whose process is gone comes back as `crashed`.

    A query that must have its subject raises `UnknownRunError`, a `LookupError` that lists the
    nearest names, where there is none.
    """

    def __init__(self, config: Mapping[str, Any] | str | os.PathLike[str] | URL) -> None:
        self._location: str | os.PathLike[str] | URL = (
            store_location(config)[1] if isinstance(config, Mapping) else config
        )

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of the store.

        Raises:
            StoreError: it cannot be opened; the subclass and the message say why.
        """
        from ato.db_routers.sql.engine import open_store

        return open_store(self._location)

    def find_project(self, project_name: str) -> Project | None:
        """The project of this name."""
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.find_project(self.engine, project_name)

    def find_projects(self) -> list[str]:
        """The names of all projects, sorted."""
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.project_names(self.engine)

    def find_run(self, run_id: int) -> Experiment | None:
        """The run of this id."""
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.find_run(self.engine, run_id)

    def get_runs_in_project(
        self,
        project_name: str,
        status: str | None = None,
        tags: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[Experiment]:
        """The runs of a project, oldest first.

        What `where` and `order_by` name is a config key (`lr`, `model.depth`), the last value of a
        metric (`metrics.loss`; also `metrics.loss.min` and `.max`), or `id name status start_time
        end_time duration git_commit git_dirty host user notes` of the run; a config key that is
        called like one of these is `config.name`. A run that does not have it is left out by a
        condition, and comes last in an order.

        Args:
            project_name: the project; one that does not exist has no runs.
            status: only runs that have it now (`crashed` included).
            tags: only runs that have all of these.
            where: only runs for which all of this holds: a value by name, `{"lr": 0.1}`, or a
                relation, `{"model.depth": (">", 50)}`, of `== != < <= > >= in contains` and `not in`.
            order_by: by what to sort, or several; with a `-` in front, the highest first. NaN is last.
            limit: only so many: the first of the order, or the newest where none is given.

        Raises:
            UnknownKeyError: no run of the project has such a key; the message names the nearest.
            UnknownMetricError: no run of the project has such a metric.
            StoreError: a condition is not one, or the store cannot be read.
        """
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.runs_in_project(
            self.engine,
            project_name,
            status=status,
            tags=tags,
            where=where,
            order_by=order_by,
            limit=limit,
        )

    def to_dataframe(
        self,
        project_name: str,
        status: str | None = None,
        tags: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        order_by: str | Sequence[str] | None = None,
        limit: int | None = None,
        library: Literal["pandas", "polars"] | None = None,
    ) -> Any:
        """The runs of a project as a table, one row each; they are chosen as in `get_runs_in_project`.

        Columns: `id name status start_time end_time git_commit tags`, a `config.KEY` for each key
        and a `metrics.NAME` for each metric (its last value).

        Args:
            library: what to make it with; otherwise the one that is imported already, else the one
                that is installed.

        Raises:
            UnknownRunError: there is no such project; the message lists the nearest.
            StoreError: neither library is installed.
        """
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.table_of(
            self.engine,
            project_name,
            library,
            status=status,
            tags=tags,
            where=where,
            order_by=order_by,
            limit=limit,
        )

    def find_best_run(
        self,
        project_name: str,
        metric_key: str,
        mode: Literal["max", "min"] = "max",
        at: Literal["best", "last"] = "best",
    ) -> Experiment:
        """The run with the highest (or lowest) value of a metric; NaN never wins.

        Args:
            project_name: the project.
            metric_key: the metric.
            mode: whether high or low is good.
            at: a run counts by its best point or by the one logged last.
        """
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.best_run(self.engine, project_name, metric_key, mode, at)

    def find_similar_runs(self, run_id: int) -> list[Experiment]:
        """The other runs whose config has the same structure."""
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.similar_runs(self.engine, run_id)

    def find_similar_runs_by_trace(
        self, run_id: int, trace_id: str, trace_type: Literal["static", "runtime"] = "static"
    ) -> list[Experiment]:
        """The other runs in which a traced function has the same logic (or the same outputs)."""
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.similar_runs_by_trace(self.engine, run_id, trace_id, trace_type)

    def get_trace_statistics(self, project_name: str, trace_id: str) -> dict[str, Any]:
        """How many versions of a traced function a project's runs had.

        Returns:
            `project_name`, `trace_id`; the numbers of versions `static_trace_versions` (logic),
            `deep_trace_versions` and `runtime_trace_versions` (recorded outputs); and `versions`:
            for `static`, `deep` and `runtime` a list of `{"fingerprint", "first_run", "last_run",
            "runs"}`, oldest first.
        """
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.trace_statistics(self.engine, project_name, trace_id)

    def get_metrics(self, run_id: int, key: str) -> MetricSeries:
        """All points of a metric in the order of logging: `.steps .values .timestamps`.

        NumPy arrays (int64, float64, float64) where NumPy is installed, else `array.array`.
        """
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.metric_series(self.engine, run_id, key)

    def compare(self, run_ids: Sequence[int]) -> dict[str, Any]:
        """What differs between runs.

        Returns:
            `runs` (the ids), and by key a list with one item per run: `config` (values that are not
            all equal), `metrics` (last values, all keys), `code` (logic fingerprints by trace id
            that are not all equal). What a run does not have is `None`.
        """
        from ato.db_routers.sql import queries  # SQLAlchemy loads

        return queries.compare(self.engine, run_ids)
