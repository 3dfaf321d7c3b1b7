"""Write `code_logic.json`: the logic digests of every definition in `code_sample.txt`.

Run it only for a new version of the scheme `ato code-logic`: within one version the digests stay, in
every Python and with every release of libcst.

    python tests/golden/code_logic.py
"""

from __future__ import annotations

import json
from pathlib import Path

from ato.code.normalise import define

HERE = Path(__file__).parent


def digests() -> dict[str, list[str]]:
    """The digests by kind and qualified name; lambdas of one function share a name."""
    found: dict[str, list[str]] = {}
    text = (HERE / "code_sample.txt").read_text(encoding="utf-8")
    for definition in define(text).definitions:
        found.setdefault(f"{definition.kind} {definition.name}", []).append(definition.own)
        for decorator in definition.decorators:
            key = f"decorator {decorator.callee} of {definition.name}"
            found.setdefault(key, []).append(decorator.logic)
    return found


if __name__ == "__main__":
    (HERE / "code_logic.json").write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
