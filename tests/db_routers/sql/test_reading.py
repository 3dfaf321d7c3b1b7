from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import logger_for

from ato import events
from ato.db_routers.sql.calls import calls_of
from ato.db_routers.sql.reading import Unit, load_run, resolve_run, status_now
from ato.events import CallRecord, CodeRecord, Draw, Leaf, Read
from ato.exceptions import UnknownRunError

names = st.text(max_size=8)
leaves = st.builds(
    Leaf,
    st.text("0123456789abcdef", min_size=64, max_size=64),
    names,
    st.none() | names,
    st.none() | st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.none() | names,
    st.none() | st.dictionaries(names, st.floats(allow_nan=False), max_size=2),
)
by_path = st.dictionaries(names, leaves, max_size=3)
# What a database takes as it is; how odd text is written out is shown elsewhere.
plain = st.text("abcé✓ .", max_size=8)
records = st.builds(
    CallRecord,
    kind=st.sampled_from(["run", "scope", "call", "value"]),
    trace_id=plain,
    ident=st.integers(0, 2**40),
    parent=st.none() | st.integers(0, 2**40),
    index=st.integers(0, 2**40),
    sequence=st.integers(0, 2**40),
    started=st.integers(0, 2**40),
    thread=plain,
    code=st.none() | plain,
    passed=st.lists(names, max_size=2),
    inputs=by_path,
    mutated=by_path,
    reads=st.lists(st.builds(Read, names, names, st.integers(0, 9)), max_size=2),
    random=st.dictionaries(names, st.builds(Draw, names, names), max_size=2),
    output=by_path,
    outcome=st.sampled_from(["returned", "raised"]),
    error=st.none() | plain,
    skipped=st.dictionaries(names, st.integers(0, 9), max_size=2),
    gaps=st.lists(names, max_size=2),
    duration=st.floats(0, 1e6),
)


@given(records)
def test_a_call_comes_back_as_it_was(record):
    """Every field of a call record survives the way through a row."""
    (call,) = calls_of([record])
    for each in fields(CallRecord):
        if each.name != "duration":  # which nothing compares
            assert getattr(call, each.name) == getattr(record, each.name)


@pytest.fixture
def logger(path):
    logger = logger_for(path, lr=0.1, hf_token="hunter2")
    yield logger
    logger.finish()
    logger.engine.dispose()


def _unit(name, deep="d", **fields):
    text = {"text": f"def {name}(): ...", "normalised": f"def {name}(): ..."}
    return Unit(
        "data",
        name,
        "function",
        "data.py",
        1,
        **text,
        logic="l",
        deep=deep,
        value=None,
        traced=None,
    )._replace(**fields)


def _code(*units, edges=()):
    first = units[0]
    return SimpleNamespace(
        text=first.text,
        logic=first.logic,
        deep=first.deep,
        bytecode=None,
        units=units,
        edges=edges,
        gaps=("getattr with a computed name",),
        distributions=("numpy",),
    )


def _call(run, trace_id="train.step", **fields):
    ident, sequence = run.next_ident(), run.next_sequence()
    run.recorder.on_call(
        CallRecord(
            "call", trace_id, ident, 0, run.next_index(trace_id), sequence, sequence, **fields
        )
    )


def test_a_run_is_loaded_whole(logger):
    """What was emitted and logged comes back in order, with the run's row and config."""
    logger.run(name="first", tags=["a"])
    run = events.current_run()
    run.recorder.on_start_state({"random": "ab"})
    _call(run, inputs={"x": Leaf("ab", "ndarray", "float32", (2, 3), None, {"min": 0.5})})
    _call(run, outcome="raised", error="ValueError: no")
    logger.log_metric("loss", 0.5, 3)
    logger.finish()
    found = load_run(logger.engine, 1)
    assert (found.id, found.name, found.project, found.status) == (
        1,
        "first",
        "digits",
        "completed",
    )
    assert found.config["lr"]["value"] == 0.1
    assert found.random_start == {"random": "ab"}
    assert "numpy" in found.environment["distributions"]
    assert [call.kind for call in found.calls] == ["call", "call", "run"]
    assert found.calls[0].inputs["x"].shape == (2, 3)
    assert found.calls[1].error == "ValueError: no"
    assert [(p.key, p.value, p.step, p.ident, p.position) for p in found.metrics] == [
        ("loss", 0.5, 3, 0, 2)
    ]


