"""What source text says about seeds and about entropy."""

from __future__ import annotations

import pytest

from ato.explain.entropy import seeds, source


@pytest.mark.parametrize(
    ("text", "generator"),
    [
        ("random.seed(config.seed)", "random"),
        ("np.random.seed(0)", "numpy.random"),
        ("numpy.random.seed (0)", "numpy.random"),
        ("torch.manual_seed(1)", "torch"),
        ("torch.cuda.manual_seed(1)", "torch.cuda:0"),
        ("set_seed(cfg.seed)", "random"),
        ("pl.seed_everything(1)", "torch"),
    ],
)
def test_a_call_that_seeds_is_seen(text: str, generator: str) -> None:
    """The usual ways to seed a generator are recognised for that generator."""
    assert seeds(text, generator)


@pytest.mark.parametrize(
    ("text", "generator"),
    [
        ("np.random.seed(0)", "random"),
        ("random.seed(0)", "numpy.random"),
        ("torch.manual_seed(1)", "numpy.random"),
        ("g = torch.Generator().manual_seed(1)", "torch"),
        ("g = torch.Generator()\ng.manual_seed(1)", "torch"),
        ("config.seed = 3", "random"),
        ("rng = np.random.default_rng(config.seed)", "numpy.random"),
    ],
)
def test_seeding_another_generator_does_not_count(text: str, generator: str) -> None:
    """What seeds one generator leaves the others as they are."""
    assert not seeds(text, generator)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("rng = np.random.default_rng()", "unseeded generator"),
        ("rng = random.Random()", "unseeded generator"),
        ("x = time.time()", "clock"),
        ("with ThreadPoolExecutor(4) as pool: pass", "threads"),
        ("rng = np.random.default_rng(0)", "unknown"),
    ],
)
def test_the_likely_source_of_another_result(text: str, kind: str) -> None:
    """Generators without a seed, clocks and threads are told apart."""
    assert source([text]) == kind
