"""The states of the implicit generators are read without a draw, however they are read."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest

from ato.fingerprints import generators
from ato.fingerprints.generators import mersenne_state, states


@pytest.fixture(autouse=True)
def _restored():
    """Give every generator back the state that it had before the test."""
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


DRAWS = {
    "random": [random.random, lambda: random.gauss(0, 1), lambda: random.seed(3)],
    "numpy.random": [np.random.rand, np.random.randn, lambda: np.random.seed(3)],
}


@pytest.mark.parametrize(("name", "draw"), [(n, d) for n, draws in DRAWS.items() for d in draws])
def test_a_draw_changes_the_state_of_its_generator_only(name, draw):
    """Drawing from one generator, or seeding it, changes its fingerprint and no other."""
    before = states()
    draw()
    after = states()
    assert {key for key in after if after[key] != before.get(key)} == {name}


def test_the_second_normal_number_counts():
    """Normal numbers are made in pairs; taking the kept second one is a draw like any other."""
    seen = set()
    for _ in range(4):
        np.random.randn()
        random.gauss(0, 1)
        seen.add(tuple(states().values()))
    assert len(seen) == 4


def test_reading_draws_nothing():
    """Generators continue after a reading as if there had been none."""
    random.seed(1)
    np.random.seed(1)
    states()
    assert random.random() == random.Random(1).random()
    assert np.random.rand() == np.random.RandomState(1).rand()


def test_equal_states_have_one_fingerprint():
    """A generator that is seeded again has the fingerprint that it had."""

    def seeded():
        random.seed(7)
        np.random.seed(7)
        return states()

    first = seeded()
    random.random()
    np.random.randn()
    assert states() != first
    assert seeded() == first


def test_memory_and_call_read_the_same():
    """What is read from the object's memory is what the generator's own method says."""
    generator = random._inst
    python = generators._python_reader()
    numpy = generators._numpy_reader(np.random.mtrand._rand, np.random.mtrand._rand._bit_generator)
    for _ in range(700):
        random.random()
        np.random.randn()
    _, words, position, has_normal, normal = np.random.get_state()
    assert python() == mersenne_state(generator)
    expected = words.astype("<u4").tobytes() + int(position).to_bytes(4, "little")
    assert numpy() == (expected, normal if has_normal else None)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="the layout is CPython's")
def test_memory_is_read_on_cpython():
    """On CPython and this NumPy the quick way is taken; it is not lost without being noticed."""
    assert generators._python_reader().__name__ == "by_address"
    generator = np.random.mtrand._rand
    assert generators._numpy_reader(generator, generator._bit_generator).__name__ == "by_address"


def test_another_bit_generator_is_followed():
    """A bit generator that is put in the place of NumPy's own is the one that is read."""
    original = np.random.get_bit_generator()
    before = states()["numpy.random"]
    try:
        np.random.set_bit_generator(np.random.PCG64(1))
        first = states()["numpy.random"]
        np.random.rand()
        assert len({before, first, states()["numpy.random"]}) == 3
    finally:
        np.random.set_bit_generator(original)
    assert states()["numpy.random"] == before
