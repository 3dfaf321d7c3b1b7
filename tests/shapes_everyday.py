"""More programs, as users write them: settings in a module, data in many files, one of everything."""

from __future__ import annotations

__all__ = ["EVERYDAY"]

# A dispatch list, an enum, wrappers, caches and base classes, with a helper in another file.
_ASSORTED = {
    "train.py": """
        import collections
        import enum
        import functools
        import glob
        import json
        import os
        import pickle
        import re
        import random
        from dataclasses import dataclass, field, replace

        import numpy as np
        import util
        from ato import Scope, SQLLogger

        scope = Scope()

        class Mode(enum.Enum):
            FAST = 1.0
            SLOW = 2.0

        class Base:
            gain = 1.0
            def forward(self, x):
                return x * self.gain

        class Other(Base):
            def forward(self, x):
                return super().forward(x) + 0.5

        class Model(Base):
            def bias(self):
                return 0.25

        @dataclass
        class Opt:
            lr: float = 0.1
            betas: tuple = (0.9, 0.99)

        def times(k):
            def deco(fn):
                @functools.wraps(fn)
                def inner(*a):
                    return k * fn(*a)
                return inner
            return deco

        @times(1.0)
        def scaled(x):
            return x

        @functools.lru_cache(maxsize=None)
        def table(n):
            return [i * 0.5 for i in range(n)]

        def clip(x, limit=5.0):
            return max(-limit, min(limit, x))

        PIPE = [lambda x: x + 1, functools.partial(clip, limit=100.0)]
        PATTERN = re.compile(r"^a")
        WEIGHTS = {"a": 1.0, "b": 2.0}

        def count_words(words):
            return sum(1 for w in words if PATTERN.match(w))

        def label(x):
            return float(f"{x:.3f}")

        @scope.observe(default=True)
        def defaults(config):
            config.seed = 3
            config.steps = 4
            config.lr = 0.1
            config.mode = "FAST"
            config.retries = 0
            config.note = ""

        @scope.runtime_trace
        def prepare(rng, n):
            x = rng.normal(size=n)
            return x

        @scope.runtime_trace
        def step(x, model, opt):
            y = model.forward(float(x)) + model.bias()
            for f in PIPE:
                y = f(y)
            y = scaled(y) + sum(table(4)) + count_words(["ab", "ba", "aa"])
            y = label(y) + sum(WEIGHTS[k] * (i + 1) for i, k in enumerate(WEIGHTS))
            return y * opt.lr * Mode.FAST.value * util.norm(y)

        @scope.runtime_trace
        def summarise(values):
            return sum(values) / len(values)

        @scope
        def main(config):
            logger = SQLLogger(config)
            logger.run()
            rng = np.random.default_rng(config.seed)
            opt = Opt(lr=config.lr)
            model = Model()
            xs = prepare(rng, config.steps)
            values = []
            for i, x in enumerate(xs):
                values.append(step(x, model, opt))
                logger.log_metric("y", values[-1], i)
            logger.log_metric("mean", summarise(values), 0)
            logger.finish()

        if __name__ == "__main__":
            main()
    """,
    "util.py": """
        def norm(x):
            return 1.0 / (1.0 + abs(x))
    """,
}

# Files read by the body, by a pattern and in functions; a variable of the environment that code names.
_FILES = {
    "train.py": """
        import glob
        import json
        import os
        from pathlib import Path

        from ato import Scope, SQLLogger
        scope = Scope()

        STOP = set(json.load(open("vocab.json")))

        @scope.observe(default=True)
        def defaults(config):
            config.folder = "parts"
            config.lr = 0.1

        def read_all(folder):
            rows = []
            for name in sorted(glob.glob(os.path.join(folder, "*.txt"))):
                rows += [float(v) for v in Path(name).read_text().split()]
            return rows

        @scope.runtime_trace
        def fit(rows, scale):
            return sum(rows) * scale

        @scope.runtime_trace
        def tokens(words):
            return [w for w in words if w not in STOP]

        @scope.runtime_trace
        def hashed(words):
            return [w for w in set(words)]

        @scope
        def main(config):
            logger = SQLLogger(config)
            logger.run()
            stats = json.loads(Path("stats.json").read_text())
            rows = read_all(config.folder)
            logger.log_metric("kept", len(tokens(["a", "b", "cat", "dog"])), 0)
            logger.log_metric("total", fit(rows, float(os.environ.get("SCALE", "1")) * stats["m"]), 0)
            if os.environ.get("HASHED"):
                logger.log_metric("first", len(hashed(["a", "bb", "ccc", "dddd", "eeeee"])[0]), 0)
            logger.finish()

        main()
    """,
    "vocab.json": '["a"]',
    "parts/a.txt": "1 2 3\n",
    "parts/b.txt": "4 5\n",
    "stats.json": '{"m": 2.0}',
}

