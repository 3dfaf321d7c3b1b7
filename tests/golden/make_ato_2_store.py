"""Make `store_ato_2.db`: three runs as ato 2.2.1 stores them, to be imported by the tests.

Needs ato 2.2.1 in an environment of its own, since it imports under the name of this package:

    uv venv /tmp/ato2 && uv pip install --python /tmp/ato2/bin/python ato==2.2.1
    cd tests/golden && /tmp/ato2/bin/python make_ato_2_store.py
"""

from __future__ import annotations

from pathlib import Path

from ato.db_routers.sql.manager import SQLLogger
from ato.db_routers.sql.schema import Fingerprint
from ato.scope import Scope

TARGET = Path(__file__).parent / "store_ato_2.db"
scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.5
    config.betas = [0.9, 0.99]
    config.model = {"name": "mlp", "depth": 3}
    config.api_key = "hunter2"
    place = {"db_path": f"sqlite:///{TARGET.name}"}
    config.experiment = {"project_name": "digits", "sql": place}


@scope
def main(config):
    for lr in (0.5, 0.25):
        config.lr = lr
        logger = SQLLogger(config)
        run_id = logger.run(tags=["golden", f"lr-{lr}"])
        weight = 1.0
        for number in range(3):
            weight *= lr
            logger.log_metric("weight", weight, number)
        logger.log_metric("acc", 0.5 + lr, 2)
        logger.log_artifact(run_id, "model.pt", "model", {"epoch": 1})
        # 2.2.1 has the table and its queries, and leaves it to the caller to fill it.
        for kind, digest in (("static", "5" * 64), ("runtime", f"{int(lr * 4)}" * 64)):
            row = {"run_id": run_id, "trace_id": "step", "trace_type": kind, "fingerprint": digest}
            logger.session.add(Fingerprint(**row))
        logger.session.commit()
        logger.finish("completed" if lr == 0.5 else "failed")
    SQLLogger(config).run()  # left open, as by a script that was killed


if __name__ == "__main__":
    TARGET.unlink(missing_ok=True)
    main()
