"""Reading in source text where randomness is seeded, and where it is born from the system.

What a generator's state says is only that it differs. Whether it *could* have been made equal, by a
seed set between the start of the run and a call, is read from the code that ran in between. This is
used to choose between a changed seed and a generator that nobody seeded; it never makes a cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["clocked", "draws", "is_volatile", "leaves_the_thread", "seeding", "seeds", "source"]

_SEEDS_ALL = re.compile(
    r"\b(seed_everything|seed_all|set_seed|set_random_seed|set_global_seed)\s*\("
)
_SEEDS = {
    "random": re.compile(r"(?<![\w.])(random\.)?(seed|setstate)\s*\("),
    "numpy.random": re.compile(
        r"(\b(np|numpy)\.random\.(seed|set_state)\s*\()|((?<![\w.])(seed|set_state)\s*\()"
    ),
    "torch": re.compile(r"\b(manual_seed|set_rng_state)\s*\("),
}
_DRAWS = {
    "random": re.compile(
        r"(?<![\w.])random\.(?!seed|getstate|setstate|Random)\w+\s*\("
        r"|(?<![\w.])(gauss|uniform|randint|randrange|choices?|sample|shuffle|normalvariate)\s*\("
    ),
    "numpy.random": re.compile(
        r"\b(np|numpy)\.random\.(?!seed|get_state|set_state|default_rng|Generator|RandomState)\w+\s*\("
        r"|(?<![\w.])(rand|randn|permutation|shuffle|choice|normal)\s*\("
    ),
    "torch": re.compile(
        r"\btorch\.(rand|bernoulli|multinomial|normal|dropout)|\bnn\.|\bDataLoader\b"
    ),
}
_DEFINED = re.compile(r"\bdef\s+(\w+)")
_GENERATOR = re.compile(r"([\w.]+)\s*(?::[^=\n]*)?=\s*(?:[\w.]+\.)?Generator\(")
_SEEDS_OWN = re.compile(r"\bGenerator\([^()]*\)\.manual_seed\(")
_UNSEEDED = re.compile(
    r"\b(default_rng|Random|RandomState|Generator|SystemRandom|PCG64|MT19937|Philox|SFC64)\s*\(\s*\)"
    r"|\b(default_rng|RandomState)\s*\(\s*None\s*\)"
    r"|\bos\.urandom\s*\(|\buuid[14]\s*\(|\bsecrets\.|\b(?:np\.random|random|torch)\.seed\s*\(\s*\)"
)
_CLOCK = re.compile(
    r"\b(?:time|perf_counter|monotonic|time_ns|process_time)\s*\(\s*\)"
    r"|\b(?:now|utcnow|today)\s*\("
)
_CLOCKED = re.compile(rf"\.(\w+)\s*(?::[^=\n]*)?=(?!=)[^\n]*?(?:{_CLOCK.pattern})")
_VOLATILE = re.compile(r"\bgetpid\s*\(|\bmkdtemp\s*\(|\bmkstemp\s*\(|\bid\s*\(")
_THREADS = re.compile(r"\b(Thread|ThreadPoolExecutor|ProcessPoolExecutor|Pool|Process)\s*\(")

_ELSEWHERE = re.compile(
    r"\b(multiprocessing|threading|Thread|ThreadPoolExecutor|to_thread|autograd|ProcessPoolExecutor"
    r"|Process|Pool|fork|spawn|subprocess|joblib|Parallel)\b|\bnum_workers\s*=\s*(?!0\b)"
)


def leaves_the_thread(text: str) -> bool:
    """Say whether source `text` may have functions run in other threads or processes."""
    return bool(_ELSEWHERE.search(text))


def draws(text: str, generator: str) -> bool:
    """Say whether source `text` visibly draws from `generator`."""
    return bool(_DRAWS[_family(generator)].search(text))


def seeds(text: str, generator: str) -> bool:
    """Say whether source `text` sets the state of `generator` (`random`, `numpy.random`, `torch`…).

    A function like `set_seed` is believed only where its own source is not part of the text.
    """
    for name in set(_DEFINED.findall(text)):
        if "seed" in name:
            text = re.sub(rf"(?<![\w.]){name}\s*\(", "", text)
    text = _SEEDS_OWN.sub("", text)
    for name in set(_GENERATOR.findall(text)):  # a generator object's seed is not the global one's
        text = text.replace(f"{name}.manual_seed(", "")
    return bool(_SEEDS_ALL.search(text) or _SEEDS[_family(generator)].search(text))


def seeding(text: str, generator: str) -> str:
    """The lines of source `text` that visibly set the state of `generator`."""
    return "\n".join(line for line in text.splitlines() if seeds(line, generator))


def clocked(texts: Iterable[str]) -> set[str]:
    """Name the attributes that are set from the clock: `start` of `self.start = time.time()`."""
    return {name for text in texts for name in _CLOCKED.findall(text)}


def is_volatile(text: str) -> bool:
    """Say whether a statement binds a value that is another one in every process."""
    return bool(_CLOCK.search(text) or _UNSEEDED.search(text) or _VOLATILE.search(text))


def _family(generator: str) -> str:
    return "torch" if generator.startswith("torch") else generator


def source(texts: Iterable[str]) -> str:
    """Say what in these functions may give another result each time.

    Returns `unseeded generator`, `clock`, `threads` or `unknown`.
    """
    joined = "\n".join(texts)
    for kind, pattern in (
        ("unseeded generator", _UNSEEDED),
        ("clock", _CLOCK),
        ("threads", _THREADS),
    ):
        if pattern.search(joined):
            return kind
    return "unknown"
