"""Bodies of small functions, for properties of what is made of them."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["STATEMENTS"]

_names = st.sampled_from(["a", "b", "c"])
_atoms = st.one_of(
    _names, st.integers(0, 10**6).map(str), st.sampled_from(["'text'", "1.5", "None", "h(x)"])
)
_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "*", "-", "and", "<", "@", "//"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(inner, inner).map(lambda t: f"g({t[0]}, key={t[1]})"),
        inner.map(lambda e: f"[{e}, {e}]"),
        inner.map(lambda e: f"{{'k': {e}}}"),
        inner.map(lambda e: f"(lambda q: {e})"),
        inner.map(lambda e: f"[v for v in {e} if v]"),
        inner.map(lambda e: f"(not {e})"),
    ),
    max_leaves=8,
)
STATEMENTS = st.lists(
    st.one_of(
        st.tuples(_names, _expressions).map(lambda t: f"{t[0]} = {t[1]}"),
        _expressions.map(lambda e: f"if {e}:\n        a = {e}\n    else:\n        b = 1"),
        _expressions.map(lambda e: f"for c in {e}:\n        g(c)"),
        _expressions.map(lambda e: f"return {e}"),
    ),
    min_size=1,
    max_size=5,
)
