from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from stores import ask, config_for

from ato import events
from ato.adict import ADict
from ato.db_routers.sql import redaction
from ato.db_routers.sql.manager import SQLLogger
from ato.db_routers.sql.redaction import (
    holds_secret,
    is_secret_key,
    keyed_digest,
    mask_command,
    mask_origin,
    mask_text,
    mask_write,
    without_credentials,
)
from ato.events import CallRecord, Leaf


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "hf_token",
        "db.password",
        "api_key",
        "apiKey",
        "api-key",
        "AWS_SECRET",
        "hfToken",
        "access_key_id",
        "wandb.api_key",
    ],
)
def test_secret_keys(key):
    """A key with one of the words in it is a secret's, however it is spelled."""
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key", ["max_tokens", "tokenizer", "secretary", "key", "passwords_file", "monkey.api", "keyed"]
)
def test_other_keys(key):
    """A key that only contains the letters is not."""
    assert not is_secret_key(key)


def test_secrets_are_masked_on_the_command_line():
    """The values of secrets are masked in every form in which they are given; nothing else is."""
    given = ["train.py", "lr=0.1", "hf_token=x", "--token=x", "--api-key", "x", "--token", "--v"]
    assert mask_command(given) == [
        "train.py",
        "lr=0.1",
        "hf_token=<secret>",
        "--token=<secret>",
        "--api-key",
        "<secret>",
        "--token",
        "--v",
    ]


def test_a_secrets_history_keeps_who_and_where():
    """Of a secret's write the origin is kept, without what the command line said."""
    write = {
        "value_text": "'x'",
        "type": "str",
        "origin": {"kind": "cli", "text": "token=x (argument 1)"},
        "replaced_text": None,
        "derived_from": [],
    }
    masked = mask_write(write, "token")
    assert masked["value_text"] == "<secret>"
    assert masked["origin"] == {"kind": "cli", "text": "token=<secret>"}
    assert masked["replaced_text"] is None


def test_the_key_is_the_users_and_lasts(monkeypatch, tmp_path):
    """The key is made once, in a file that only the user can read; another key is another name."""
    monkeypatch.setenv("ATO_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(redaction, "_kept_key", None)
    first = keyed_digest("ab")
    monkeypatch.setattr(redaction, "_kept_key", None)
    assert keyed_digest("ab") == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]
    if os.name == "posix":
        assert stat.S_IMODE(Path(tmp_path, "secret-key").stat().st_mode) == 0o600
    monkeypatch.setenv("ATO_STATE_DIR", str(tmp_path / "other"))
    monkeypatch.setattr(redaction, "_kept_key", None)
    assert keyed_digest("ab").split()[1] != first.split()[1]


def test_without_a_writable_folder_the_key_lasts_for_the_process(monkeypatch, tmp_path):
    """Where the state folder cannot be made, secrets are still never stored plainly."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATO_STATE_DIR", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(redaction, "_kept_key", None)
    assert keyed_digest("ab") == keyed_digest("ab")
    assert "ab" not in keyed_digest("ab").split()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("+db={password:x,port:1}", "+db={password:<secret>,port:1}"),
        ("a={b:{'api-key': \"x,}y\"},lr:1}", "a={b:{'api-key': <secret>},lr:1}"),
        ("a={token:{of:[x,y]},lr:1}", "a={token:<secret>,lr:1}"),
        ("l=[{secret:x},{lr:1}]", "l=[{secret:<secret>},{lr:1}]"),
        ("url=http://host?token=x", "url=http://host?token=<secret>"),
        ("a={max_tokens:5,tokenizer:x}", "a={max_tokens:5,tokenizer:x}"),
    ],
)
def test_secrets_inside_of_an_argument_are_masked(given, kept):
    """One argument may write a whole section: what is secret in it is masked, the rest is kept."""
    assert mask_command([given]) == [kept]
    write = {"value_text": "1", "origin": {"kind": "cli", "text": given}}
    assert mask_origin(write) == {"value_text": "1", "origin": {"kind": "cli", "text": kept}}


def test_a_list_with_a_secret_in_it_is_secret():
    """A list of sections is one leaf of a config, and hides what any of them hides."""
    assert holds_secret("hosts", [{"user": "x"}, {"password": "y"}])
    assert holds_secret("token", ["x"])
    assert not holds_secret("hosts", [{"user": "x"}, {"password": None}])
    assert not holds_secret("token", [1, 2])


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:hunter2@host/runs",
        "--db=postgresql+psycopg://me:hunter2@host:5432/runs?sslmode=require",
        "experiment.sql.db_path=postgres://me:hunter2@host/runs",
        "https://:hunter2@host/x and s3://key:hunter2@bucket/y",
        "'postgresql://me:hunter2@host/runs'",
    ],
)
def test_the_password_of_a_url_is_masked(text):
    """A URL keeps its user and host and loses its password, wherever it stands in a text."""
    assert "hunter2" in text
    masked = mask_text(text)
    assert "hunter2" not in masked
    assert "host" in masked
    assert "hunter2" not in str(mask_command(["train.py", text]))


@pytest.mark.parametrize("text", ["http://host/a:b@c", "a@b.c", "s3://bucket/x", "x: y://z"])
def test_other_urls_stay_as_they_are(text):
    """A text without a password in a URL is not changed."""
    assert without_credentials(text) == text


def test_the_address_of_the_store_is_kept_without_its_password(path, tmp_path):
    """A run stores neither the password of its store's URL nor another URL's, in any place."""
    address = "mongodb://me:hunter2@host/data"
    config = ADict(config_for(path), data=address, many=["x", {"url": address}])
    config.data = "elsewhere"
    config.other = address
    with SQLLogger(config) as logger:
        logger.run()
        leaf = {"args[0]": Leaf("f" * 64, "str", text=repr(address))}
        record = CallRecord("call", "train.step", 1, 0, 0, 1, 0, inputs=leaf)
        events.current_run().recorder.on_call(record)
    logger.engine.dispose()
    rows = [
        ask(path, f"SELECT * FROM {table}") for table in ("configs", "experiments", "call_values")
    ]
    assert "elsewhere" in str(rows)
    for secret in ("hunter2", "correct horse", "correct%20horse", "f" * 64):
        assert secret not in str(rows)
