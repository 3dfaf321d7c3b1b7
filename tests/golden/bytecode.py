"""Add to `bytecode.json` the digests of every function in `code_sample.txt`, for this interpreter.

Run it with each Python that is supported, and again for one only with a new version of the scheme
`ato bytecode`.

    python tests/golden/bytecode.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

from ato.code.bytecode import INTERPRETER, digest_code, qualified_name

HERE = Path(__file__).parent


def digests() -> list[str]:
    """Name and digest of every code object, in source order."""
    text = (HERE / "code_sample.txt").read_text(encoding="utf-8")
    module = compile(text, "<sample>", "exec", dont_inherit=True)
    return [f"{qualified_name(code)} {digest_code(code)}" for code in _inside(module)]


def _inside(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inside(constant)


if __name__ == "__main__":
    file = HERE / "bytecode.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    known[INTERPRETER] = digests()
    file.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
