"""`python -m ato` is `ato`."""

from __future__ import annotations

from ato.cli import main

if __name__ == "__main__":
    main()
