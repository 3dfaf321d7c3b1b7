"""One known change to a real training project, and the explanation must name it.

Run 1 is `python train.py epochs=3` of `examples/digits` as it stands; each test makes run 2.
"""

from __future__ import annotations

from ato.explain import Explanation, Finding
from projects import TrainingProject, aside


def only_cause(answer: Explanation, factor: str, subject: str) -> Finding:
    """Assert that the answer is explained by one proven cause, and return it."""
    named = [(f.change.factor, f.change.subject, f.evidence) for f in answer.causes]
    assert named == [(factor, subject, "proven")], str(answer)
    assert answer.verdict == "explained"
    assert answer.first_divergence is not None
    return answer.causes[0]


def test_a_config_value_from_the_command_line(digits: TrainingProject) -> None:
    """A value given on the command line is the cause, with both origins."""
    digits.run("epochs=3", "lr=0.1")
    cause = only_cause(digits.why(), "config", "lr")
    assert (cause.change.a, cause.change.b) == ("0.5", "0.1")
    assert cause.change.origin_a is not None
    assert cause.change.origin_a.startswith("view defaults, train.py:")
    assert cause.change.origin_b is not None
    assert "lr=0.1" in cause.change.origin_b
    assert cause.via[-1] == "train_step"


def test_a_config_value_from_a_named_view(digits: TrainingProject) -> None:
    """A value that a named view sets is the cause, with the view and its line as origin."""
    digits.run("careful", "epochs=3")
    cause = only_cause(digits.why(), "config", "lr")
    assert cause.change.origin_b is not None
    assert cause.change.origin_b.startswith("view careful, train.py:")


def test_a_config_value_from_an_edited_default(digits: TrainingProject) -> None:
    """An edited default view is no code change: the key it sets is the cause."""
    digits.edit("train.py", "config.lr = 0.5", "config.lr = 0.4")
    digits.run("epochs=3")
    cause = only_cause(digits.why(), "config", "lr")
    assert (cause.change.a, cause.change.b) == ("0.5", "0.4")
    assert not any(f.change.factor == "code" for f in digits.why().also_changed)


def test_a_direct_helper(digits: TrainingProject) -> None:
    """An edited helper in another module is named, with its line, its diff and the way to it."""
    digits.edit("data.py", "noise * 0.1", "noise * 0.3")
    digits.run("epochs=3")
    answer = digits.why()
    cause = only_cause(answer, "code", "data.augment")
    assert cause.change.diff is not None
    assert "+     return images + noise * 0.3" in cause.change.diff
    assert "-     return images + noise * 0.1" in cause.change.diff
    line = (digits.folder / "data.py").read_text().split("noise * 0.3")[0].count("\n") + 1
    assert cause.change.origin_b == f"data.py:{line}"
    assert cause.via == ("train", "make_batch", "augment")
    assert answer.first_divergence is not None
    assert answer.first_divergence.trace_id == "train.make_batch"
    assert answer.first_divergence.call == 0


def test_a_helper_of_a_helper_in_another_module(digits: TrainingProject) -> None:
    """The innermost changed function is named, not the functions that call it."""
    digits.edit("schedules.py", "0.5 * (1 +", "0.5 * (1.1 +")
    digits.run("epochs=3")
    cause = only_cause(digits.why(), "code", "schedules.cosine")
    assert cause.via[0] == "train"
    assert cause.via[-1] == "cosine"


def test_a_method(digits: TrainingProject) -> None:
    """An edited method is named by its class; the class itself is not a second cause."""
    digits.edit("model.py", "rate * error.mean(axis=0)", "rate * error.sum(axis=0)")
    digits.run("epochs=3")
    only_cause(digits.why(), "code", "model.Softmax.step")


def test_a_class_attribute(digits: TrainingProject) -> None:
    """An edited class attribute is named as the attribute."""
    digits.edit("model.py", "temperature = 1.0", "temperature = 2.0")
    digits.run("epochs=3")
    only_cause(digits.why(), "code", "model.Softmax.temperature")


def test_a_module_constant(digits: TrainingProject) -> None:
    """A module-level constant is named, also where it first acts in a late call."""
    digits.edit("schedules.py", "FLOOR = 0.1", "FLOOR = 0.6")
    digits.run("epochs=3")
    answer = digits.why()
    only_cause(answer, "code", "schedules.FLOOR")
    assert answer.first_divergence is not None
    assert answer.first_divergence.trace_id == "train.train_step"
    assert answer.first_divergence.call > 0


def test_the_content_of_a_data_file(digits: TrainingProject) -> None:
    """One changed label in a logged data file makes that file the cause."""
    file = digits.folder / "digits.csv"
    first, rest = file.read_text().split("\n", 1)
    file.write_text("9" + first[1:] + "\n" + rest)
    digits.run("epochs=3")
    cause = only_cause(digits.why(), "data", "digits.csv")
    assert cause.change.kind == "content"


def test_the_seed(digits: TrainingProject) -> None:
    """Another seed is the cause; the generator's state is only its symptom."""
    digits.run("epochs=3", "seed=1")
    answer = digits.why()
    only_cause(answer, "config", "seed")
    assert answer.first_divergence is not None
    assert answer.first_divergence.symptoms


def test_an_unseeded_generator_object(digits: TrainingProject) -> None:
    """A generator born from the system's entropy is nondeterminism, with its likely source."""
    digits.edit("data.py", "noise = rng.normal", "noise = np.random.default_rng().normal")
    digits.run("epochs=3")
    digits.run("epochs=3")
    answer = digits.why(2, 3)
    assert answer.verdict == "nondeterministic", str(answer)
    (cause,) = answer.causes
    assert cause.change.factor == "nondeterminism"
    assert cause.change.subject == "train.make_batch"
    assert cause.change.kind == "unseeded generator"
    assert cause.evidence == "possible"