def test_code_comes_back_with_its_graph(logger):
    """Units and edges of a fingerprint come back with the root first, by index."""
    a, b, c = _unit("augment"), _unit("scale"), _unit("clip")
    logger.run()
    recorder = events.current_run().recorder
    recorder.on_code(CodeRecord("data.augment", "trace", _code(a, b, c, edges=((0, 1), (1, 2)))))
    recorder.on_code(CodeRecord("data.scale", "runtime", _code(b, c, edges=((0, 1),))))
    recorder.on_code(CodeRecord("data.scale", "runtime", _code(b, c, edges=((0, 1),))))
    logger.finish()
    first, second = load_run(logger.engine, 1).codes
    assert (first.trace_id, first.role, first.logic, first.deep) == (
        "data.augment",
        "trace",
        "l",
        "d",
    )
    assert first.units == [a, b, c]
    assert sorted(first.edges) == [(0, 1), (1, 2)]
    assert (first.gaps, first.distributions) == (["getattr with a computed name"], ["numpy"])
    assert (second.units, second.edges) == ([b, c], [(0, 1)])
    assert second.units[0].subject == "data.scale"


def test_code_is_written_once(logger):
    """Runs with the same code share its rows; a changed unit adds its own only."""
    for text in ("old", "old", "new"):
        logger.run()
        code = _code(_unit("augment"), _unit("scale", text=text), edges=((0, 1),))
        events.current_run().recorder.on_code(CodeRecord("data.augment", "trace", code))
        logger.finish()
    with logger.engine.connect() as connection:
        counts = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            for table in ("fingerprints", "code_units", "code_closures", "code_edges")
        ]
    assert counts == [3, 3, 2, 2]
    assert [load_run(logger.engine, n).codes[0].units[1].text for n in (1, 2, 3)] == [
        "old",
        "old",
        "new",
    ]


def test_reads_of_secrets_are_keyed(logger):
    """The fingerprint of a secret that a call read is the keyed one of the config."""
    logger.run()
    reads = [Read("lr", "plain", 0), Read("hf_token", "guessable", 0), Read("new.password", "g", 0)]
    _call(events.current_run(), reads=reads)
    logger.finish()
    found = {read.key: read.fingerprint for read in load_run(logger.engine, 1).calls[0].reads}
    assert found["lr"] == "plain"
    assert found["hf_token"].startswith("keyed ")
    assert found["new.password"].startswith("keyed ")


def test_a_secret_is_read_as_it_is_stored(logger):
    """A read of an unchanged secret has the digest that the config has, so that they compare."""
    from ato.fingerprints import value_hex

    logger.run()
    _call(events.current_run(), reads=[Read("hf_token", value_hex("hunter2"), 0)])
    logger.finish()
    run = load_run(logger.engine, 1)
    assert run.calls[0].reads[0].fingerprint == run.config["hf_token"]["fingerprint"]


def test_calls_are_there_for_whoever_reads_the_run(logger):
    """Calls of a run that goes on are in what is read of it."""
    logger.run()
    run = events.current_run()
    for number in range(1, 4):
        _call(run)
        assert len(load_run(logger.engine, 1).calls) == number


def test_a_record_that_cannot_be_written_costs_a_warning(logger):
    """A call that has no row is said once; the run and its other calls go on."""
    logger.run()
    run = events.current_run()
    with pytest.warns(RuntimeWarning, match=r"stopped watching the calls of train\.odd"):
        _call(run, "train.odd", inputs={"x": Leaf("ab", "T", summary={"min": object()})})
    _call(run, "train.step")
    logger.finish()
    assert [c.trace_id for c in load_run(logger.engine, 1).calls] == ["train.step", "run"]


