"""Fingerprints of files: plain BLAKE3."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import blake3
import pytest

from ato.fingerprints import Fingerprint, fingerprint_file
from reference_encoder import LENGTHS


@pytest.mark.parametrize("length", [*LENGTHS, 3 * 2**20 + 5])
def test_a_file_has_the_blake3_digest_of_its_bytes(length: int, tmp_path: Path) -> None:
    """Files around every block size have the digest that `b3sum` prints."""
    data = random.Random(length).randbytes(length)
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    expected = blake3.blake3(data).hexdigest()
    assert fingerprint_file(path) == Fingerprint(expected, "blake3")
    assert str(fingerprint_file(str(path))) == expected


def test_any_name_that_the_system_takes_is_read(tmp_path: Path) -> None:
    """Names with spaces, other scripts and undecodable bytes are files like others."""
    names = ["a b", "данные", os.fsdecode(b"\xff\xfe")]
    for name in names:
        path = tmp_path / name
        try:
            path.write_bytes(b"x")
        except OSError:  # some file systems take text only
            continue
        assert fingerprint_file(path).hex == blake3.blake3(b"x").hexdigest()


def test_what_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    """A missing file and a folder are the errors that `open` gives."""
    with pytest.raises(FileNotFoundError):
        fingerprint_file(tmp_path / "missing")
    with pytest.raises(OSError):
        fingerprint_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """A file whose size is not known is read until it ends, however slowly it comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = random.Random(0).randbytes(300_000)

    def write() -> None:
        with path.open("wb") as pipe:
            for start in range(0, len(data), 7_001):
                pipe.write(data[start : start + 7_001])
                pipe.flush()

    writer = threading.Thread(target=write)
    writer.start()
    found = fingerprint_file(path)
    writer.join()
    assert found.hex == blake3.blake3(data).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The error is the one that `open` raises, with errno, text and file name."""
    missing = tmp_path / "nope"
    with pytest.raises(FileNotFoundError) as caught:
        fingerprint_file(missing)
    with pytest.raises(FileNotFoundError) as expected:
        missing.open("rb")
    found, like = caught.value, expected.value
    assert (found.errno, found.strerror) == (like.errno, like.strerror)
    assert found.filename == str(missing)
    assert str(found) == str(like)
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        fingerprint_file(tmp_path)


def test_a_fingerprint_is_its_digest_and_its_scheme() -> None:
    """Equality and hashing go by both; the text is the digest; nothing can be changed."""
    one = Fingerprint("ab", "blake3")
    assert one == Fingerprint("ab", "blake3")
    assert one != Fingerprint("ab", "ato value v1")
    assert one != Fingerprint("cd", "blake3")
    assert len({one, Fingerprint("ab", "blake3"), Fingerprint("ab", "ato value v1")}) == 2
    assert str(one) == "ab"
    with pytest.raises(AttributeError):
        one.hex = "cd"