def test_an_unseeded_global_generator(digits: TrainingProject) -> None:
    """Drawing from NumPy's global generator that nobody seeded makes that generator the cause."""
    digits.edit("data.py", "noise = rng.normal", "noise = np.random.normal")
    digits.run("epochs=3")
    digits.run("epochs=3")
    cause = only_cause(digits.why(2, 3), "randomness", "numpy.random")
    assert cause.change.kind == "seed"


def test_an_unseeded_generator_is_not_blamed_on_a_config_key(digits: TrainingProject) -> None:
    """Where a generator began apart and nobody seeded it, a key that acts later is not the cause."""
    digits.edit("data.py", "noise = rng.normal", "noise = np.random.normal")
    digits.run("epochs=3")
    digits.run("epochs=3", "lr=0.1")
    answer = digits.why(2, 3)
    only_cause(answer, "randomness", "numpy.random")
    assert aside(answer, "lr").evidence == "later"


def test_cosmetic_edits_only(digits: TrainingProject) -> None:
    """Comments, type hints, quotes and renamed locals change nothing and are listed as cosmetic."""
    digits.edit(
        "data.py", "def augment(images, rng):", "def augment(images, rng: object):\n    # why"
    )
    digits.edit("schedules.py", '    """The learning rate at', '    """Learning rate at')
    digits.run("epochs=3")
    answer = digits.why()
    assert answer.verdict == "identical", str(answer)
    assert answer.causes == ()
    assert aside(answer, "data.augment").evidence == "cosmetic"
    assert aside(answer, "schedules.decayed").evidence == "cosmetic"


def test_a_key_that_no_call_reads(digits: TrainingProject) -> None:
    """A changed key that nobody read is ruled out by name."""
    digits.run("epochs=3", "num_workers=8")
    answer = digits.why()
    assert answer.verdict == "identical"
    finding = aside(answer, "num_workers")
    assert finding.evidence == "ruled_out"
    assert finding.reason == "read by no call"


def test_an_unread_key_beside_a_real_change(digits: TrainingProject) -> None:
    """A changed key that nobody read is ruled out while the helper that changed is the cause."""
    digits.edit("data.py", "noise * 0.1", "noise * 0.3")
    digits.run("epochs=3", "num_workers=8")
    answer = digits.why()
    only_cause(answer, "code", "data.augment")
    assert aside(answer, "num_workers").evidence == "ruled_out"


def test_fewer_epochs(digits: TrainingProject) -> None:
    """A loop that runs less often is explained by the key that the loop reads."""
    digits.run("epochs=2")
    only_cause(digits.why(), "config", "epochs")


def test_fewer_epochs_where_only_calls_are_missing(digits: TrainingProject) -> None:
    """Where all common calls are equal, the first missing call leads to the key of the loop."""
    digits.edit("train.py", ") / config.epochs", ") / 10")
    digits.run("epochs=3")
    digits.run("epochs=2")
    answer = digits.why(2, 3)
    only_cause(answer, "config", "epochs")
    assert answer.first_divergence is not None
    assert answer.first_divergence.kind == "missing"


def test_two_changes_of_which_one_acts_later(digits: TrainingProject) -> None:
    """The change at the first divergence is the cause; one that acts afterwards is named as such."""
    digits.edit("data.py", "noise * 0.1", "noise * 0.3")
    digits.run("epochs=3", "lr=0.1")
    answer = digits.why()
    only_cause(answer, "code", "data.augment")
    assert aside(answer, "lr").evidence == "later"


def test_a_view_that_changes_two_keys(digits: TrainingProject) -> None:
    """Of two changed keys, the one read where the runs part is the cause, the loop's is later."""
    digits.run("long")
    answer = digits.why()
    only_cause(answer, "config", "lr")
    assert aside(answer, "epochs").evidence == "later"


def test_two_changes_that_meet(digits: TrainingProject) -> None:
    """Two changes in one call are both possible, and a run that separates them is named."""
    digits.edit("schedules.py", "0.5 * (1 +", "0.5 * (1.1 +")
    digits.run("epochs=3", "lr=0.1")
    answer = digits.why()
    assert answer.verdict == "ambiguous"
    assert {(f.change.factor, f.change.subject, f.evidence) for f in answer.causes} == {
        ("config", "lr", "possible"),
        ("code", "schedules.cosine", "possible"),
    }
    assert len(answer.tests) == 1


def test_an_unread_default_key_and_an_unrelated_function(digits: TrainingProject) -> None:
    """A new function that nobody calls and another working folder are no causes."""
    path = digits.folder / "data.py"
    path.write_text(path.read_text() + "\n\ndef unrelated():\n    return 1\n")
    digits.run("epochs=3")
    answer = digits.why()
    assert answer.verdict == "identical"
    assert answer.also_changed == ()


def test_a_run_that_fails(digits: TrainingProject) -> None:
    """Where one run raises, the exception is the divergence and the edit that raises the cause."""
    digits.edit("schedules.py", "    return 0.5 *", "    assert progress < 0.5\n    return 0.5 *")
    digits.run("epochs=3", status=1)
    answer = digits.why()
    only_cause(answer, "code", "schedules.cosine")
    assert answer.run_b.status == "failed"
    assert answer.first_divergence is not None
    assert answer.first_divergence.kind == "outcome"
    assert "AssertionError" in str(answer)


def test_nothing_changed(digits: TrainingProject) -> None:
    """Two runs of the same project are identical, and nothing is said to have changed."""
    digits.run("epochs=3")
    answer = digits.why()
    assert answer.verdict == "identical", str(answer)
    assert answer.causes == ()
    assert answer.also_changed == (), str(answer)
