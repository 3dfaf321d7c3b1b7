"""Programs of many shapes, each a few lines, in which tests plant one change and ask why."""

from __future__ import annotations

from textwrap import dedent

from shapes_everyday import EVERYDAY

__all__ = ["SHAPES"]

# No function is `@scope`, all happens at module level, and the model stands in a global.
_SCRIPT = """
    import math
    import random
    import sys

    from ato import Scope, SQLLogger

    scope = Scope()
    LEARNING_RATE = 0.1
    STEPS = 4
    SEED = 7
    random.seed(SEED)
    points = [(x / 10, 2 * x / 10 + 1 + random.gauss(0, 0.1)) for x in range(20)]
    weights = {"slope": 0.0, "offset": 0.0}


    def predict(x):
        return weights["slope"] * x + weights["offset"]


    def loss(points):
        return sum((predict(x) - y) ** 2 for x, y in points) / len(points)


    @scope.runtime_trace
    def descend():
        slope = sum(2 * (predict(x) - y) * x for x, y in points) / len(points)
        offset = sum(2 * (predict(x) - y) for x, y in points) / len(points)
        weights["slope"] -= LEARNING_RATE * slope
        weights["offset"] -= LEARNING_RATE * offset


    def report(logger, number):
        logger.log_metric("loss", loss(points), number)


    logger = SQLLogger({"experiment": {"project_name": "script"}})
    logger.run()
    for number in range(STEPS):
        descend()
        report(logger, number)
    logger.finish()
"""

# Everything is a method, and the settings are a dataclass that the scope never sees.
_CLASSES = """
    import random
    from dataclasses import asdict, dataclass, field

    from ato import Scope, SQLLogger

    scope = Scope()


    @dataclass
    class Settings:
        lr: float = 0.1
        steps: int = 4
        seed: int = 3
        momentum: float = 0.5
        comment: str = "none"


    class Base:
        decay = 0.01

        def regularise(self, weight):
            return weight * (1 - self.decay)


    class Model(Base):
        def __init__(self, rng):
            self.weight = rng.random()

        def __call__(self, x):
            return self.weight * x


    class Optimizer:
        def __init__(self, lr, momentum):
            self.lr = lr
            self.momentum = momentum
            self.velocity = 0.0

        def step(self, model, gradient):
            self.velocity = self.momentum * self.velocity + gradient
            model.weight -= self.lr * self.velocity


    class Trainer:
        def __init__(self, settings):
            self.settings = settings
            rng = random.Random(settings.seed)
            self.model = Model(rng)
            self.optimizer = Optimizer(settings.lr, settings.momentum)
            self.data = [rng.random() for _ in range(8)]

        @scope.runtime_trace
        def step(self, x):
            error = self.model(x) - 3 * x
            self.optimizer.step(self.model, 2 * error * x)
            self.model.weight = self.model.regularise(self.model.weight)
            return error**2

        def fit(self, logger):
            for number in range(self.settings.steps):
                losses = [self.step(x) for x in self.data]
                logger.log_metric("loss", sum(losses) / len(losses), number)


    if __name__ == "__main__":
        settings = Settings()
        logger = SQLLogger(asdict(settings))
        logger.run()
        Trainer(settings).fit(logger)
        logger.finish()
"""

# argparse, and the namespace is passed around.
_ARGPARSE = """
    import argparse
    import math
    import random

    from ato import Scope, SQLLogger

    scope = Scope()


    def parse():
        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=0.1)
        parser.add_argument("--steps", type=int, default=4)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--act", default="tanh", choices=["tanh", "relu"])
        parser.add_argument("--tag", default="")
        return parser.parse_args()


    def activate(x, kind):
        return math.tanh(x) if kind == "tanh" else max(0.0, x)


    @scope.runtime_trace
    def step(weight, x, args):
        error = activate(weight * x, args.act) - 0.5
        return weight - args.lr * error * x


    def main():
        args = parse()
        logger = SQLLogger(vars(args))
        logger.run()
        random.seed(args.seed)
        weight = random.random()
        for number in range(args.steps):
            weight = step(weight, random.random(), args)
            logger.log_metric("weight", weight, number)
        logger.finish()


    if __name__ == "__main__":
        main()
"""

