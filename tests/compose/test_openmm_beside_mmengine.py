"""OpenMMLab configs: what mmengine makes of the same files."""

from __future__ import annotations

import logging
import warnings

import pytest
from openmm_configs import CASES, write

from ato import ADict


@pytest.mark.parametrize("name", CASES)
def test_the_values_are_those_of_mmengine(name, tmp_path, monkeypatch):
    """Each feature gives the values, of the same types, that mmengine gives."""
    monkeypatch.setenv("ATO_TEST_SET", "7")
    monkeypatch.delenv("ATO_TEST_UNSET", raising=False)
    main = write(tmp_path, CASES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mmengine.config import Config

        logging.disable(logging.CRITICAL)
        try:
            theirs = Config.fromfile(main).to_dict()
        finally:
            logging.disable(logging.NOTSET)
    ours = ADict.from_mm_config(main).to_dict()
    assert ours == theirs
    assert repr(sorted(ours.items(), key=repr)) == repr(sorted(theirs.items(), key=repr))
