"""Make `store_schema_1.db`: two runs of a traced script, as this version stores them.

Run it once for each released schema, under that schema's name; files that exist are kept for good.
What depends on the machine is overwritten, so that the file says nothing of where it was made.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parent / "store_schema_1.db"

SCRIPT = """
from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.5


def scaled(weight, lr):
    return weight * lr


@scope.runtime_trace
def step(weight, lr):
    return scaled(weight, lr)


@scope
def train(config):
    with SQLLogger(config) as logger:
        run_id = logger.run(name=f"lr-{config.lr}", tags=["golden"])
        weight = 1.0
        for number in range(3):
            weight = step(weight, config.lr)
            logger.log_metrics({"weight": weight, "nan": float("nan")}, number)
        logger.log_input("train.py")
        logger.log_artifact(run_id, "train.py")


train()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(SCRIPT)
        for tokens in ([], ["lr=0.25"]):
            subprocess.run([sys.executable, "train.py", *tokens], cwd=folder, check=True)
        with sqlite3.connect(Path(folder) / "experiments.db") as connection:
            anonymous = (json.dumps(["python", "train.py"]), "host", "user", 1, None, None, None)
            connection.execute(
                "UPDATE experiments SET command = ?, host = ?, user = ?, pid = ?,"
                " process_started = ?, git_commit = ?, git_dirty = ?",
                anonymous,
            )
            environment = {
                "distributions": {"numpy": {"version": "2.0.0", "requires": []}},
                "interpreter": {"version": "3.11.0"},
            }
            connection.execute("UPDATE environments SET content = ?", [json.dumps(environment)])
            connection.commit()
            connection.execute("VACUUM INTO ?", [str(TARGET)])
        connection.close()


if __name__ == "__main__":
    main()