# Pure functions over arrays, closures and partials.
_FUNCTIONAL = """
    import functools
    import operator

    import numpy as np

    from ato import Scope, SQLLogger

    scope = Scope()
    TABLE = np.array([1.0, 2.0, 3.0])
    compose = lambda *fns: functools.reduce(lambda f, g: lambda x: g(f(x)), fns)


    def scale(factor):
        def apply(x):
            return x * factor

        return apply


    def shift(x, by):
        return x + by


    def squash(x):
        return np.tanh(x)


    forward = compose(scale(0.5), functools.partial(shift, by=0.1), squash)


    def gradient(params, x, y, eps=1e-4):
        base = cost(params, x, y)
        return np.array(
            [(cost(params + eps * row, x, y) - base) / eps for row in np.eye(len(params))]
        )


    def cost(params, x, y):
        return float(np.mean((forward(x @ (params * TABLE)) - y) ** 2))


    @scope.runtime_trace
    def update(params, x, y, lr):
        return params - lr * gradient(params, x, y)


    @scope.runtime_trace(inspect_fn=lambda batch: batch[0])
    def batch(rng, size):
        x = rng.normal(size=(size, 3))
        return x, np.sin(x.sum(axis=1))


    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.2
        config.size = 16
        config.steps = 4
        config.seed = 1
        config.dtype = "float64"


    @scope
    def train(config):
        logger = SQLLogger(config)
        logger.run()
        rng = np.random.default_rng(config.seed)
        params = np.zeros(3)
        for number in range(config.steps):
            x, y = batch(rng, config.size)
            params = update(params, x, y, config.lr).astype(config.dtype)
            logger.log_metric("cost", cost(params, x, y), number)
        logger.finish()


    train()
"""

# A package with sub-packages and a registry that a decorator fills; what runs is chosen by name.
_PACKAGE = {
    "train.py": """
        from lab.runner import main

        main()
    """,
    "lab/__init__.py": "",
    "lab/registry.py": """
        MODELS = {}


        def register(name):
            def add(cls):
                MODELS[name] = cls
                return cls

            return add


        def build(name, **options):
            return MODELS[name](**options)
    """,
    "lab/data/__init__.py": "from .loader import batches\n",
    "lab/data/loader.py": """
        import random

        from ..utils.text import clean

        WORDS = ["The", " cat", "sat ", "on", "A", "mat"]


        def batches(size, seed):
            rng = random.Random(seed)
            words = [clean(word) for word in WORDS]
            rng.shuffle(words)
            for start in range(0, len(words), size):
                yield words[start : start + size]
    """,
    "lab/utils/__init__.py": "",
    "lab/utils/text.py": """
        import re

        PATTERN = re.compile(r"\\s+")


        def clean(word):
            return strip(word).lower()


        def strip(word):
            return PATTERN.sub("", word)
    """,
    "lab/models/__init__.py": "from . import counting, weighing\n",
    "lab/models/counting.py": """
        from ..registry import register


        @register("counting")
        class Counting:
            def __init__(self, scale=1.0):
                self.scale = scale
                self.total = 0.0

            def forward(self, words):
                self.total += self.scale * sum(map(len, words))
                return self.total
    """,
    "lab/models/weighing.py": """
        from ..registry import register


        @register("weighing")
        class Weighing:
            def __init__(self, scale=1.0):
                self.scale = scale

            def forward(self, words):
                return self.scale * sum(ord(c) for word in words for c in word)
    """,
    "lab/runner.py": """
        from ato import ADict, Scope, SQLLogger

        from . import models
        from .data import batches
        from .registry import build

        scope = Scope()


        @scope.observe(default=True)
        def defaults(config):
            config.model = ADict(name="counting", scale=1.0)
            config.data = ADict(size=2, seed=0)
            config.note = ""


        @scope.runtime_trace
        def step(model, words):
            return model.forward(words)


        @scope
        def main(config):
            logger = SQLLogger(config)
            logger.run()
            model = build(config.model.name, scale=config.model.scale)
            for number, words in enumerate(batches(config.data.size, config.data.seed)):
                logger.log_metric("score", step(model, words), number)
            logger.finish()
    """,
}

# As exported from a notebook: one cell after the other, values recorded by name, no traced function.
_NOTEBOOK = """
    # %%
    import numpy as np

    import ato
    from ato import ADict, SQLLogger

    config = ADict(seed=0, noise=0.1, degree=3, ridge=1e-3, title="fit")
    logger = SQLLogger(config)
    logger.run()

    # %%
    rng = np.random.default_rng(config.seed)
    x = np.linspace(-1, 1, 40)
    y = np.sin(3 * x) + config.noise * rng.normal(size=x.shape)
    ato.record("y", y)

    # %%
    def features(x, degree):
        return np.stack([x**k for k in range(degree + 1)], axis=1)

    X = features(x, config.degree)
    ato.record("X", X)

    # %%
    w = np.linalg.solve(X.T @ X + config.ridge * np.eye(X.shape[1]), X.T @ y)
    ato.record("w", w)
    error = float(np.mean((X @ w - y) ** 2))
    logger.log_metric("error", error, 0)
    logger.finish()
"""

