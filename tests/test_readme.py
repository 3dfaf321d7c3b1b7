"""Every code block of the README, executed as a reader would.

A section (a `##` or `###` heading) has a folder of its own, unless it begins with commands: then it
goes on in that of the section before. A `python` block whose first line is a
comment with a file name is written to that file; any other one is run as a script, and a `text`
block right after it is what it prints. A `console` block holds commands after `$ ` and what they
print; `...` stands for anything. A `bash` block is what `.ci/run` executes, to the letter.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    language: str
    text: str
    line: int


@dataclass
class Section:
    title: str
    blocks: list[Block] = field(default_factory=list)


def sections() -> list[Section]:
    """The sections that have code, each with what goes on in its folder."""
    found: list[Section] = []
    for section in headed():
        if found and section.blocks[0].language == "console":
            found[-1].blocks += section.blocks
        else:
            found.append(section)
    return found


def headed() -> Iterator[Section]:
    section = Section("top")
    block: Block | None = None
    for number, line in enumerate(README.read_text(encoding="utf-8").splitlines(), 1):
        if block is not None:
            if line.startswith("```"):
                section.blocks.append(block)
                block = None
            else:
                block.text += line + "\n"
        elif line.startswith("```"):
            block = Block(line[3:].strip(), "", number + 1)
        elif re.match(r"##+ ", line):
            if section.blocks:
                yield section
            section = Section(line.lstrip("# "))
    if section.blocks:
        yield section


def expect(got: str, want: str, block: Block) -> None:
    checker = doctest.OutputChecker()
    assert checker.check_output(want, got, FLAGS), (
        f"README.md:{block.line}\nexpected:\n{want}\ngot:\n{got}"
    )


def run(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        shell=isinstance(command, str),
        executable="/bin/bash" if isinstance(command, str) else None,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )


def run_console(block: Block, folder: Path) -> None:
    """Run each command and compare what it prints, and whether it says so by its exit status."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"README.md:{block.line}: text before the first command"
    for part in parts[1:]:
        command, _, want = part.partition("\n")
        done = run(command, folder)
        expect(done.stdout, want, block)
        assert done.returncode in statuses(command, done.stdout), (
            f"README.md:{block.line}: `{command}` exits with status {done.returncode}"
        )


def statuses(command: str, printed: str) -> set[int]:
    """The exit statuses that a command may have after what it printed."""
    if "error:" in printed or printed.startswith("ato: "):
        return {2}
    return {0, 1} if command.startswith("ato why") else {0}


SECTIONS = sections()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_the_code_of_a_section_does_what_it_says(section: Section, tmp_path: Path) -> None:
    """Each block runs, and prints what stands below it."""
    printed: str | None = None
    for number, block in enumerate(section.blocks):
        if block.language == "python":
            named = re.match(r"# (\w+\.py)\n", block.text)
            file = tmp_path / (named[1] if named else f"block_{number}.py")
            file.write_text(block.text, encoding="utf-8")
            printed = None
            if not named:
                done = run([sys.executable, file.name], tmp_path)
                printed = done.stdout
                assert done.returncode == 0, printed
        elif block.language == "text":
            assert printed is not None, f"README.md:{block.line}: nothing ran before this text"
            expect(printed, block.text, block)
        elif block.language == "console":
            run_console(block, tmp_path)
        else:
            assert block.language == "bash", f"README.md:{block.line}: {block.language}?"


@pytest.mark.checkout
def test_the_install_commands_are_those_that_ci_runs() -> None:
    """Each line of a `bash` block is a line of `.ci/run` that is executed, word for word."""
    script = [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    executed = {line for line in script if not line.startswith("#")}
    lines = [
        line
        for section in SECTIONS
        for block in section.blocks
        if block.language == "bash"
        for line in block.text.splitlines()
    ]
    assert len(lines) >= 2
    for line in lines:
        assert line.strip() in executed, line
