"""One tracker, in an environment of its own: `tracking_rivals.py NAME`, a line of JSON per request.

Every contestant, this package included, is driven by this script through its public names, so that
all of them do the same work in the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import time

STEP = 0.002  # seconds of a training step
ROUND = 10  # steps without logging, then as many with


class Ato:
    """This package, or 2.2.1, whichever the environment has."""

    def open(self, folder):
        from ato.adict import ADict
        from ato.db_routers.sql.manager import SQLLogger

        place = f"sqlite:///{folder}/runs.db"
        config = ADict(lr=0.1, experiment=ADict(project_name="b", sql=ADict(db_path=place)))
        self.logger = SQLLogger(config)
        self.logger.run(tags=[])
        self.log = self.logger.log_metric
        self.log_many = getattr(self.logger, "log_metrics", self._one_by_one)

    def _one_by_one(self, metrics, step):
        for key, value in metrics.items():
            self.logger.log_metric(key, value, step)

    def close(self):
        self.logger.finish()


class Sqlite:
    """A table of the driver's own, one transaction a value."""

    def open(self, folder):
        self.connection = sqlite3.connect(f"{folder}/raw.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute("CREATE TABLE metrics (key TEXT, value REAL, step INT, time REAL)")

    def log(self, key, value, step):
        self.connection.execute(
            "INSERT INTO metrics VALUES (?, ?, ?, ?)", (key, value, step, time.time())
        )

    def log_many(self, metrics, step):
        rows = [(key, value, step, time.time()) for key, value in metrics.items()]
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?)", rows)
        self.connection.execute("COMMIT")

    def close(self):
        self.connection.close()


class Mlflow:
    """MLflow with a SQLite store, synchronous as it is by default."""

    def open(self, folder):
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.start_run()
        self.mlflow = mlflow

    def log(self, key, value, step):
        self.mlflow.log_metric(key, value, step=step)

    def log_many(self, metrics, step):
        self.mlflow.log_metrics(metrics, step=step)

    def close(self):
        self.mlflow.end_run()


class Wandb:
    """W&B, offline."""

    def open(self, folder):
        import wandb

        self.run = wandb.init(project="b", mode="offline", dir=folder)

    def log(self, key, value, step):
        self.run.log({key: value}, step=step)

    def log_many(self, metrics, step):
        self.run.log(metrics, step=step)

    def close(self):
        self.run.finish()


class Trackio:
    """Trackio, with its local database."""

    def open(self, folder):
        os.environ["TRACKIO_DIR"] = folder
        import trackio

        self.trackio = trackio
        trackio.init(project="b")

    def log(self, key, value, step):
        self.trackio.log({key: value}, step=step)

    def log_many(self, metrics, step):
        self.trackio.log(metrics, step=step)

    def close(self):
        self.trackio.finish()


class Tensorboard:
    """TensorBoard's event files."""

    def open(self, folder):
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(folder)

    def log(self, key, value, step):
        self.writer.add_scalar(key, value, step)

    def log_many(self, metrics, step):
        for key, value in metrics.items():
            self.writer.add_scalar(key, value, step)

    def close(self):
        self.writer.close()


class Sacred:
    """Sacred with its file observer, which writes every ten seconds."""

    def open(self, folder):
        from sacred import Experiment
        from sacred.observers import FileStorageObserver

        experiment = Experiment("b", interactive=True, save_git_info=False)
        experiment.observers.append(FileStorageObserver(folder))
        experiment.main(lambda: None)
        self.run = experiment._create_run()
        self.run._emit_started()
        self.run._start_heartbeat()

    def log(self, key, value, step):
        self.run.log_scalar(key, value, step)

    def log_many(self, metrics, step):
        for key, value in metrics.items():
            self.run.log_scalar(key, value, step)

    def close(self):
        self.run._stop_heartbeat()


KINDS = {
    "ours": Ato,
    "ato": Ato,
    "sqlite3": Sqlite,
    "mlflow": Mlflow,
    "wandb": Wandb,
    "trackio": Trackio,
    "tensorboardX": Tensorboard,
    "sacred": Sacred,
}


def each(call, count):
    """Seconds of every call."""
    times = []
    for number in range(count):
        begin = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - begin)
    return times


def train(steps, log):
    """Seconds of a loop whose steps compute for 2 ms and then log five values, or none."""
    begin = time.perf_counter()
    for step in range(steps):
        until = time.thread_time() + STEP
        while time.thread_time() < until:
            pass
        if log is not None:
            log({f"scalar/{number}": step * 0.5 for number in range(5)}, train.step)
            train.step += 1
    return time.perf_counter() - begin


train.step = 10**6


def answer(tracker, request):
    """What a request asks for."""
    work, count = request["work"], request["count"]
    if work == "log":
        return each(lambda number: tracker.log("loss", 0.5, answer.step + number), count)
    if work == "many":
        values = {f"metric/{number}": 0.5 for number in range(20)}
        return each(lambda number: tracker.log_many(values, answer.step + number), count)
    # By turns, so that what else the machine does meets both.
    rounds = [log for _ in range(count // ROUND) for log in (None, tracker.log_many)]
    return [train(ROUND, log) for log in rounds]


answer.step = 0


def main():
    tracker = KINDS[sys.argv[1]]()
    output = sys.stdout
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)
        tracker.open(folder)
        print("ready", file=output, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(answer(tracker, request)), file=output, flush=True)
            answer.step += request["count"]
        begin = time.perf_counter()
        tracker.close()
        print(time.perf_counter() - begin, file=output, flush=True)


main()
