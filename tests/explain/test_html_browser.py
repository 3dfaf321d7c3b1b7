"""The page of an answer in a real browser, cut off from the network."""

from __future__ import annotations

import html as escaping
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from explained_pages import edited_project, hostile_db, page_of

# The page is looked at from around it, since a browser that runs no script cannot be asked either.
# `sandbox` without `allow-scripts` is the browser's own way to run none.
LOOK = """<!doctype html><meta charset="utf-8"><body><iframe sandbox="%s" style="width:%dpx;height:2000px"
srcdoc="%s"></iframe><pre id="seen"></pre><script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => setTimeout(() => {
  const page = frame.contentDocument, seen = {};
  seen.hacked = frame.contentWindow.hacked === undefined ? null : frame.contentWindow.hacked;
  seen.loaded = frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name);
  seen.width = [page.documentElement.scrollWidth, page.documentElement.clientWidth];
  seen.sections = [...page.querySelectorAll("section[id]")].map(e => [e.id, e.getBoundingClientRect().height]);
  seen.text = page.body.innerText;
  seen.lines = [...page.querySelectorAll("svg .series path")].map(e => {
    const style = frame.contentWindow.getComputedStyle(e), box = e.getBoundingClientRect();
    return [style.stroke, style.strokeDasharray, box.width + box.height];
  });
  seen.cards = [...page.querySelectorAll(".run, .cause")].map(e => e.getBoundingClientRect().height);
  document.querySelector("#seen").textContent = JSON.stringify(seen);
}, 50));
</script></body>"""


def look(page: str, folder: Path, *, scripts: bool = False, width: int = 1200) -> dict[str, Any]:
    """Open a page in Chromium, with every host unreachable, and report what is to be seen."""
    sandbox = "allow-same-origin allow-scripts" if scripts else "allow-same-origin"
    file = folder / "look.html"
    file.write_text(LOOK % (sandbox, width, escaping.escape(page)), encoding="utf-8")
    done = subprocess.run(
        [
            shutil.which("chromium") or "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=5000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    _, _, rest = done.stdout.partition('<pre id="seen">')
    text = escaping.unescape(rest.partition("</pre>")[0])
    assert text, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(text)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser without scripts shows of the page of two runs."""
    project = edited_project(tmp_path_factory.mktemp("page"))
    return look(page_of(project.folder / "experiments.db")[1], project.folder)


def test_the_page_is_readable_without_scripts(seen: dict[str, Any]) -> None:
    """Answer, curves, config, code and calls are there and have room, where no script runs."""
    heights = dict(seen["sections"])
    assert list(heights) == ["answer", "metrics", "config", "code", "calls", "rest"]
    assert all(height > 60 for height in heights.values())
    assert all(height > 50 for height in seen["cards"])
    for text in ("return value + random.random() * 0.3", "workers=4", "first divergence"):
        assert text in seen["text"]


def test_the_curves_are_drawn(seen: dict[str, Any]) -> None:
    """Each picture has a line for each run in its own colour, and a dashed one where they part."""
    strokes = [stroke for stroke, _, size in seen["lines"] if size > 20]
    dashed = [dash for _, dash, _ in seen["lines"] if dash != "none"]
    assert len(strokes) == 6  # two metrics, two runs and the divergence
    assert len(set(strokes)) == 3
    assert "none" not in strokes
    assert len(dashed) == 2


def test_the_page_loads_nothing(seen: dict[str, Any]) -> None:
    """The browser asked for no resource."""
    assert seen["loaded"] == []


@pytest.mark.parametrize("width", [1200, 480])
def test_the_page_fits_its_window(width: int, tmp_path: Path) -> None:
    """Hostile names, long as they are, make no page that must be scrolled sideways."""
    page = page_of(hostile_db(tmp_path))[1]
    whole, window = look(page, tmp_path, width=width)["width"]
    assert whole <= window


def test_nothing_that_users_name_is_executed(tmp_path: Path) -> None:
    """With scripts allowed and without the page's own policy, names stay text."""
    answer, page = page_of(hostile_db(tmp_path))
    bare = page.replace("Content-Security-Policy", "X-Not-A-Policy")
    assert look(bare, tmp_path, scripts=True)["hacked"] is None
    assert look(answer._repr_html_(), tmp_path, scripts=True)["hacked"] is None
    # The look would have found it:
    assert look(f"{bare}<script>hacked=1</script>", tmp_path, scripts=True)["hacked"] == 1
    # And the page's own policy forbids it all the same.
    assert look(f"{page}<script>hacked=1</script>", tmp_path, scripts=True)["hacked"] is None
