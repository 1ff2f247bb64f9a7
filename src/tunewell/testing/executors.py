"""What every executor that runs objectives keeps to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tunewell.events import CheckpointSaved, Ended, Event, Planned, Reported, Status
from tunewell.protocols import Continue, Executor, Job, Objective, Observe, Pause, Stop, Verdict
from tunewell.trial import Trial

PATIENCE = 60.0  # seconds until a test gives up waiting; a good executor needs a fraction of one


def make_job(folder: Path, trial: int = 0, worker: int = 0, **changes: Any) -> Job:
    """Return a job that keeps its files in ``folder``."""
    settings: dict[str, Any] = {
        "config": {"x": 0.5},
        "seed": 1000 + trial,
        "step": 0,
        "checkpoint": None,
        "directory": folder / f"trial-{trial}",
        "log": folder / "logs" / f"trial-{trial}.log",
        "metrics": ("loss",),
    }
    return Job(trial=trial, worker=worker, **{**settings, **changes})


class Notebook:
    """An ``observe`` that notes what it hears, plans aside; ``answer(trial, events)`` says how a trial goes on."""

    def __init__(self, answer: Callable[[int, Sequence[Event]], Verdict] | None = None) -> None:
        self.heard: list[tuple[int, Event]] = []
        self.threads: set[int] = set()
        self._answer = answer or (lambda trial, events: Continue())

    def __call__(self, trial: int, events: Sequence[Event]) -> Verdict:
        self.threads.add(threading.get_ident())
        self.heard += [(trial, event) for event in events if not isinstance(event, Planned)]
        return self._answer(trial, events)

    def of(self, trial: int) -> list[Event]:
        """Return all that was heard of a trial."""
        return [event for number, event in self.heard if number == trial]

    def end_of(self, trial: int) -> Ended:
        """Return how a trial ended; it must have ended once, and said nothing after that."""
        events = self.of(trial)
        ends = [event for event in events if isinstance(event, Ended)]
        assert len(ends) == 1, f"expected one end of trial {trial}, heard {events}"
        assert events[-1] is ends[0], f"heard more of trial {trial} after its end: {events}"
        return ends[0]


def poll_until(executor: Executor, observe: Observe, condition: Callable[[], bool]) -> None:
    """Poll until ``condition()``; fail when that takes unreasonably long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"nothing came of it in {PATIENCE:g} s"
        executor.poll(observe, 0.1)


def poll_until_idle(executor: Executor, observe: Observe) -> None:
    """Poll until every worker is free."""
    poll_until(executor, observe, lambda: not executor.busy_trials())


def run_one(executor: Executor, objective: Objective, job: Job, notebook: Notebook | None = None) -> Ended:
    """Start ``executor`` with one worker, run one job on it and return how it ended."""
    notebook = notebook or Notebook()
    executor.start(objective, 1)
    executor.launch(job)
    poll_until_idle(executor, notebook)
    return notebook.end_of(job.trial)


def square(trial: Trial) -> float:
    """An objective that every process can import."""
    return float(trial.params["x"]) ** 2  # type: ignore[arg-type]


