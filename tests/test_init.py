"""The public names of the package."""

from __future__ import annotations

import ato


def test_all_names_what_can_be_imported() -> None:
    """`__all__` is sorted, has no name twice, and each of its names is there."""
    assert sorted(ato.__all__) == ato.__all__
    assert len(set(ato.__all__)) == len(ato.__all__)
    for name in ato.__all__:
        assert getattr(ato, name) is not None


def test_the_star_import_works() -> None:
    """`from ato import *` brings in exactly `__all__`."""
    namespace: dict[str, object] = {}
    exec("from ato import *", namespace)
    assert set(ato.__all__) <= namespace.keys()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there is an ordinary AttributeError."""
    try:
        ato.nothing_of_the_kind
    except AttributeError as error:
        assert "nothing_of_the_kind" in str(error)
    else:
        raise AssertionError
