from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from ato import HyperBand
from ato.exceptions import ExecutorError, NoResultError, TrialResultError


def rate(config, trial):
    return config.lr * config.depth + trial.budget / 1000


def digest(scope, spaces, function=rate, **options):
    return HyperBand(scope, spaces, max_budget=9, **options).main(function)().digest


def test_the_result_is_the_same_wherever_trials_run(scope, spaces):
    """Inline, one, two and three processes, and threads give one digest; the halving form as well."""
    expected = digest(scope, spaces)
    assert [digest(scope, spaces, processes=number) for number in (1, 2, 3)] == [expected] * 3
    with ThreadPoolExecutor(3) as threads:
        assert digest(scope, spaces, executor=threads) == expected
    here = HyperBand(scope, spaces).main(lambda config: config.lr)()
    there = HyperBand(scope, spaces, processes=2).main(lambda config: config.lr)()
    assert here.digest == there.digest


SCRIPT = """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
from ato import HyperBand, Scope

scope = Scope()

@scope.observe(default=True)
def defaults(config):
    config.scale = 1.0

spaces = {"lr": {"param_type": "FLOAT", "param_range": (0.0, 1.0)}}
hyperband = HyperBand(scope, spaces, max_budget=9)

@hyperband.main
def train(config, trial):
    return config.lr * config.scale * trial.budget

if __name__ == "__main__":
    print(train().digest)
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            hyperband.executor = pool
            print(train().digest)
"""


def test_process_pools_find_the_function_by_its_name(tmp_path):
    """A pool that forks, and one that starts fresh interpreters, give the digest of this process."""
    (tmp_path / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    digests = done.stdout.split()
    assert len(digests) == 3
    assert len(set(digests)) == 1


def test_a_function_that_no_name_finds_cannot_go_to_fresh_processes(scope, spaces):
    """A nested function in a pool of fresh interpreters is an error that says what to do."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        train = HyperBand(scope, spaces, executor=pool).main(lambda config: 1.0)
        with pytest.raises(ExecutorError, match="top of a module"):
            train()


def test_whatever_happens_to_a_process_costs_one_trial(scope, spaces):
    """A trial that exits, is killed, hangs or breaks its pipe is a failure with its reason."""

    def train(config, trial):
        if trial.number == 0:
            os._exit(137)
        if trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if trial.number == 2:
            time.sleep(60)
        if trial.number == 3:
            raise ValueError("diverged")
        return config.lr

    hyperband = HyperBand(
        scope,
        spaces,
        max_budget=3,
        scheduler="halving",
        n_samples=9,
        processes=3,
        trial_timeout=6.0,
    )
    before = time.monotonic()
    best = hyperband.main(train)()
    assert time.monotonic() - before < 50  # and not the sixty seconds of the one that hangs
    failed = {r.job.trial: r.outcome for r in best.failures}
    assert {trial: outcome.status for trial, outcome in failed.items()} == {
        0: "killed",
        1: "killed",
        2: "timeout",
        3: "failed",
    }
    assert "ended with status 137" in failed[0].error
    assert "killed by SIGKILL" in failed[1].error
    assert "longer than 6 s" in failed[2].error
    assert 'raise ValueError("diverged")' in failed[3].error
    assert [r.succeeded for r in best.rungs[0]] == [True] * 5 + [False] * 4
    assert best.config.__trial__ > 3


def test_a_process_that_leaves_children_behind_is_noticed(scope, spaces):
    """A killed trial whose own child still holds the pipe is a failure, not a wait."""

    def train(config, trial):
        if trial.number == 0:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        return config.lr

    before = time.monotonic()
    hyperband = HyperBand(
        scope, spaces, max_budget=1, scheduler="halving", n_samples=2, processes=2
    )
    best = hyperband.main(train)()
    assert time.monotonic() - before < 50
    assert [r.job.trial for r in best.failures] == [0]


def test_an_overdue_trial_of_a_thread_is_left_alone(scope, spaces):
    """In somebody's executor a search goes on without a trial that takes too long."""

    def train(config, trial):
        if trial.number == 0:
            time.sleep(1.5)
        return config.lr

    with ThreadPoolExecutor(2) as threads:
        hyperband = HyperBand(scope, spaces, max_budget=3, executor=threads, trial_timeout=0.3)
        best = hyperband.main(train)()
    assert [(r.job.trial, r.outcome.status) for r in best.failures] == [(0, "timeout")]


def test_a_broken_pool_is_an_error_that_says_what_helps(scope, spaces):
    """A worker that dies breaks a process pool for good; the error points to processes=N."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        train = HyperBand(scope, spaces, executor=pool).main(lambda config: os._exit(1))
        with pytest.raises(ExecutorError, match="processes=N"):
            train()


def test_an_executor_that_is_shut_down_is_an_error(scope, spaces):
    """An executor that takes no work is named with the trial that it refused."""
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(ExecutorError, match=r"trial 0 .*takes no more work"):
        digest(scope, spaces, executor=threads)


def test_errors_of_the_user_s_come_out_of_processes(scope, spaces):
    """No number from a process, and failures in all of them, are the errors they are inline."""
    with pytest.raises(TrialResultError, match=r"trial \d"):
        digest(scope, spaces, lambda config: None, processes=2)
    with pytest.raises(NoResultError, match="SystemExit"):
        digest(scope, spaces, lambda config: sys.exit("no"), processes=2)


def test_asha_finds_the_best_with_several_workers(scope, spaces):
    """Asynchronous promotion with three processes trains all configs and ends at the full budget."""
    hyperband = HyperBand(scope, spaces, max_budget=9, scheduler="asha", n_samples=12, processes=3)
    best = hyperband.main(rate)()
    assert len(best.rungs[0]) == 12
    assert best.config.__budget__ == 9


def test_ctrl_c_stops_the_processes(tmp_path):
    """SIGINT to the search ends every trial's process, and the best that is known is returned."""
    script = """
    import os, time
    from ato import HyperBand, Scope

    scope = Scope()
    spaces = {"lr": {"param_type": "FLOAT", "param_range": (0.0, 1.0)}}
    hyperband = HyperBand(scope, spaces, max_budget=9, processes=2)

    @hyperband.main
    def train(config, trial):
        if trial.number > 3:
            os.write(1, f"waiting {os.getpid()}\\n".encode())
            time.sleep(60)
        return config.lr

    best = train()
    print("best", best.interrupted, len(best.rungs[0]), flush=True)
    """
    (tmp_path / "train.py").write_text(textwrap.dedent(script))
    with subprocess.Popen(
        [sys.executable, "train.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        pids = [int(process.stdout.readline().split()[1]) for _ in range(2)]
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == "best True 4\n"
        assert process.wait(timeout=30) == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