class ExecutorContract:
    """Inherit and give a fixture ``executor``: one that is not started yet. It is closed for you."""

    @pytest.fixture
    def executor(self) -> Executor:
        """Return the executor."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _closed(self, executor: Executor) -> Iterator[None]:
        yield
        executor.close()

    # --- what crosses -------------------------------------------------------------------------------------------------

    def test_reports_cross_in_order_and_the_return_value_ends_the_trial(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        def train(trial: Trial) -> float:
            for step in trial.steps(3):
                trial.report(loss=1 / step)
            return 0.25

        notebook, began = Notebook(), executor.clock()
        end = run_one(executor, train, make_job(tmp_path, trial=7), notebook)
        reports = [event for event in notebook.of(7) if isinstance(event, Reported)]
        assert [(report.step, dict(report.metrics)) for report in reports] == [
            (1, {"loss": 1.0}),
            (2, {"loss": 0.5}),
            (3, {"loss": 1 / 3}),
        ]
        assert (end.status, dict(end.metrics), end.error) == (Status.COMPLETED, {"loss": 0.25}, "")
        times = [began, *(event.time for event in notebook.of(7)), executor.clock()]
        assert times == sorted(times), "times are on the executor's clock"

    @pytest.mark.parametrize("kind", ["function", "closure", "lambda"])
    def test_any_kind_of_function_will_do(self, executor: Executor, tmp_path: Path, kind: str) -> None:
        power = 2

        def closure(trial: Trial) -> float:
            return float(trial.params["x"]) ** power  # type: ignore[arg-type]

        objectives: dict[str, Objective] = {
            "function": square,
            "closure": closure,
            "lambda": lambda trial: trial.params["x"] ** power,
        }
        end = run_one(executor, objectives[kind], make_job(tmp_path))
        assert (end.status, dict(end.metrics)) == (Status.COMPLETED, {"loss": 0.25})

    def test_a_trial_knows_its_number_seed_and_checkpoint(self, executor: Executor, tmp_path: Path) -> None:
        def train(trial: Trial) -> dict[str, float]:
            first = next(iter(trial.steps()))
            saved = trial.checkpoint is not None and (trial.checkpoint / "weights").read_text() == "7"
            return {"number": trial.number, "seed": trial.seed, "first": first, "saved": saved}

        checkpoint = tmp_path / "step-4"
        checkpoint.mkdir()
        (checkpoint / "weights").write_text("7")
        end = run_one(executor, train, make_job(tmp_path, 3, seed=2**40, step=4, checkpoint=checkpoint, max_steps=9))
        assert dict(end.metrics) == {"number": 3, "seed": 2**40, "first": 5, "saved": 1}

    def test_a_checkpoint_crosses_with_the_report_of_its_step(self, executor: Executor, tmp_path: Path) -> None:
        def train(trial: Trial) -> None:
            for step in trial.steps(2):
                trial.report(loss=step)
                trial.save(lambda folder: (folder / "weights").write_text("7"))

        together: list[list[type]] = []

        def answer(trial: int, events: Sequence[Event]) -> Verdict:
            together.append([type(event) for event in events])
            return Continue()

        job = make_job(tmp_path)
        run_one(executor, train, job, Notebook(answer))
        assert together == [[Planned, Reported, CheckpointSaved], [Reported, CheckpointSaved, Ended]]
        assert (job.directory / "step-2" / "weights").read_text() == "7"

    @pytest.mark.parametrize("verdict", [Stop("rung 1: place 3 of 3"), Pause("rung 1: place 2 of 3")])
    def test_a_stop_or_pause_ends_the_loop_and_nothing_more_is_heard(
        self, executor: Executor, tmp_path: Path, verdict: Verdict
    ) -> None:
        mark = tmp_path / "after the loop"

        def train(trial: Trial) -> float:
            last = 0
            for step in trial.steps(50):
                trial.report(loss=step)
                last = step
            mark.write_text(str(last))
            return 0.0

        def answer(trial: int, events: Sequence[Event]) -> Verdict:
            return verdict if any(isinstance(event, Reported) and event.step == 2 for event in events) else Continue()

        notebook = Notebook(answer)
        executor.start(train, 1)
        executor.launch(make_job(tmp_path))
        poll_until_idle(executor, notebook)
        steps = [event.step for event in notebook.of(0) if isinstance(event, Reported)]
        assert (steps, len(notebook.of(0))) == ([1, 2], 2)
        assert mark.read_text() == "2"

    def test_values_that_change_are_there_from_the_next_step_on(self, executor: Executor, tmp_path: Path) -> None:
        def train(trial: Trial) -> None:
            for step in trial.steps(4):
                x, changed = trial.params["x"], trial.changed.get("x", 0.0)
                trial.report(loss=step, x=x, changed=changed, replaced=trial.replaced.get("x", 0.0))

        def answer(trial: int, events: Sequence[Event]) -> Verdict:
            changes = any(isinstance(event, Reported) and event.step == 2 for event in events)
            return Continue("brighter", {"x": 0.75}) if changes else Continue()

        notebook = Notebook(answer)
        run_one(executor, train, make_job(tmp_path), notebook)
        reports = [dict(event.metrics) for event in notebook.of(0) if isinstance(event, Reported)]
        assert [report["x"] for report in reports] == [0.5, 0.5, 0.75, 0.75]
        assert [report["changed"] for report in reports] == [0.0, 0.0, 0.75, 0.0]
        assert [report["replaced"] for report in reports] == [0.0, 0.0, 0.5, 0.0]

    def test_the_first_step_knows_what_changed_since_its_checkpoint(self, executor: Executor, tmp_path: Path) -> None:
        def train(trial: Trial) -> None:
            for _ in trial.steps(6):
                trial.report(
                    loss=0.0, x=trial.params["x"], changed=trial.changed.get("x", 0.0), names=len(trial.changed)
                )

        notebook = Notebook()
        job = make_job(tmp_path, step=4, config={"x": 0.5, "y": 1}, previous={"x": 0.25, "y": 1})
        run_one(executor, train, job, notebook)
        reports = [dict(event.metrics) for event in notebook.of(0) if isinstance(event, Reported)]
        assert reports == [
            {"loss": 0.0, "x": 0.5, "changed": 0.5, "names": 1.0},
            {"loss": 0.0, "x": 0.5, "changed": 0.0, "names": 0.0},
        ]

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (ValueError("no such layer"), Status.FAILED),
            (MemoryError("no room"), Status.OUT_OF_MEMORY),
            (FloatingPointError("overflow"), Status.DIVERGED),
            (SystemExit(3), Status.FAILED),
        ],
    )
    def test_an_exception_ends_the_trial_with_its_cause(
        self, executor: Executor, tmp_path: Path, error: BaseException, status: Status
    ) -> None:
        def train(trial: Trial) -> None:
            trial.report(loss=1.0)
            raise error

        notebook = Notebook()
        end = run_one(executor, train, make_job(tmp_path), notebook)
        assert end.status == status
        assert str(error) in end.reason
        assert "raise error" in end.error, "the traceback shows the user's own line"
        assert isinstance(notebook.of(0)[0], Reported), "what was reported before is not lost"

    def test_an_exception_that_cannot_be_pickled_is_told_too(self, executor: Executor, tmp_path: Path) -> None:
        def train(trial: Trial) -> None:
            class Odd(Exception):
                def __reduce__(self) -> Any:
                    raise TypeError("never")

            raise Odd("very odd")

        end = run_one(executor, train, make_job(tmp_path))
        assert (end.status, end.reason) == (Status.FAILED, "Odd: very odd")

    # --- workers ------------------------------------------------------------------------------------------------------

    def test_a_worker_is_busy_from_launch_until_the_end(self, executor: Executor, tmp_path: Path) -> None:
        executor.start(square, 1)
        assert (list(executor.free_workers()), list(executor.busy_trials())) == ([0], [])
        for number in (4, 5):
            executor.launch(make_job(tmp_path, trial=number))
            assert (list(executor.free_workers()), list(executor.busy_trials())) == ([], [number])
            notebook = Notebook()
            poll_until_idle(executor, notebook)
            assert list(executor.free_workers()) == [0]
            assert notebook.end_of(number).status == Status.COMPLETED

    def test_everything_is_observed_in_the_thread_that_polls(self, executor: Executor, tmp_path: Path) -> None:
        notebook = Notebook()
        run_one(executor, square, make_job(tmp_path), notebook)
        assert notebook.threads == {threading.get_ident()}

    def test_polling_without_news_waits_no_longer_than_told(self, executor: Executor) -> None:
        executor.start(square, 1)
        began = time.monotonic()
        executor.poll(Notebook(), 0.05)
        assert time.monotonic() - began < 5

    def test_a_halted_trial_is_not_heard_of_again(self, executor: Executor, tmp_path: Path) -> None:
        executor.start(square, 1)
        executor.launch(make_job(tmp_path, trial=0))
        executor.halt(0)
        notebook = Notebook()
        poll_until_idle(executor, notebook)
        assert notebook.heard == []
        executor.launch(make_job(tmp_path, trial=1))
        poll_until_idle(executor, notebook)
        assert notebook.end_of(1).status == Status.COMPLETED

    def test_halting_an_unknown_trial_does_nothing(self, executor: Executor) -> None:
        executor.start(square, 1)
        executor.halt(99)
        assert list(executor.free_workers()) == [0]

    def test_closing_is_safe_at_any_time_and_twice(self, executor: Executor, tmp_path: Path) -> None:
        executor.close()
        executor.start(square, 1)
        executor.launch(make_job(tmp_path))
        executor.close()
        executor.close()
        assert list(executor.busy_trials()) == []

    def test_an_error_of_the_observer_reaches_the_caller(self, executor: Executor, tmp_path: Path) -> None:
        def answer(trial: int, events: Sequence[Event]) -> Verdict:
            raise LookupError("the journal is gone")

        executor.start(square, 1)
        executor.launch(make_job(tmp_path))
        with pytest.raises(LookupError, match="journal"):
            poll_until_idle(executor, Notebook(answer))
