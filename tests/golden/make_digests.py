"""Write the golden digests of format 1: `python tests/golden/make_digests.py` from the checkout.

They are made by the reference encoder, not by the core, and they never change: another digest for
one of these values is another format, with a file of its own.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "digests_format_1.json"
sys.path.insert(0, str(HERE.parent))

from reference_encoder import (  # noqa: E402
    LEAF,
    LENGTHS,
    rows_digest,
    sketch,
    structure_digest,
    tensor_digest,
    value_digest,
)

# Kept as Python text in the file, so that it can be read and checked by hand.
VALUES: dict[str, Any] = {
    text: eval(text)  # noqa: S307 (literals of this file)
    for text in (
        "None",
        "True",
        "False",
        "0",
        "1",
        "-1",
        "127",
        "128",
        "-128",
        "255",
        "-(2**63)",
        "2**63 - 1",
        "2**63",
        "-(2**64)",
        "10**40",
        "0.0",
        "-0.0",
        "1.0",
        "0.1",
        "5e-324",
        "float('inf')",
        "-float('inf')",
        "float('nan')",
        "1j",
        "complex(float('nan'), -0.0)",
        "''",
        "'a'",
        "'Δ 🜁'",
        "'\\ud800'",
        "b''",
        "b'a'",
        "[]",
        "()",
        "{}",
        "set()",
        "frozenset()",
        "[None, True, 1, 1.0, '1', b'1']",
        "(1, (2, [3, {'a': (4,)}]))",
        "{'b': 1, 'a': [2], 3: None, (1, 2): {}, None: 0.5}",
        "{1, 'a', (2, 3), None}",
        "frozenset({frozenset({1}), frozenset()})",
        "{'lr': 0.1, 'layers': [64, 128], 'model': {'name': 'resnet', 'pretrained': False}}",
    )
}


def pattern(length: int) -> bytes:
    """Bytes that repeat at no block size."""
    return bytes(index * index % 251 for index in range(length))


# Lengths around a group, a leaf and a span of float64, and shapes around the rows of none and one.
SKETCHED = (0, 1, 63, 64, 65, LEAF // 8 - 1, LEAF // 8, LEAF // 8 + 1, 64 * LEAF // 8 + 65)
ROWS = ((), (0,), (1,), (7,), (0, 3), (3, 0), (5, 4), (2, 3, 4), (3, 100), (1000, 25))


def wave(count: int) -> list[float]:
    """Numbers of many sizes, some of them not finite, by arithmetic that has one result everywhere."""
    values = [(index * index % 251 - 125) * 2.0 ** (index % 40 - 20) for index in range(count)]
    for index, value in ((3, float("nan")), (66, float("inf")), (67, -float("inf"))):
        if index < count:
            values[index] = value
    return values


def float_bytes(values: list[float]) -> bytes:
    """Binary64, little-endian."""
    return struct.pack(f"<{len(values)}d", *values)


def digests() -> dict[str, dict[str, str]]:
    """Every golden digest, by kind and case."""
    tensors = {}
    for length in LENGTHS:
        data = pattern(length)
        for algorithm in ("xxh3", "blake3"):
            case = f"uint8 ({length},) {algorithm}"
            tensors[case] = tensor_digest("uint8", (length,), data, algorithm)
    for dtype, shape in (("float32", ()), ("float32", (1, 2, 0)), ("complex128", (3, 5))):
        size = {"float32": 4, "complex128": 16}[dtype]
        for axis in shape:
            size *= axis
        tensors[f"{dtype} {shape} xxh3"] = tensor_digest(dtype, shape, pattern(size))
    return {
        "ato value v1": {text: value_digest(value) for text, value in VALUES.items()},
        "ato config-structure v1": {
            text: structure_digest(value) for text, value in VALUES.items()
        },
        "tensors": tensors,
        "ato rows v1": {
            str(shape): rows_digest("float64", shape, float_bytes(wave(math.prod(shape))))
            for shape in ROWS
        },
        "ato sketch v1": {
            str(count): float_bytes(sketch(wave(count), 8)).hex() for count in SKETCHED
        },
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
