"""The handle an objective trains with: its parameters, its steps, its reports, its checkpoints.

A trial talks to the study at *step boundaries* only. What happened during a step (its report, its checkpoint) crosses
in one message and is recorded together or not at all, and the answer says whether to train on. So a rung is exact, a
pause finds the checkpoint of its own step, and a crash loses at most the step that was running.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tunewell.events import CheckpointSaved, Ended, Event, Metrics, Planned, Reported, Status
from tunewell.protocols import Continue, Job, Objective, Stop, Verdict
from tunewell.space import Value

Send = Callable[[Sequence[Event]], Verdict]
T = TypeVar("T")  # a level

PATIENCE_SECONDS = 600.0
"""How long saving is tried again on a full disk."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_FULL = 1 << 16  # bytes: a disk with less is full


class NoSpaceError(OSError):
    """There was no space for a checkpoint for so long that the trial was given up, to be taken up again."""


class Halted(BaseException):
    """Raised by :meth:`Trial.report` when the study has ended a trial that does not loop over :meth:`Trial.steps`.

    Not an ``Exception``, so that an objective's own ``except Exception`` lets it pass.
    """


class Trial:
    """One configuration in training, as its objective sees it.

    Attributes:
        params: the active parameters, by name (read-only): those of the step that trains now.
        changed: which of them are others than in the step before, with their new values; empty at almost every step.
            At the first step after a checkpoint: others than those that the checkpoint was trained with.
        replaced: the values that those had before.
        number: counted from 0 in the order of starting.
        seed: for the random generators of this trial; the same again when the trial is taken up after a crash.
        checkpoint: the folder of the last saved step, or None at the beginning.
    """

    params: Mapping[str, Value]
    changed: Mapping[str, Value]
    replaced: Mapping[str, Value]
    number: int
    seed: int
    checkpoint: Path | None

    def __init__(self, job: Job, send: Send, clock: Callable[[], float]) -> None:
        self._set(job.config if job.previous is None else job.previous, job.config)
        self.number = job.trial
        self.seed = job.seed
        self.checkpoint = job.checkpoint
        self._job = job
        self._send = send
        self._clock = clock
        self._step = job.step  # steps finished
        self._reported = job.step  # the last step with a report
        self._saved = job.step  # the last step with a checkpoint
        self._in_steps = False
        self._pending: list[Event] = []
        self._verdict: Verdict = Continue()

    def __repr__(self) -> str:
        return f"Trial(number={self.number}, params={dict(self.params)!r})"

    def steps(self, count: int | None = None) -> Iterator[int]:
        """Yield the steps still to train, counted from 1 up to ``count``, for as long as the study says so.

        A trial that goes on from a checkpoint begins after the step it was saved at. ``count=None`` means the
        ``max_steps`` of the run.

        Raises:
            ValueError: neither ``count`` nor the run says how long to train.
        """
        last = self._job.max_steps if count is None else count
        if last is None:
            raise ValueError(
                "expected a number of steps, got none: call trial.steps(50) or study.run(..., max_steps=50)"
            )
        if last != int(last) or last < 1:
            raise ValueError(f"expected a whole number of steps of at least 1, got {last!r}: call e.g. trial.steps(50)")
        count = int(last)
        yield from self._along(((step, step) for step in range(self._step + 1, count + 1)), count)

    def levels(self, values: Sequence[T]) -> Iterator[T]:
        """Yield the values of a fidelity that is no number of steps: a share of the data, a width, a resolution.

        Every level is a training of its own, from the cheapest to the full one, for as long as the study says so::

            for share in trial.levels([1 / 27, 1 / 9, 1 / 3, 1.0]):
                trial.report(loss=train(net_of(trial.params), share))

        A level counts as so many steps as it is larger than the first: here 1, 3, 9 and 27, so a scheduler with a
        reduction of 3 compares trials at each of them. What a level costs is measured. Nothing has to be saved for a
        trial to rest after a level: the next one begins anew.

        Raises:
            ValueError: fewer than two values, or values that are not numbers above 0 in rising order.
        """
        steps = levels_to_steps(values)
        left = [(step, value) for step, value in zip(steps, values, strict=True) if step > self._step]
        yield from self._along(left, steps[-1], saving=True)

    def _along(self, places: Iterable[tuple[int, T]], last: int, saving: bool = False) -> Iterator[T]:
        """Yield what belongs to each step, and cross its boundary; ``saving``: with a checkpoint, be it empty."""
        if last != self._job.max_steps and not self._step:
            self._pending.append(Planned(self._clock(), self.number, last))
        self._in_steps = True
        try:
            for step, value in places:
                self._step = step
                yield value
                if saving and self._saved != step and step < last:
                    self.save(lambda directory: None)
                # The last step asks nobody: its report crosses together with the end of the trial.
                if step < last and not self._goes_on():
                    return
        finally:
            self._in_steps = False

    def report(
        self, metrics: Mapping[str, Any] | None = None, /, *others: Any, step: int | None = None, **values: Any
    ) -> None:
        """Report the metrics of a step, by keyword or as a dict (for names such as ``"val/loss"``).

        Inside ``for epoch in trial.steps(...)`` the step is the loop's; elsewhere it is one more than the last
        reported, unless ``step`` says otherwise. Numbers, NumPy scalars and tensors of one element are all welcome;
        NaN and infinity end the trial as diverged when they stand in the study's own metric. Inside the loop the study
        says after each step whether to go on; elsewhere it is asked with the next report, one interval later.

        Raises:
            ValueError: the step was already reported, or there is nothing to report.
            TypeError: a value is not a number, or a number has no name.
            Halted: the study has ended this trial, and the objective does not loop over :meth:`steps`.
        """
        if others or not (metrics is None or isinstance(metrics, Mapping)):
            raise self._nameless(metrics, *others)
        measured = numbers({**(metrics or {}), **values}, "trial.report()")
        if not measured:
            raise ValueError(
                "trial.report() expected at least one metric, got none: call e.g. trial.report(val_loss=0.3)"
            )
        if self._in_steps:
            expected = self._step
            if step is not None and step != expected:
                raise ValueError(
                    f"trial.report() expected step {expected}, the step of the loop over trial.steps(), got {step}: "
                    "leave step out"
                )
            step = expected
        elif self._pending and not self._goes_on():
            raise Halted(self._verdict.reason)
        elif step is None:
            step = self._reported + 1
        if step != int(step):
            raise ValueError(f"trial.report() expected a whole number as step, got {step!r}: count epochs or batches")
        if step <= 0:
            raise ValueError(
                f"trial.report() expected steps from 1 on, got {step}: pass step=epoch + 1, or leave it out"
            )
        if step <= self._reported:
            raise ValueError(
                f"trial.report() expected a step after {self._reported}, got {step}: report each step once, in order, "
                "with all its metrics in one call"
            )
        self._reported = self._step = int(step)
        self._pending.append(Reported(self._clock(), self.number, self._step, measured))

    def _nameless(self, *given: Any) -> TypeError:
        """Return the error of a report whose metrics have no names; other libraries take a value and a step."""
        name = next(iter(self._job.metrics), "loss")
        value = repr(given[0]) if isinstance(given[0], int | float) else "0.5"
        named = f"{name}={value}" if name.isidentifier() else f"{{{name!r}: {value}}}"
        step = f", step={given[1]!r}" if len(given) == 2 and not self._in_steps else ""
        return TypeError(
            f"trial.report() expected metrics by name, got {', '.join(f'{each!r:.60}' for each in given)}: "
            f"call e.g. trial.report({named}{step})"
        )

    def save(self, write: Callable[[Path], object]) -> None:
        """Save the state after this step: ``write(directory)`` fills an empty folder, which then appears in one go.

        Outside of a loop over :meth:`steps` a step is one that was reported, so its report comes first.

        The folder is written aside, flushed to disk and renamed, so a checkpoint is there whole or not at all. Older
        ones that nothing needs any more are removed by the study. On a full disk it is tried again, from the beginning
        and for ten minutes.

        Raises:
            TypeError: ``write`` is no function.
            ValueError: outside of a loop, what is saved has not been reported yet.
        """
        if not callable(write):
            raise TypeError(
                f"trial.save() expected a function that fills a folder, got {type(write).__name__}: call e.g. "
                "trial.save(lambda folder: torch.save(state, folder / 'state.pt'))"
            )
        if not self._in_steps and self._saved == self._step:
            raise ValueError(
                f"trial.save() expected the report of the step that is saved before it, got none since step "
                f"{self._step}: call trial.report(...), then trial.save(...), or loop over trial.steps()"
            )
        final = self._job.directory / f"step-{self._step}"
        _patiently(lambda: _written(write, final), self._job.directory)
        self.checkpoint = final
        self._saved = self._step
        self._pending.append(CheckpointSaved(self._clock(), self.number, self._step))

    def take_pending(self) -> list[Event]:
        """Return, once, what has not crossed a step boundary yet."""
        events, self._pending = self._pending, []
        return events

    @property
    def halted(self) -> bool:
        """Whether the study has ended or paused this trial."""
        return not isinstance(self._verdict, Continue)

    @property
    def halt_reason(self) -> str:
        """Why the study has ended or paused this trial, in words."""
        return self._verdict.reason

    def _goes_on(self) -> bool:
        """Cross the step boundary: tell what happened, hear how it goes on."""
        if not self.halted:
            self._verdict = self._send(self.take_pending())
            if isinstance(self._verdict, Continue) and (self._verdict.values or self.changed):
                self._set(self.params, {**self.params, **(self._verdict.values or {})})
        return not self.halted

    def _set(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Take the values of the next step, and note which are others than before."""
        changed = {name: value for name, value in now.items() if name not in before or before[name] != value}
        self.params = MappingProxyType(dict(now))
        self.changed = MappingProxyType(changed)
        self.replaced = MappingProxyType({name: before[name] for name in changed if name in before})

    def _end(self, status: Status, reason: str = "", metrics: Metrics | None = None, error: str = "") -> None:
        """Tell what is left and that the trial is over, unless the study has said so before."""
        if self.halted:
            return
        end = Ended(self._clock(), self.number, status, reason, metrics or {}, error)
        self._send([*self.take_pending(), end])
        self._verdict = Stop(reason or str(status))


def levels_to_steps(values: Sequence[Any]) -> list[int]:
    """Return the step that each level counts as: how many times it is as large as the first, rounded, and rising.

    Raises:
        ValueError: see :meth:`Trial.levels`.
    """
    try:
        sizes = [float(value) for value in values]
    except (TypeError, ValueError):
        sizes = []
    rising = all(0.0 < a < b < math.inf for a, b in pairwise(sizes))
    if len(sizes) < 2 or not rising:
        raise ValueError(
            f"trial.levels() expected at least two numbers above 0 in rising order, got {values!r}: "
            "call e.g. trial.levels([1 / 9, 1 / 3, 1.0])"
        )
    steps: list[int] = []
    for size in sizes:
        steps.append(max(round(size / sizes[0]), steps[-1] + 1 if steps else 1))
    return steps


def numbers(metrics: Mapping[str, Any], who: str) -> dict[str, float]:
    """Return ``metrics`` as plain floats; raise TypeError, naming ``who`` was called, for what is not a number."""
    measured: dict[str, float] = {}
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise TypeError(f"{who} expected names of metrics as text, got {name!r}")
        if value.__class__ is float:  # the usual case, and the hot path
            measured[name] = value
            continue
        try:
            if isinstance(value, str | bytes | complex):
                raise TypeError
            item = getattr(value, "item", None)  # of arrays and tensors: their one element
            measured[name] = float(item() if callable(item) else value)
        except OverflowError:
            raise TypeError(f"{who} expected a number that fits a float for {name!r}: got a larger one") from None
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"{who} expected a number for {name!r}, got {type(value).__name__}: pass a float, e.g. loss.item()"
            ) from None
    return measured


def returned_metrics(result: Any, goals: Sequence[str]) -> dict[str, float]:
    """Return what an objective returned (nothing, a number, one number per goal, or a dict) as metrics by name."""
    if result is None:
        return {}
    if isinstance(result, Mapping):
        return numbers(result, "the returned dict")
    if isinstance(result, tuple | list):
        if len(result) != len(goals):
            raise TypeError(
                f"the objective was expected to return {len(goals)} number(s) for {', '.join(goals)}, got {len(result)}"
            )
        return numbers(dict(zip(goals, result, strict=True)), "the returned value")
    if len(goals) != 1:
        raise TypeError(
            f"the objective was expected to return a dict or one number each for {', '.join(goals)}, got one value"
        )
    return numbers({goals[0]: result}, "the returned value")


def run_objective(objective: Objective, trial: Trial) -> None:
    """Run ``objective`` on ``trial`` to its end, whatever that is, and tell it: every executor's inner call."""
    try:
        metrics = returned_metrics(objective(trial), trial._job.metrics)
    except Halted:
        return
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        trial._end(Status.FAILED, f"the objective called sys.exit({error.code!r})", error=traceback.format_exc())
    except BaseException as error:  # noqa: BLE001 (whatever went wrong in the user's code is told, not swallowed)
        trial._end(cause(error), f"{type(error).__name__}: {error}".strip(": \n")[:1000], error=_traceback(error))
    else:
        trial._end(Status.COMPLETED, metrics=metrics)


def cause(error: BaseException) -> Status:
    """Return the status that an exception of the objective stands for."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if names & {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"}:
        return Status.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and any(words in text for words in _MEMORY_WORDS):
        return Status.OUT_OF_MEMORY
    if isinstance(error, FloatingPointError):
        return Status.DIVERGED
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return Status.LOST
    return Status.FAILED


_MEMORY_WORDS = (
    "out of memory",
    "resource_exhausted",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
)


def _traceback(error: BaseException) -> str:
    """Format the traceback without the frames of this file above the objective's own."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def _patiently(act: Callable[[], None], directory: Path) -> None:
    """Try again while the disk is full; what was trained so far is worth waiting for somebody to free some space."""
    delay, deadline = 1.0, time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except Exception as error:
            if not _is_full(error, directory):
                raise
            sentence = f"no space left for a checkpoint in {directory}: free some space"
            if time.monotonic() > deadline:
                raise NoSpaceError(errno.ENOSPC, sentence) from error
            with suppress(OSError, ValueError):  # the disk of standard error may be full as well, or it is closed
                print(f"{sentence}, it is tried again in {delay:g} s", file=sys.stderr, flush=True)
            time.sleep(delay)
            delay = min(2 * delay, 30.0)


def _is_full(error: Exception, directory: Path) -> bool:
    """Tell whether writing failed for lack of space, which libraries say in errors of their own."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return True
    try:
        return isinstance(error, OSError | RuntimeError) and shutil.disk_usage(directory).free < _FULL
    except OSError:  # the folder could not be made
        return False


def _written(write: Callable[[Path], object], final: Path) -> None:
    """Have a folder filled aside, flush it to disk and rename it."""
    aside = final.with_name(f".{final.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write(aside)
        _flush_to_disk(aside)
        shutil.rmtree(final, ignore_errors=True)  # left by a crash before it was recorded
        aside.rename(final)
        _flush_directory(final.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _flush_to_disk(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_directory(directory)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
