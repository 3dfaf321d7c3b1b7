"""The table of planted causes: one known change to a program, and what the answer must say of it.

`tests/explain/test_planted_table.py` asks each row, `python -m benches why` counts how often the first
cause is the planted one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ato.explain import Explanation
from projects import EXAMPLES, TrainingProject
from shapes import SHAPES

__all__ = ["PLANTED", "Planted", "baseline"]

_LIBRARIES = {
    "digits_torch": ("torch", "torch.utils.data", "torch._dynamo"),
    "digits": ("numpy",),
    "functional": ("numpy",),
    "notebook": ("numpy",),
}


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file, and what it becomes."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Planted:
    """A pair of runs of one program, and the cause that was planted between them.

    `first` edits make a baseline of its own, before run 1; `edits`, `tokens` and `variables` make
    run 2. `factor` and `subject` are those of the first cause, `also` the subjects of the others;
    `aside` gives the evidence for what changed and is no cause.
    """

    name: str
    program: str
    verdict: str
    factor: str | None = None
    subject: str | None = None
    evidence: str = "proven"
    kind: str | None = None
    edits: tuple[Edit, ...] = ()
    tokens: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    first: tuple[Edit, ...] = ()
    also: tuple[str, ...] = ()
    aside: dict[str, str] = field(default_factory=dict)
    divergence: str | None = None
    status: int = 0
    fresh: bool = False

    def ask(self, baselines: Path, folder: Path) -> Explanation:
        """Make both runs in `folder` (the first is shared where it can be), and ask why."""
        if self.first or self.fresh or self.variables:
            project = _laid_out(self.program, folder)
            _apply(project, self.first)
            project.run(fresh=self.fresh or bool(self.variables))
        else:
            project = baseline(self.program, baselines).copy(folder)
        _apply(project, self.edits)
        project.run(*self.tokens, status=self.status, fresh=self.fresh, **self.variables)
        return project.why()

    def is_first(self, answer: Explanation) -> bool:
        """Whether the first cause is the planted one; where none was planted, whether none is named."""
        if self.factor is None:
            return not answer.causes and answer.verdict == self.verdict
        if not answer.causes:
            return False
        change = answer.causes[0].change
        return (change.factor, change.subject) == (self.factor, self.subject)

    def faults(self, answer: Explanation) -> list[str]:
        """All in which the answer is not what it should be."""
        found = []
        if answer.verdict != self.verdict:
            found.append(f"verdict {answer.verdict}, not {self.verdict}")
        named = [(f.change.factor, f.change.subject, f.evidence) for f in answer.causes]
        wanted = [] if self.factor is None else [(self.factor, self.subject, self.evidence)]
        if named[:1] != wanted:
            found.append(f"causes {named}, not {wanted}")
        if {name for _, name, _ in named[1:]} != set(self.also):
            found.append(f"other causes {named[1:]}, not {self.also}")
        if self.kind is not None and answer.causes and answer.causes[0].change.kind != self.kind:
            found.append(f"kind {answer.causes[0].change.kind}, not {self.kind}")
        aside = {f.change.subject: f.evidence for f in answer.also_changed}
        for subject, evidence in self.aside.items():
            if aside.get(subject) != evidence:
                found.append(f"{subject} is {aside.get(subject)}, not {evidence}")
        # What is installed besides changes while tests run; it is ruled out, and no matter here.
        installed = {
            f.change.subject
            for f in answer.also_changed
            if f.change.factor == "environment" and f.evidence == "ruled_out"
        }
        for subject in aside.keys() - self.aside.keys() - installed:
            found.append(f"{subject} is {aside[subject]} and should not be named")
        split = answer.first_divergence
        if self.divergence is not None and (split is None or split.kind != self.divergence):
            found.append(f"divergence {split and split.kind}, not {self.divergence}")
        return found


def baseline(program: str, folder: Path) -> TrainingProject:
    """A program with its first run recorded, made once for each folder."""
    place = folder / program
    if place.exists():
        return TrainingProject(place, _LIBRARIES.get(program, ()))
    project = _laid_out(program, place)
    project.run()
    return project


def _laid_out(program: str, folder: Path) -> TrainingProject:
    if program in SHAPES:
        for name, text in SHAPES[program].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return TrainingProject(folder, _LIBRARIES.get(program, ()))
    return TrainingProject(EXAMPLES / program, _LIBRARIES[program]).copy(folder)


def _apply(project: TrainingProject, edits: tuple[Edit, ...]) -> None:
    for edit in edits:
        project.edit(edit.file, edit.old, edit.new)


def _code(  # noqa: PLR0913 (a row of the table)
    name: str,
    program: str,
    subject: str,
    file: str,
    old: str,
    new: str,
    kind: str = "logic",
    **rest: object,
) -> Planted:
    """A row in which one piece of code is edited and is the proven cause."""
    return Planted(
        name,
        program,
        "explained",
        "code",
        subject,
        kind=kind,
        edits=(Edit(file, old, new),),
        **rest,  # type: ignore[arg-type]
    )


def _config(name: str, program: str, subject: str, *tokens: str, **rest: object) -> Planted:
    """A row in which a key is set on the command line and is the proven cause."""
    return Planted(
        name,
        program,
        "explained",
        "config",
        subject,
        kind="value",
        tokens=tokens,
        **rest,  # type: ignore[arg-type]
    )


_TORCH = (
    _config("dropout rate", "digits_torch", "dropout", "dropout=0.5"),
    _config("learning rate of the optimizer", "digits_torch", "lr", "lr=0.1"),
    _config("weight decay", "digits_torch", "decay", "decay=0.1"),
    _config("momentum", "digits_torch", "momentum", "momentum=0.5"),
    _config("seed of the weights", "digits_torch", "seed", "seed=1"),
    _config("batch size", "digits_torch", "batch_size", "batch_size=30"),
    _config("hidden width", "digits_torch", "hidden", "hidden=16"),
    _config("schedule", "digits_torch", "gamma", "gamma=0.9"),
    _config("fewer epochs", "digits_torch", "epochs", "epochs=2", divergence="missing"),
    _config("part held out", "digits_torch", "validation", "validation=0.5"),
    _code(
        "loss swapped",
        "digits_torch",
        "optim.loss_of",
        "optim.py",
        "nn.functional.cross_entropy(scores, labels)",
        "nn.functional.multi_margin_loss(scores, labels)",
    ),
    _code("eval forgotten", "digits_torch", "train.evaluate", "train.py", "    model.eval()\n", ""),
    _code(
        "clipping removed",
        "digits_torch",
        "train.train_step",
        "train.py",
        "    optim.clip(model)\n",
        "",
    ),
    _code(
        "limit of clipping",
        "digits_torch",
        "optim.LIMIT",
        "optim.py",
        "LIMIT = 0.3",
        "LIMIT = 0.1",
        "constant",
    ),
    _code("augmentation", "digits_torch", "data.jitter", "data.py", "0.05 *", "0.2 *", "constant"),
    _code(
        "optimizer",
        "digits_torch",
        "optim.make_optimizer",
        "optim.py",
        "torch.optim.SGD(\n        model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.decay\n    )",
        "torch.optim.Adagrad(model.parameters(), lr=config.lr, weight_decay=config.decay)",
    ),
    _code(
        "order of the scheduler",
        "digits_torch",
        "train.train",
        "train.py",
        "        for images, labels in loader:\n            loss = train_step(model, optimizer, images, labels)\n        scheduler.step()\n",
        "        scheduler.step()\n        for images, labels in loader:\n            loss = train_step(model, optimizer, images, labels)\n",
    ),
    _code(
        "forward of a module",
        "digits_torch",
        "model.Net.forward",
        "model.py",
        "self.head(self.drop(self.second(self.first(images))))",
        "self.head(self.second(self.drop(self.first(images))))",
    ),
    _code(
        "attribute of a module's class",
        "digits_torch",
        "model.Block.slope",
        "model.py",
        "slope = 0.01",
        "slope = 0.2",
        "constant",
    ),
    _code(
        "layer added",
        "digits_torch",
        "model.Net.__init__",
        "model.py",
        "        self.drop = nn.Dropout(dropout)\n",
        "        self.drop = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, hidden))\n",
    ),
    _code(
        "initial weights",
        "digits_torch",
        "model.Block.__init__",
        "model.py",
        "        self.linear = nn.Linear(inputs, outputs)\n",
        "        self.linear = nn.Linear(inputs, outputs)\n        nn.init.zeros_(self.linear.bias)\n",
    ),
    _code(
        "dtype",
        "digits_torch",
        "data.normalise",
        "data.py",
        "images.float()",
        "(images.float() / 3).half().float() * 3",
    ),
    _code(
        "an extra draw upstream",
        "digits_torch",
        "train.train",
        "train.py",
        "    model = Net(",
        "    torch.rand(1)\n    model = Net(",
    ),
    _code(
        "shuffling turned off",
        "digits_torch",
        "train.train",
        "train.py",
        "shuffle=True",
        "shuffle=False",
        "constant",
    ),
    _code(
        "a layer's attribute mutated",
        "digits_torch",
        "train.train",
        "train.py",
        "    optimizer = optim",
        "    model.drop.p = 0.4\n    optimizer = optim",
    ),
    _code(
        "hook registered",
        "digits_torch",
        "train.train",
        "train.py",
        "    optimizer = optim",
        "    model.head.register_forward_hook(lambda module, given, out: out * 2)\n    optimizer = optim",
    ),
    _code(
        "part frozen",
        "digits_torch",
        "train.train",
        "train.py",
        "    optimizer = optim",
        "    model.first.requires_grad_(False)\n    optimizer = optim",
    ),
    _code(
        "gradients not reset",
        "digits_torch",
        "train.train_step",
        "train.py",
        "    optimizer.zero_grad()\n",
        "",
    ),
    Planted(
        "deterministic algorithms",
        "digits_torch",
        "explained",
        "code",
        "train.train",
        edits=(
            Edit(
                "train.py",
                "    model = Net(",
                "    torch.use_deterministic_algorithms(True)\n    torch.rand(1)\n    model = Net(",
            ),
        ),
    ),
    Planted(
        "label flipped in a file",
        "digits_torch",
        "explained",
        "data",
        "digits.csv",
        kind="content",
        edits=(
            Edit(
                "digits.csv",
                "\n2,0,0,0,4,15,12,0,0,0,0,3,16,15",
                "\n7,0,0,0,4,15,12,0,0,0,0,3,16,15",
            ),
        ),
    ),
    Planted(
        "comment and an unread key",
        "digits_torch",
        "identical",
        edits=(Edit("data.py", "    return image + 0.05", "    # noise\n    return image + 0.05"),),
        tokens=("log_every=2",),
        aside={"data.jitter": "cosmetic", "log_every": "ruled_out"},
    ),
    Planted(
        "early, late and irrelevant",
        "digits_torch",
        "explained",
        "code",
        "data.jitter",
        kind="constant",
        edits=(
            Edit("data.py", "0.05 *", "0.2 *"),
            Edit("train.py", "    model.eval()\n", ""),
        ),
        tokens=("log_every=2",),
        aside={"train.evaluate": "later", "log_every": "ruled_out"},
    ),
    Planted(
        "a view that sets two keys of one call",
        "digits_torch",
        "ambiguous",
        "config",
        "decay",
        evidence="possible",
        tokens=("regularised",),
        also=("dropout",),
    ),
    Planted("workers", "digits_torch", "explained", "config", "workers", tokens=("workers=2",)),
)

_SHAPED = (
    # script
    _code(
        "constant of a script",
        "script",
        "train.LEARNING_RATE",
        "train.py",
        "LEARNING_RATE = 0.1",
        "LEARNING_RATE = 0.2",
        "constant",
    ),
    _code(
        "seed in a script", "script", "train.SEED", "train.py", "SEED = 7", "SEED = 8", "constant"
    ),
    _code(
        "number of steps in a script",
        "script",
        "train.STEPS",
        "train.py",
        "STEPS = 4",
        "STEPS = 6",
        "constant",
        divergence="missing",
    ),
    _code(
        "helper over a global",
        "script",
        "train.predict",
        "train.py",
        'weights["slope"] * x + weights["offset"]',
        'weights["slope"] * x - weights["offset"]',
    ),
    _code(
        "a metric's own function",
        "script",
        "train.loss",
        "train.py",
        "** 2 for x, y in points) / len(points)\n\n\n@",
        "** 4 for x, y in points) / len(points)\n\n\n@",
        "constant",
    ),
    _code(
        "data made by a script",
        "script",
        "train.points",
        "train.py",
        "gauss(0, 0.1)",
        "gauss(0, 0.2)",
        "constant",
    ),
    _code(
        "initial weights in a script",
        "script",
        "train.weights",
        "train.py",
        '"offset": 0.0',
        '"offset": 1.0',
        "constant",
    ),
    Planted(
        "unseeded script",
        "script",
        "ambiguous",
        "randomness",
        "random",
        "possible",
        first=(Edit("train.py", "random.seed(SEED)\n", ""),),
    ),
    Planted(
        "comments in a script",
        "script",
        "identical",
        edits=(Edit("train.py", "    return sum(", "    # mean\n    return sum("),),
        aside={"train.loss": "cosmetic"},
    ),
    # classes
    _code(
        "base class's attribute",
        "classes",
        "train.Base.decay",
        "train.py",
        "decay = 0.01",
        "decay = 0.1",
        "constant",
    ),
    _code(
        "method",
        "classes",
        "train.Optimizer.step",
        "train.py",
        "self.momentum * self.velocity + gradient",
        "self.momentum * self.velocity - gradient",
    ),
    Planted(
        "dataclass default",
        "classes",
        "explained",
        "config",
        "lr",
        kind="value",
        edits=(Edit("train.py", "lr: float = 0.1", "lr: float = 0.2"),),
    ),
    Planted(
        "dataclass seed",
        "classes",
        "explained",
        "config",
        "seed",
        kind="value",
        edits=(Edit("train.py", "seed: int = 3", "seed: int = 4"),),
    ),
    Planted(
        "dataclass steps",
        "classes",
        "explained",
        "config",
        "steps",
        kind="value",
        edits=(Edit("train.py", "steps: int = 4", "steps: int = 3"),),
    ),
    _code(
        "init draws more",
        "classes",
        "train.Model.__init__",
        "train.py",
        "self.weight = rng.random()",
        "self.weight = rng.random() + rng.random()",
    ),
    _code(
        "data in init",
        "classes",
        "train.Trainer.__init__",
        "train.py",
        "range(8)",
        "range(6)",
        "constant",
    ),
    _code("traced method", "classes", "train.Trainer.step", "train.py", "error**2", "abs(error)"),
    # argparse
    Planted("argparse flag", "argparse", "explained", "config", "lr", tokens=("--lr", "0.2")),
    Planted("argparse choice", "argparse", "explained", "config", "act", tokens=("--act", "relu")),
    Planted(
        "argparse seed",
        "argparse",
        "ambiguous",
        "config",
        "seed",
        "possible",
        tokens=("--seed", "3"),
    ),
    Planted(
        "argparse steps",
        "argparse",
        "ambiguous",
        "config",
        "steps",
        "possible",
        tokens=("--steps", "6"),
    ),
    Planted(
        "argparse default",
        "argparse",
        "explained",
        "config",
        "lr",
        edits=(Edit("train.py", "default=0.1)", "default=0.2)"),),
    ),
    _code(
        "argparse helper",
        "argparse",
        "train.activate",
        "train.py",
        "math.tanh(x)",
        "math.tanh(2 * x)",
    ),
    # functional
    _code(
        "closure",
        "functional",
        "train.scale.<locals>.apply",
        "train.py",
        "return x * factor",
        "return x / factor",
    ),
    _code(
        "argument of a closure",
        "functional",
        "train.scale.<locals>.apply",
        "train.py",
        "scale(0.5)",
        "scale(0.6)",
        "constant",
    ),
    _code(
        "argument of a partial",
        "functional",
        "train.<lambda>.<locals>.<lambda>.<locals>.<lambda>",
        "train.py",
        "by=0.1",
        "by=0.2",
        "constant",
    ),
    _code(
        "array constant",
        "functional",
        "train.TABLE",
        "train.py",
        "2.0, 3.0",
        "2.0, 4.0",
        "constant",
    ),
    _code(
        "default of a parameter",
        "functional",
        "train.gradient",
        "train.py",
        "eps=1e-4",
        "eps=1e-2",
        "constant",
    ),
    _code(
        "function at the end of a chain",
        "functional",
        "train.squash",
        "train.py",
        "np.tanh(x)",
        "np.arctan(x)",
    ),
    _config("dtype in the config", "functional", "dtype", "dtype=float32"),
    _config("seed in the config", "functional", "seed", "seed=2"),
    _config("size in the config", "functional", "size", "size=8", divergence="shape"),
    # package
    _code(
        "helper deep in a package",
        "package",
        "lab.utils.text.strip",
        "lab/utils/text.py",
        'sub("", word)',
        'sub("_", word)',
        "constant",
    ),
    _code(
        "constant of a package",
        "package",
        "lab.data.loader.WORDS",
        "lab/data/loader.py",
        '"mat"',
        '"mats"',
        "constant",
    ),
    _code(
        "pattern of a package",
        "package",
        "lab.utils.text.PATTERN",
        "lab/utils/text.py",
        "\\s+",
        "[a-c]+",
        "constant",
    ),
    _code(
        "class of a registry",
        "package",
        "lab.models.counting.Counting.forward",
        "lab/models/counting.py",
        "self.total += ",
        "self.total -= ",
    ),
    _config("name in a registry", "package", "model.name", "model.name=weighing"),
    _config("scale", "package", "model.scale", "model.scale=2.0"),
    _config("seed of a loader", "package", "data.seed", "data.seed=5"),
    _config("size of batches", "package", "data.size", "data.size=3"),
    Planted(
        "class that was not built",
        "package",
        "identical",
        edits=(Edit("lab/models/weighing.py", "self.scale * sum", "self.scale + sum"),),
        aside={"lab.models.weighing.Weighing.forward": "ruled_out"},
    ),
    # notebook
    Planted(
        "ridge of a notebook",
        "notebook",
        "explained",
        "config",
        "ridge",
        kind="value",
        edits=(Edit("train.py", "ridge=1e-3", "ridge=1e-1"),),
    ),
    _code(
        "function of a notebook",
        "notebook",
        "train.features",
        "train.py",
        "range(degree + 1)",
        "range(degree + 2)",
        "constant",
    ),
    # stream
    Planted(
        "rows of a file reordered",
        "stream",
        "explained",
        "data",
        "values.txt",
        edits=(Edit("values.txt", "0.37\n0.74\n", "0.74\n0.37\n"),),
    ),
    Planted(
        "content of a file",
        "stream",
        "explained",
        "data",
        "values.txt",
        kind="content",
        edits=(Edit("values.txt", "0.37\n", "0.39\n"),),
    ),
    _config("window of a generator", "stream", "window", "window=4", divergence="missing"),
    _config("number of items", "stream", "count", "count=9"),
    _config("seed of a generator's shuffle", "stream", "seed", "seed=1"),
    _config("warm-up over global state", "stream", "warmup", "warmup=0"),
    _code(
        "helper of a consumer",
        "stream",
        "train.smooth",
        "train.py",
        "sum(values) / len(values)",
        "max(values)",
    ),
    _code(
        "global state",
        "stream",
        "train.remember",
        "train.py",
        "return len(seen)",
        "return len(seen) * 2",
    ),
    _code(
        "shuffle removed", "stream", "train.windows", "train.py", "    rng.shuffle(values)\n", ""
    ),
    Planted(
        "a failed run",
        "stream",
        "explained",
        "code",
        "train.smooth",
        kind="logic",
        status=1,
        edits=(
            Edit(
                "train.py",
                "    return sum(values) / len(values)",
                "    assert max(values) < 3\n    return sum(values) / len(values)",
            ),
        ),
        divergence="outcome",
    ),
    Planted(
        "a NaN",
        "stream",
        "explained",
        "code",
        "train.smooth",
        kind="logic",
        edits=(
            Edit(
                "train.py",
                "    return sum(values) / len(values)",
                "    return sum(values) / len(values) if max(values) < 3 else float('nan')",
            ),
        ),
        divergence="nan",
    ),
    # workers
    _code(
        "helper in threads",
        "workers",
        "train.transform",
        "train.py",
        "x * 3 + 1",
        "x * 3 + 2",
        "constant",
    ),
    _config("key in threads", "workers", "power", "power=3"),
    _config("key after workers", "workers", "bias", "bias=0.7"),
    _code(
        "helper in processes", "workers", "train.score", "train.py", "x / 7", "x / 8", "constant"
    ),
    _config("seed before threads", "workers", "seed", "seed=4"),
    # untraced
    Planted(
        "untraced key",
        "untraced",
        "ambiguous",
        "config",
        "lr",
        "possible",
        "value",
        tokens=("lr=0.2",),
    ),
    Planted(
        "untraced seed",
        "untraced",
        "ambiguous",
        "config",
        "seed",
        "possible",
        "value",
        tokens=("seed=3",),
    ),
    Planted(
        "untraced helper",
        "untraced",
        "ambiguous",
        "code",
        "helpers.target",
        "possible",
        "constant",
        edits=(Edit("helpers.py", "return 3.0", "return 4.0"),),
    ),
    Planted(
        "untraced steps and an unused helper",
        "untraced",
        "ambiguous",
        "config",
        "steps",
        "possible",
        tokens=("steps=6",),
        edits=(Edit("helpers.py", "value + 1", "value + 2"),),
    ),
    Planted(
        "untraced unread key",
        "untraced",
        "identical",
        tokens=("verbose=True",),
        aside={"verbose": "ruled_out"},
    ),
)

PLANTED: tuple[Planted, ...] = _TORCH + _SHAPED