# No scope: settings are constants of a module, calls are tried again.
_SETTINGS = {
    "train.py": """
        import random
        import settings
        from helpers import load, Normaliser
        from ato import SQLLogger
        from ato.trace import runtime_trace

        random.seed(settings.SEED)

        @runtime_trace
        def fit(rows, state):
            total = 0.0
            for row in rows:
                total += row * state.scale + random.random() * settings.NOISE
            return total

        @runtime_trace
        def flaky(n):
            if random.random() < settings.P_FAIL:
                raise RuntimeError("transient")
            return n * 2

        def retry(fn, *args, attempts=settings.ATTEMPTS):
            for i in range(attempts):
                try:
                    return fn(*args)
                except RuntimeError:
                    continue
            return None

        logger = SQLLogger({"experiment": {"project_name": "p"}})
        logger.run()
        rows = load("rows.csv")
        norm = Normaliser(rows)
        logger.log_metric("fit", fit(norm(rows), norm), 0)
        for i in range(4):
            value = retry(flaky, i)
            logger.log_metric("flaky", -1 if value is None else value, i)
        logger.finish()
    """,
    "settings.py": """
        SEED = 11
        NOISE = 0.1
        P_FAIL = 0.3
        ATTEMPTS = 3
        UNUSED = 1
    """,
    "helpers.py": """
        import csv

        def load(path):
            with open(path) as f:
                return [float(r[0]) for r in csv.reader(f)]

        class Normaliser:
            scale = 1.0
            def __init__(self, rows):
                self.mean = sum(rows) / len(rows)
            def __call__(self, rows):
                return [r - self.mean for r in rows]
    """,
    "rows.csv": "1\n2\n3\n4\n",
}

# One seed for all generators, set before the run opens.
_SEEDED = {
    "train.py": """
        import random
        import numpy as np
        from ato import Scope, SQLLogger
        scope = Scope()

        @scope.observe(default=True)
        def defaults(config):
            config.seed = 1
            config.n = 16
            config.lr = 0.1

        def set_seed(seed):
            random.seed(seed)
            np.random.seed(seed)

        def make_data(n):
            x = np.random.normal(size=(n, 2))
            return x, x[:, 0] - x[:, 1]

        @scope.runtime_trace
        def fit(x, y, w, config):
            for _ in range(5):
                w = w - config.lr * 2 * x.T @ (x @ w - y) / len(x)
            return w

        @scope
        def main(config):
            set_seed(config.seed)
            logger = SQLLogger(config)
            logger.run()
            x, y = make_data(config.n)
            w = fit(x, y, np.random.normal(size=2), config)
            logger.log_metric("norm", float(np.abs(w).sum()), 0)
            logger.finish()

        if __name__ == "__main__":
            main()
    """,
}

# A config file is read into a plain dict.
_PLAIN_CONFIG = {
    "train.py": """
        import yaml
        from ato import SQLLogger
        from ato.trace import runtime_trace

        @runtime_trace
        def step(w, lr):
            return w - lr * 2 * w

        def main():
            with open("config.yaml") as f:
                config = yaml.safe_load(f)
            logger = SQLLogger(config)
            logger.run()
            w = 1.0
            for i in range(config["steps"]):
                w = step(w, config["lr"])
                logger.log_metric("w", w, i)
            logger.finish()

        main()
    """,
    "config.yaml": "lr: 0.1\nsteps: 4\nname: x\n",
}

# A value that the script makes of two flags.
_DERIVED = {
    "train.py": """
        import argparse
        from ato import SQLLogger
        from ato.trace import runtime_trace

        @runtime_trace
        def step(w, lr):
            return w - lr * 2 * w

        def main():
            p = argparse.ArgumentParser()
            p.add_argument("--lr", type=float, default=0.1)
            p.add_argument("--batch", type=int, default=8)
            args = p.parse_args()
            config = vars(args)
            config["lr"] = args.lr * args.batch / 8
            logger = SQLLogger(config)
            logger.run()
            w = 1.0
            for i in range(5):
                w = step(w, config["lr"])
                logger.log_metric("w", w, i)
            logger.finish()

        main()
    """,
}

EVERYDAY: dict[str, dict[str, str]] = {
    "assorted": _ASSORTED,
    "files": _FILES,
    "settings": _SETTINGS,
    "seeded": _SEEDED,
    "plain_config": _PLAIN_CONFIG,
    "derived": _DERIVED,
}
