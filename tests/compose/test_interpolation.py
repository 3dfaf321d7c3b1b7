"""Interpolations, beside OmegaConf's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ato.compose.resolution import Resolution
from ato.exceptions import ConfigFileError

BASE: dict[str, Any] = {
    "x": "X",
    "d": {"a": 1, "l": [5, 6], "s": "${.a}", "u": "${..x}"},
    "k": "a",
    "e": "env",
    "n": None,
    "f": 1.0,
    "t": '[1, "a"]',
    "a/b": 9,
    "a-b": 10,
    "p": "${d}",
    "m": "???",
    "P": "${D}",
    "D": {"q": "${P.x}", "x": 1},
}
TEXTS = [
    r"a\\b ${x}", r"\${x}", r"\\${x}", r"\\\${x}", r"a\\\\${x}", "${x}$", "$", "$${x}", "a$b${x}",
    r"\$${x}", "${x}}", "{${x}", r"a\b${x}", "${x}\\\\", "${ x }", '${"x"}', "${}", "${x", "${a b}",
    "${d[a]}", "${d.l[0]}", "${d.l.1}", "${d.l.7}", "${[d][a]}", "${d[${k}]}", "${d.${k}}", "${d}",
    "${d.l}", "${p.a}", "${p}", "${p.s}", "${p.u}", "${P}", "${D.q}", "${m}", "${v}", "${v.a}",
    "${q.w}", "${..x}", "${.x}", "${a-b}", "${a/b}", "${n}", "z${n}${f}", "z${d.l}",
    "${oc.${e}:ATO_TEST_SET}", "${oc.env:ATO_TEST_NONE,12}", "${oc.env:ATO_TEST_NONE,null}",
    "${oc.env:ATO_TEST_NONE}", "${oc.env:'ATO_TEST_SET'}", "${oc.nope:1}", "${oc.dict.keys:d}",
    "${oc.dict.values:d}", "${oc.dict.keys:x}", "${oc.create:{a:1}}", '${oc.decode:"[1,2]"}',
    "${oc.decode:${t}}", "${oc.decode:${n}}", "${oc.decode:3 4}", "${oc.decode:'[1'}",
    "${oc.select:m,3}", "${oc.select:m}", "${oc.select:n,4}", '${oc.select:"d.a"}',
    "${oc.select:d.zz,7}", "${oc.select:.x}", "${oc.deprecated:x}",
    "${oc.select:'x y',3}", "${oc.select:y,a b}", "${oc.select:y, [1, 2 ]}", "${oc.select:y,}",
    "${oc.select:y,{a:1,b: c d}}", '${oc.select:y,"q ${x}"}', "${oc.select:y,-inf}",
    "${oc.select:y,1_000}", "${oc.select:y,01}", "${oc.select:y,1e3}", "${oc.select:y,.5}",
    "${oc.select:y,1.}", "${oc.select:y,a:b}", "${oc.select:y,TRUE}", "${oc.select:y,nULL}",
    "${oc.select:y,${x}}", "${oc.select:y,${x}1}", r"${oc.select:y, a\,b }", '${oc.select:y,"a" b}',
    "${oc.select:y,a'b}", r"${oc.select:y,a\\b}", r"${oc.select:y,'a\\'}", r"${oc.select:y,'a\'b'}",
    "${oc.select:y,[}", "${oc.select:y,{a:1}", "${oc.select:y,[[],{}]}", "${oc.select:y,[a,,b]}",
    "${oc.select:y,{a: [1,'x']}}", '${oc.select:y,"it\'s"}', "${oc.select:y, a${x} b }",
]  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("ATO_TEST_SET", "set")
    monkeypatch.delenv("ATO_TEST_NONE", raising=False)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_the_value_that_omegaconf_gives_it(text):
    """Value and type are those of `to_container(resolve=True)`; what it refuses is refused."""
    same(text)


PIECES = st.sampled_from(
    ["$", "{", "}", "\\", "${x}", "${d.a}", "${n}", "${.k}", "a", " ", "'", ":", ",", "${d.${k}}",
     "${oc.select:zz,", "[1,2]", '"', "null", "1.5", "}"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=7).map("".join))
def test_random_texts_are_resolved_alike(text):
    """Texts of random pieces have OmegaConf's values, wherever OmegaConf can read them."""
    same(text, lenient=True)


def same(text: str, *, lenient: bool = False) -> None:
    config = {**BASE, "v": text}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = OmegaConf.to_container(OmegaConf.create(config), resolve=True)["v"]
        except Exception:
            if lenient:  # a few marks may stand unquoted here that its grammar refuses
                return
            with pytest.raises((ConfigFileError, KeyError), match=r"^conf\.yaml:1: "):
                Resolution(config, lambda _: "conf.yaml:1").value()
            return
        found = Resolution(config, lambda _: "conf.yaml:1").value()["v"]
    assert repr(found) == repr(expected)


def test_a_deprecated_key_warns():
    """`oc.deprecated` gives the new key's value, with a warning that names both and the place."""
    config = {"old": "${oc.deprecated:new}", "new": 3}
    with pytest.warns(UserWarning, match=r"c\.yaml:1: 'old' is deprecated; use 'new'"):
        assert Resolution(config, lambda _: "c.yaml:1").value()["old"] == 3
