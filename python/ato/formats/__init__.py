"""Config files as plain values, each key with the line on which it stands.

Nothing here executes what it reads: YAML with Python tags is refused. The XYZ text has its own
room, `ato.xyz`.
"""

from __future__ import annotations

from ato.formats._plain import Loaded, plain
from ato.formats.json import dump_json, read_json
from ato.formats.toml import dump_toml, read_toml
from ato.formats.yaml import dump_yaml, read_yaml

__all__ = [
    "Loaded",
    "dump_json",
    "dump_toml",
    "dump_yaml",
    "plain",
    "read_json",
    "read_toml",
    "read_yaml",
]
