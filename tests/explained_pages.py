"""Pages of HTML under test: two runs to explain, and what a parser finds on the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from stores import config_for

from ato import SQLLogger
from ato.explain import Explanation, explain, load_runs
from ato.explain.render.html import render_html
from projects import TrainingProject, script_project

SCRIPT = """
import random

from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.1
    config.workers = 2
    config.steps = 8


def noise(value):
    return value + random.random() * 0.1


@scope.runtime_trace
def batch(step):
    return [noise(step), noise(step)]


@scope.runtime_trace
def update(weight, values, config):
    return weight - config.lr * sum(values) / 100


@scope
def train(config):
    random.seed(0)
    logger = SQLLogger(config)
    logger.run(name="before")
    weight = 1.0
    for step in range(config.steps):
        weight = update(weight, batch(step), config)
        logger.log_metrics({"weight": weight, "square": weight**2}, step)
    logger.log_metric("final", weight, 0)
    logger.finish()


train()
"""

HOSTILE = "</style></title><script>hacked=1</script><img src=x onerror=hacked=1>\"'>{{7*7}}"
STEERING = "a\x1b[31mb\x00c\u202ed\udcffe"

VOID = {"meta", "link", "img", "br", "hr", "input", "col", "base", "embed", "source", "wbr"}


def edited_project(folder: Path) -> TrainingProject:
    """Two runs: the second has another constant in a helper, and another number of workers."""
    project = script_project(folder, SCRIPT)
    project.run()
    project.edit("train.py", "random.random() * 0.1", "random.random() * 0.3")
    project.edit("train.py", 'name="before"', 'name="after"')
    project.run("workers=4")
    return project


def page_of(db: Path, a: int | str = 1, b: int | str = 2) -> tuple[Explanation, str]:
    """The answer and its page."""
    first, second = load_runs(a, b, db=str(db))
    answer = explain(first, second)
    return answer, render_html(answer, first, second)


@dataclass
class Page(HTMLParser):
    """What stands on a page: elements, attributes, texts by the id of their section."""

    html: str
    elements: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str | None]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, str | None]] = []
        self.feed(self.html)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> closed by </{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] == "style":
            return
        self.texts.append(data)
        for _, name in self._open:
            if name is not None:
                self.sections[name] = self.sections.get(name, "") + data

    @property
    def text(self) -> str:
        return "".join(self.texts)


def hostile_db(folder: Path) -> Path:
    """A store in which whatever a user can name is written to break a page."""
    db = folder / "runs.db"
    for value in (1, 2):
        config = config_for(db, project=HOSTILE, **{HOSTILE: f"{HOSTILE}{value}", "k": STEERING})
        config[f"only{value}"] = HOSTILE
        logger = SQLLogger(config)
        logger.run(name=f"{HOSTILE}{value}", tags=[HOSTILE])
        for step in range(3):
            logger.log_metric(HOSTILE, value * step, step)
        logger.log_metric(STEERING, value, 0)
        data = folder / "data <b>.csv"
        data.write_text(str(value))
        logger.log_input(data)
        logger.finish()
    return db