def test_code_that_cannot_be_written_costs_a_warning(logger):
    """A code record that has no rows is said once; the run goes on."""
    logger.run()
    with pytest.warns(RuntimeWarning, match=r"stopped watching the code of train\.odd"):
        events.current_run().recorder.on_code(CodeRecord("train.odd", "trace", object()))
    logger.finish()
    assert load_run(logger.engine, 1).codes == []


def test_odd_text_is_no_obstacle(logger):
    """An error message with bytes that are no text, or with NUL, is stored."""
    logger.run()
    _call(events.current_run(), error="bad \udcff \0")
    logger.finish()
    assert load_run(logger.engine, 1).calls[0].error == "bad \\udcff \\0"


def test_ten_thousand_calls_are_loaded(logger):
    """A run of 10,000 calls is loaded whole."""
    logger.run()
    run = events.current_run()
    leaf = Leaf("ab" * 32, "ndarray", "float32", (64, 10), None, {"min": 0.0, "max": 1.0})
    for _ in range(10_000):
        _call(run, inputs={"x": leaf, "y": leaf}, output={"out": leaf}, reads=[Read("lr", "ab", 0)])
    logger.finish()
    assert len(load_run(logger.engine, 1).calls) == 10_001


def test_a_run_is_meant_by_id_place_or_name(logger):
    """A reference is an id, `latest`, `latest~1` or a name that one run has."""
    for name in ("base", "twice", "twice", None):
        logger.run(name=name)
    references = [1, "1", "latest", "latest~0", "latest~3", "base", " base "]
    assert [resolve_run(logger.engine, r) for r in references] == [1, 1, 4, 4, 1, 1, 1]
    with pytest.raises(UnknownRunError, match="2 runs are named 'twice': 2, 3"):
        resolve_run(logger.engine, "twice")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("9", "no run 9; the nearest ids: 1"),
        ("bse", "no run 'bse'; the nearest names: 'base'"),
        ("latest~5", "no run 'latest~5'; the newest: 1 \\(base\\)"),
        ("", "no run ''; the newest"),
    ],
)
def test_an_unknown_run_lists_the_nearest(logger, reference, message):
    """A reference that means no run is an error with what there is instead."""
    logger.run(name="base")
    with pytest.raises(UnknownRunError, match=message):
        resolve_run(logger.engine, reference)
    with pytest.raises(UnknownRunError):
        load_run(logger.engine, 99)


def test_a_run_elsewhere_is_not_called_crashed(tmp_path):
    """Of a run on another host nothing is known but what it wrote."""
    row = SimpleNamespace(id=1, attempt=0, host="another-host", pid=1, process_started="gone")
    for status in ("running", "failed"):
        row.status = status
        assert status_now(row, tmp_path) == status


@pytest.mark.file
def test_a_secret_that_a_call_takes_or_gives_is_not_in_the_store(path):
    """No file of the store holds a secret's text or plain digest, wherever a call passed it on."""
    from ato.fingerprints import value_hex

    plain = value_hex("SUPERSECRET1")
    seen = Leaf(plain, "str", text="'SUPERSECRET1'")
    logger = logger_for(path, lr=0.1)
    logger.run()
    _call(
        events.current_run(),
        inputs={"api_key": seen, "token_ids": Leaf("many", "Tensor", "int64", (3,))},
        mutated={"client.password": seen},
        output={"output['hf_token']": seen, "output['lr']": Leaf("number", "float", text="0.1")},
    )
    logger.log_metric("loss", 0.5, 0)
    stored = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    assert b"api_key" in stored
    assert b"SUPERSECRET1" not in stored
    assert plain.encode() not in stored
    call = load_run(logger.engine, 1).calls[0]
    assert call.inputs["api_key"].text == "<secret>"
    assert call.inputs["api_key"].fingerprint == call.mutated["client.password"].fingerprint
    assert call.inputs["token_ids"].fingerprint == "many"
    assert call.output["output['lr']"].text == "0.1"
    logger.finish()
    logger.engine.dispose()
