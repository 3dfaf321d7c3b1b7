"""What is meant by a name that is not there: keys, views and scopes, by spelling and by the manual."""

from __future__ import annotations

import pytest

from ato import MultiScope, Scope
from ato.exceptions import CommandLineError, UnknownKeyError, UnknownViewError
from ato.scope.suggestions import documented_as, nearest, nearest_key, printable, shown


def single(**options):
    scope = Scope(**options)

    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.1
        config.model = {"depth": 3}

    @scope.observe()
    def high_lr(config):
        config.lr = 1.0
        config.warmup_steps = 5

    @scope.manual
    def docs(config):
        config.lr = "Learning rate: how fast"
        config.model.depth = "The number of layers"

    return scope


def several():
    model = single(name="model")
    data = Scope(name="data")
    data.observe("big", config={"batch_size": 64, "lr": 3.0}, default=True)
    data.observe("tiny", config={})
    return MultiScope(model, data)


@pytest.mark.parametrize(
    ("token", "hint"),
    [
        ("learning_rate=0.1", "did you mean 'lr'?"),
        ("LearningRate=0.1", "did you mean 'lr'?"),
        ("learning-rate=0.1", "did you mean 'lr'?"),
        ("number_of_layers=3", "did you mean 'model.depth'?"),
        ("layers=3", "did you mean 'model.depth'?"),
        ("depth=3", "did you mean 'model.depth'?"),
        ("LR=3", "did you mean 'lr'?"),
        ("model.dept=3", "did you mean 'model.depth'?"),
        ("config.lr=3", "did you mean 'lr'?"),
        ("high_lr=3", "high_lr is a view; did you mean the view?"),
        ("hihg_lr=3", "did you mean the view 'high_lr'?"),
        ("warmup_steps=3", "view high_lr sets it and was not applied: add high_lr"),
    ],
)
def test_a_key_that_no_view_sets_is_announced_with_what_is_meant(token, hint, capsys):
    """On stderr, and taken; with a strict scope the same text is an error."""
    single().apply(argv=[token])
    said = capsys.readouterr().err
    assert f"note: no view sets '{token.partition('=')[0]}'; {hint}" in said
    assert said.endswith(f"t is set nevertheless: {token} (argument 1)\n")
    with pytest.raises(CommandLineError) as caught:
        single(enable_override=True, strict=True).apply(argv=[token])
    assert hint in str(caught.value)


def test_a_key_without_relatives_is_announced_alone(capsys):
    """Nothing is suggested where nothing is near."""
    single().apply(argv=["zzz=1"])
    assert "no view sets 'zzz'; it is set nevertheless: zzz=1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("lr", "there is no view lr (argument 1); lr is a key; views: defaults, high_lr; a value is written lr=VALUE"),
        ("lrr", "; did you mean the key 'lr'? views: defaults, high_lr; a value is written lr=VALUE"),
        ("learning_rate", "; did you mean the key 'lr'? views: "),
        ("warmup_steps", "; warmup_steps is a key; "),
        ("hihg_lr", "; did you mean 'high_lr'? views: "),
    ],
)  # fmt: skip
def test_a_key_that_stands_alone_is_told_how_a_value_is_written(token, message):
    """A key given as a view, also by its other names."""
    with pytest.raises(UnknownViewError) as caught:
        single().apply(argv=[token])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("lr=1", "which scope is meant? There are model, data; write model.lr=1 or data.lr=1"),
        ("batch_size=1", "which scope is meant? There are model, data; write data.batch_size=1"),
        ("depth=3", "did you mean 'model.model.depth'?"),
        ("learning_rate=3", "did you mean 'model.lr'?"),
        ("lrr=3", "did you mean 'model.lr' or 'data.lr'?"),
        ("zzz=3", "write model.zzz=3 or data.zzz=3"),
        ("high_lr", "write model.high_lr"),
        ("data.high_lr", "there is no view data.high_lr (argument 1) of scope 'data'; did you mean 'model.high_lr'?"),
        ("data.batch", "did you mean the key 'data.batch_size'?"),
        ("model.hihg_lr", "did you mean 'model.high_lr'? views: "),
        ("data=3", "data=3 (argument 1): data is a scope; a view of it is written data.VIEW, a value data.KEY=VALUE"),
        ("data.", "data is a scope; "),
        (".lr=3", "the dot has no scope in front; scopes: model, data"),
        ("dat.lr=3", "there is no scope 'dat'; did you mean 'data'? scopes: model, data"),
    ],
)  # fmt: skip
def test_with_several_scopes_the_one_that_has_it_is_named(token, message):
    """For values and views, with the form that would be read."""
    with pytest.raises((CommandLineError, UnknownViewError)) as caught:
        several().apply(argv=[token])
    assert message in str(caught.value)


def test_a_note_has_the_scopes_name(capsys):
    """Where there are several, the key that is suggested can be copied."""
    scope = several()
    scope.apply(argv=["data.lrr=3"])
    assert "no view sets 'data.lrr'; did you mean 'data.lr'?" in capsys.readouterr().err
    scope.apply(argv=["data.data.lr=3"])
    assert "no view sets 'data.data.lr'; did you mean 'data.lr'?" in capsys.readouterr().err


def test_a_missing_key_is_found_by_the_name_that_the_manual_gives_it():
    """Reading `config.learning_rate` says where the learning rate is."""
    config = single().apply(argv=[])
    with pytest.raises(UnknownKeyError, match="no key 'learning_rate'; did you mean 'lr'"):
        config.learning_rate
    with pytest.raises(KeyError, match=r"no key 'layers' in 'model'; did you mean 'model\.depth'"):
        config.model["layers"]
    assert config.get("learning_rate") is None
    assert not hasattr(config, "learning_rate")


def test_manual_of_another_name(capsys):
    """`manual learning_rate` says which key that is."""
    with pytest.raises(CommandLineError, match="'learning_rate'; did you mean 'lr'"):
        single().apply(argv=["manual", "learning_rate"])


def test_what_shares_letters_by_chance_is_not_meant():
    """No suggestion is better than a wrong one."""
    assert nearest("late0", ["after"]) is None
    assert nearest("batch", ["batch_size"]) == "batch_size"


def test_words_of_a_description():
    """The beginning counts most; a word that many share, or of two letters, means none."""
    manual = {"a": "Size of a batch", "b": "Batch of images", "c": "Path to images", "d": "of"}
    assert documented_as("batch", manual) == "b"
    assert documented_as("batch_of_images", manual) == "b"
    assert documented_as("size_of", manual) == "a"
    assert documented_as("images", manual) is None
    assert documented_as("of", manual) is None
    assert documented_as("to_images", manual) == "c"
    assert documented_as("", manual) is None
    assert nearest_key("a", ["a"], manual) == "a"
    assert nearest_key("depth", ["generator_parts.depth", "discriminator.depth"], {}) is None


def test_what_is_shown_cannot_steer_a_terminal():
    """Control characters and lone surrogates are escaped, letters of every script are not."""
    assert printable("é🙂\n\x1b[1m\x9b\ud800") == "é🙂\n\\x1b[1m\\x9b\\ud800"
    assert shown("a\nb" + "c" * 100) == "a\\nb" + "c" * 75 + "…"
