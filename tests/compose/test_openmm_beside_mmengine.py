"""OpenMMLab configs: what mmengine makes of the same files."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openmm_configs import CASES, write

from ato import ADict
from ato.exceptions import ConfigFileError

LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["text", 0.5])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "_delete_"]), inner, max_size=3)
    ),
    max_leaves=8,
)
CONFIGS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, max_size=3)


def with_mmengine(main):
    """What mmengine makes of a file, as plain values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mmengine.config import Config

        logging.disable(logging.CRITICAL)
        try:
            return Config.fromfile(main).to_dict()
        finally:
            logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", CASES)
def test_the_values_are_those_of_mmengine(name, tmp_path, monkeypatch):
    """Each feature gives the values, of the same types, that mmengine gives."""
    monkeypatch.setenv("ATO_TEST_SET", "7")
    monkeypatch.delenv("ATO_TEST_UNSET", raising=False)
    main = write(tmp_path, CASES[name])
    theirs = with_mmengine(main)
    ours = ADict.from_mm_config(main).to_dict()
    assert ours == theirs
    assert repr(sorted(ours.items(), key=repr)) == repr(sorted(theirs.items(), key=repr))


@given(CONFIGS, CONFIGS)
def test_any_file_merges_over_any_base_as_in_mmengine(base, child):
    """Bases and files of any shape give the same values, or neither loads them."""
    with tempfile.TemporaryDirectory() as folder:
        texts = {"base.py": base, "main.py": {"_base_": "base.py", **child}}
        main = write(
            Path(folder),
            {
                name: "".join(f"{key} = {value!r}\n" for key, value in values.items())
                for name, values in texts.items()
            },
        )
        try:
            theirs = with_mmengine(main)
        except TypeError:
            with pytest.raises(ConfigFileError, match="is a mapping here"):
                ADict.from_mm_config(main)
            return
        assert repr(ADict.from_mm_config(main).to_dict()) == repr(theirs)