# A generator as the loader, global state, and a cache.
_STREAM = """
    import random

    from ato import Scope, SQLLogger

    scope = Scope()
    seen = []
    cache = {}


    @scope.observe(default=True)
    def defaults(config):
        config.seed = 0
        config.window = 3
        config.count = 12
        config.rate = 0.5
        config.warmup = 2
        config.unused = 0


    def read(path):
        with open(path) as file:
            return [float(line) for line in file]


    @scope.runtime_trace
    def windows(values, size, rng):
        values = list(values)
        rng.shuffle(values)
        for start in range(0, len(values), size):
            yield values[start : start + size]


    def smooth(values):
        return sum(values) / len(values)


    def remember(value):
        seen.append(value)
        return len(seen)


    @scope.runtime_trace
    def consume(state, values, config):
        number = remember(values[0])
        rate = config.rate if number > config.warmup else 0.0
        return state + rate * (smooth(values) - state)


    @scope
    def train(config):
        logger = SQLLogger(config)
        logger.run()
        values = read("values.txt")[: config.count]
        logger.log_input("values.txt")
        rng = random.Random(config.seed)
        state = 0.0
        for number, part in enumerate(windows(values, config.window, rng)):
            state = consume(state, part, config)
            logger.log_metric("state", state, number)
        logger.finish()


    train()
"""

# Workers: threads of a pool and processes of another.
_WORKERS = """
    import multiprocessing
    import random
    from concurrent.futures import ThreadPoolExecutor

    from ato import Scope, SQLLogger

    scope = Scope()


    @scope.observe(default=True)
    def defaults(config):
        config.seed = 0
        config.workers = 2
        config.power = 2
        config.bias = 0.5


    def transform(x):
        return x * 3 + 1


    @scope.runtime_trace
    def feature(x, config):
        return transform(x) ** config.power


    def score(x):
        return x / 7


    @scope.runtime_trace
    def reduce(values, config):
        return sum(values) + config.bias


    @scope
    def train(config):
        logger = SQLLogger(config)
        logger.run()
        rng = random.Random(config.seed)
        xs = [rng.random() for _ in range(6)]
        with ThreadPoolExecutor(config.workers) as pool:
            features = list(pool.map(lambda x: feature(x, config), xs))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            scores = pool.map(score, features)
        logger.log_metric("total", reduce(scores, config), 0)
        logger.finish()


    if __name__ == "__main__":
        train()
"""

# A scope, and no runtime traces at all.
_UNTRACED = """
    import random

    import helpers
    from ato import Scope, SQLLogger

    scope = Scope()


    @scope.observe(default=True)
    def defaults(config):
        config.seed = 0
        config.lr = 0.1
        config.steps = 5
        config.clip = 8.0
        config.verbose = False


    @scope
    def train(config):
        logger = SQLLogger(config)
        logger.run()
        random.seed(config.seed)
        weight = random.random()
        for number in range(config.steps):
            weight -= config.lr * helpers.clipped(helpers.slope(weight), config.clip)
            logger.log_metric("weight", weight, number)
        logger.finish()


    train()
"""
_HELPERS = """
    LIMIT = 10.0


    def slope(weight):
        return 2 * (weight - target())


    def target():
        return 3.0


    def clipped(value, limit):
        return max(-limit, min(limit, value, LIMIT))


    def unused(value):
        return value + 1
"""

SHAPES: dict[str, dict[str, str]] = {
    name: {file: dedent(text).lstrip("\n") for file, text in files.items()}
    for name, files in {
        "script": {"train.py": _SCRIPT},
        "classes": {"train.py": _CLASSES},
        "argparse": {"train.py": _ARGPARSE},
        "functional": {"train.py": _FUNCTIONAL},
        "package": _PACKAGE,
        "notebook": {"train.py": _NOTEBOOK},
        "stream": {
            "train.py": _STREAM,
            "values.txt": "".join(f"{number * 0.37:.2f}\n" for number in range(16)),
        },
        "workers": {"train.py": _WORKERS},
        "untraced": {"train.py": _UNTRACED, "helpers.py": _HELPERS},
        **EVERYDAY,
    }.items()
}
