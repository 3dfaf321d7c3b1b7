"""The answer as HTML: one page that holds all it needs, and a short form for notebooks."""

from __future__ import annotations

from ato.explain.render.html.page import render_compact, render_html

__all__ = ["render_compact", "render_html"]
