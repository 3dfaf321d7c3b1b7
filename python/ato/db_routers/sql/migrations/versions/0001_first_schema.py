"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _shared_content()
    _code()
    _runs()
    _attempts()
    _journals()
    _records()
    _calls()
    _files()
    _fingerprints()
    _searches()


def _shared_content() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "configs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configs")),
        sa.UniqueConstraint("digest", name=op.f("uq_configs_digest")),
    )
    op.create_table(
        "environments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environments")),
        sa.UniqueConstraint("digest", name=op.f("uq_environments_digest")),
    )
    op.create_table(
        "metric_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metric_keys")),
        sa.UniqueConstraint("key", name=op.f("uq_metric_keys_key")),
    )


def _code() -> None:
    op.create_table(
        "code_closures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_closures")),
        sa.UniqueConstraint("key", name=op.f("uq_code_closures_key")),
    )
    op.create_table(
        "code_units",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("normalised", sa.Text(), nullable=False),
        sa.Column("logic", sa.String(length=64), nullable=True),
        sa.Column("deep", sa.String(length=64), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("traced", sa.Text(), nullable=True),
        sa.Column("held", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_units")),
        sa.UniqueConstraint("key", name=op.f("uq_code_units_key")),
    )
    op.create_table(
        "code_closure_units",
        sa.Column("closure_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["closure_id"], ["code_closures.id"], name=op.f("fk_code_closure_units_closure_id")
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"], ["code_units.id"], name=op.f("fk_code_closure_units_unit_id")
        ),
        sa.PrimaryKeyConstraint("closure_id", "position", name=op.f("pk_code_closure_units")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "code_edges",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["code_units.id"], name=op.f("fk_code_edges_source_id")
        ),
        sa.ForeignKeyConstraint(
            ["target_id"], ["code_units.id"], name=op.f("fk_code_edges_target_id")
        ),
        sa.PrimaryKeyConstraint("source_id", "target_id", name=op.f("pk_code_edges")),
        sqlite_with_rowid=False,
    )


def _runs() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("config_id", sa.Integer(), nullable=False),
        sa.Column("structural_hash", sa.String(length=64), nullable=True),
        sa.Column("value_hash", sa.String(length=64), nullable=True),
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("git_commit", sa.String(length=64), nullable=True),
        sa.Column("git_dirty", sa.Boolean(), nullable=True),
        sa.Column("command", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.Text(), nullable=True),
        sa.Column("launch", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("seeds", sa.Text(), nullable=True),
        sa.Column("random_start", sa.Text(), nullable=True),
        sa.Column("scheme_version", sa.Integer(), nullable=False),
        sa.Column("start_time", sa.Double(), nullable=False),
        sa.Column("end_time", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["config_id"], ["configs.id"], name=op.f("fk_experiments_config_id")
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environments.id"], name=op.f("fk_experiments_environment_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_experiments_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_experiments_project_id_status"),
        "experiments",
        ["project_id", "status"],
        unique=False,
    )
    op.create_index(op.f("ix_experiments_launch"), "experiments", ["launch"], unique=False)
    op.create_index(op.f("ix_experiments_start_time"), "experiments", ["start_time"], unique=False)
    op.create_index(
        op.f("ix_experiments_structural_hash"), "experiments", ["structural_hash"], unique=False
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("config_id", sa.Integer(), nullable=False),
        sa.Column("structural_hash", sa.String(length=64), nullable=True),
        sa.Column("value_hash", sa.String(length=64), nullable=True),
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("git_commit", sa.String(length=64), nullable=True),
        sa.Column("git_dirty", sa.Boolean(), nullable=True),
        sa.Column("command", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.Text(), nullable=True),
        sa.Column("launch", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("seeds", sa.Text(), nullable=True),
        sa.Column("random_start", sa.Text(), nullable=True),
        sa.Column("end_time", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["config_id"], ["configs.id"], name=op.f("fk_attempts_config_id")),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environments.id"], name=op.f("fk_attempts_environment_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_attempts_run_id")),
        sa.PrimaryKeyConstraint("run_id", "attempt", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )


def _journals() -> None:
    op.create_table(
        "journals",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_journals_run_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_journals")),
    )
    op.create_index(op.f("ix_journals_run_id"), "journals", ["run_id"], unique=False)


def _records() -> None:
    op.create_table(
        "metrics",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.Column("ident", sa.Integer(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["metric_keys.id"], name=op.f("fk_metrics_key_id")),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_metrics_run_id")),
        sa.PrimaryKeyConstraint(
            "run_id", "key_id", "attempt", "rank", "process", "sequence", name=op.f("pk_metrics")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_summaries",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.Double(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("last_timestamp", sa.Double(), nullable=False),
        sa.Column("minimum", sa.Double(), nullable=True),
        sa.Column("minimum_step", sa.BigInteger(), nullable=True),
        sa.Column("maximum", sa.Double(), nullable=True),
        sa.Column("maximum_step", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["key_id"], ["metric_keys.id"], name=op.f("fk_metric_summaries_key_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["experiments.id"], name=op.f("fk_metric_summaries_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "key_id", name=op.f("pk_metric_summaries")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_metric_summaries_key_id_run_id"),
        "metric_summaries",
        ["key_id", "run_id"],
        unique=False,
    )


def _calls() -> None:
    op.create_table(
        "call_forms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("passed", sa.Text(), nullable=True),
        sa.Column("reads", sa.Text(), nullable=True),
        sa.Column("draws", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("skipped", sa.Text(), nullable=True),
        sa.Column("gaps", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_forms")),
        sa.UniqueConstraint("key", name=op.f("uq_call_forms_key")),
    )
    op.create_index(op.f("ix_call_forms_trace_id"), "call_forms", ["trace_id"], unique=False)
    op.create_table(
        "calls",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("form_id", sa.Integer(), nullable=False),
        sa.Column("ident", sa.BigInteger(), nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("call_index", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("duration", sa.Double(), nullable=False),
        sa.Column("effect", sa.LargeBinary(length=16), nullable=False),
        sa.Column("entry", sa.LargeBinary(length=16), nullable=True),
        sa.ForeignKeyConstraint(["form_id"], ["call_forms.id"], name=op.f("fk_calls_form_id")),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_calls_run_id")),
        sa.PrimaryKeyConstraint(
            "run_id", "attempt", "rank", "process", "sequence", name=op.f("pk_calls")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "call_values",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=True),
        sa.Column("mutated", sa.Text(), nullable=True),
        sa.Column("random", sa.Text(), nullable=True),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_call_values_run_id")),
        sa.PrimaryKeyConstraint(
            "run_id", "attempt", "rank", "process", "sequence", name=op.f("pk_call_values")
        ),
    )


def _files() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("tree", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("kept", sa.Boolean(), nullable=True),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_artifacts_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
    )
    op.create_index(op.f("ix_artifacts_run_id"), "artifacts", ["run_id"], unique=False)
    op.create_table(
        "inputs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("mtime", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("ident", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["experiments.id"], name=op.f("fk_inputs_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inputs")),
    )
    op.create_index(op.f("ix_inputs_run_id"), "inputs", ["run_id"], unique=False)


def _fingerprints() -> None:
    op.create_table(
        "fingerprints",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("logic", sa.String(length=64), nullable=True),
        sa.Column("deep", sa.String(length=64), nullable=True),
        sa.Column("bytecode", sa.String(length=64), nullable=True),
        sa.Column("root_unit_id", sa.Integer(), nullable=True),
        sa.Column("closure_id", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.Text(), nullable=True),
        sa.Column("distributions", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["closure_id"], ["code_closures.id"], name=op.f("fk_fingerprints_closure_id")
        ),
        sa.ForeignKeyConstraint(
            ["root_unit_id"], ["code_units.id"], name=op.f("fk_fingerprints_root_unit_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["experiments.id"], name=op.f("fk_fingerprints_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fingerprints")),
        sa.UniqueConstraint(
            "run_id",
            "attempt",
            "trace_id",
            "role",
            "deep",
            "closure_id",
            name=op.f("uq_fingerprints_run_id_attempt_trace_id_role_deep_closure_id"),
        ),
    )
    op.create_index(
        op.f("ix_fingerprints_trace_id_logic"), "fingerprints", ["trace_id", "logic"], unique=False
    )


def _searches() -> None:
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=3), nullable=False),
        sa.Column("settings", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("start_time", sa.Double(), nullable=False),
        sa.Column("end_time", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_searches_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_searches")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_searches_project_id_name"), "searches", ["project_id", "name"], unique=False
    )
    op.create_table(
        "search_trials",
        sa.Column("search_id", sa.Integer(), nullable=False),
        sa.Column("trial", sa.BigInteger(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("bracket", sa.Integer(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("point", sa.Text(), nullable=True),
        sa.Column("point_digest", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.Double(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("duration", sa.Double(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["experiments.id"], name=op.f("fk_search_trials_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["search_id"], ["searches.id"], name=op.f("fk_search_trials_search_id")
        ),
        sa.PrimaryKeyConstraint("search_id", "trial", "rung", name=op.f("pk_search_trials")),
        sqlite_with_rowid=False,
    )
