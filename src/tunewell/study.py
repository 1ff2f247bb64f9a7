"""The study: the one place where journal, executor, sampler and scheduler meet."""

from __future__ import annotations

import hashlib
import math
import operator
import re
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunewell.deciders import Deciders, plain
from tunewell.decisions import Budget, StartsOnly, choose
from tunewell.driver import Driver
from tunewell.events import (
    Ended,
    Enqueued,
    Event,
    Goal,
    Noted,
    Reported,
    SettingsChanged,
    SpaceChanged,
    Status,
    StudyCreated,
    TrialStarted,
)
from tunewell.history import History, TrialRecord
from tunewell.journals.memory import MemoryJournal
from tunewell.ledger import Ledger
from tunewell.protocols import (
    Continue,
    Done,
    Executor,
    Job,
    Journal,
    Objective,
    Sampler,
    Scheduler,
    Verdict,
    Wait,
)
from tunewell.samplers import SAMPLERS
from tunewell.schedulers import SCHEDULERS
from tunewell.space import Config, Space
from tunewell.trial import Trial, numbers, returned_metrics

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["min", "max"]


class Study:
    """A search for good configurations of ``space``: a list of events, and the means to add to it.

    Attributes:
        name: the study's name in its storage.
        directory: the folder of checkpoints and logs.
    """

    def __init__(
        self,
        space: Space,
        metric: str | Sequence[str] = "loss",
        mode: Mode | Sequence[Mode] = "min",
        *,
        name: str = "study",
        storage: str | Path | None = None,
        sampler: str | Sampler = "auto",
        scheduler: str | Scheduler = "auto",
        seed: int | None = None,
        default_first: bool | None = None,
        directory: str | Path | None = None,
    ) -> None:
        """Create a study, or open the one of this name in ``storage`` to go on with it.

        Args:
            space: what may be tried.
            metric: the metric to optimise, as the objective reports it; a list for several objectives.
            mode: ``"min"`` or ``"max"``; a list for several objectives.
            name: the study's name; one storage holds many studies.
            storage: ``"sqlite:///tunewell.db"``, ``"postgresql://…"``, a path to a SQLite file, or None: in memory.
            sampler: what to try: a name or an instance, e.g. ``tw.samplers.Grid(points=3)``.
            scheduler: how far to train: a name or an instance, e.g. ``tw.schedulers.Asha(reduction=4)``.
            seed: makes the study reproducible; None draws one, which is stored.
            default_first: begin with the default configuration; None means yes if any parameter states a default.
            directory: where checkpoints and logs go; by default beside the SQLite file, or a temporary folder for a
                study in memory.

        Raises:
            TypeError: ``space`` is not a :class:`~tunewell.Space`.
            ValueError: an unknown sampler, scheduler or mode; or the stored study has another space, goals or seed.
        """
        if not isinstance(space, Space):
            raise TypeError(f"a study expected a Space, got {type(space).__name__}: write tw.Space(lr=tw.Float(...))")
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"a study expected a name, got {name!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise ValueError(f"a study expected a seed that is a whole number of at least 0, got {seed!r}")
        goals = _goals(metric, mode)
        self._deciders = Deciders(SAMPLERS.make(sampler), SCHEDULERS.make(scheduler))
        if default_first is None:
            default_first = space.has_default and SAMPLERS.describe(sampler)["name"] != "grid"
        settings = {
            "sampler": SAMPLERS.describe(sampler),
            "scheduler": SCHEDULERS.describe(scheduler),
            "default_first": default_first,
        }
        self._connect(name, storage, directory, create=True)
        if directory is not None or (self._storage is not None and self._storage.path is None):
            settings["directory"] = str(self.directory)  # or whoever opens the study would look elsewhere
        drawn = secrets.randbits(32) if seed is None else seed
        created = StudyCreated(time.time(), name, space, goals, settings, drawn)
        self._ledger.commit(lambda history: [] if len(history) else [created])
        _check_same(self.history, name, space, goals, seed)
        if plain(dict(self.history.settings)) != plain(settings):
            # "auto" and the default of default_first follow what the study was created with.
            follow = {
                key for key, given in (("sampler", sampler != "auto"), ("scheduler", scheduler != "auto")) if not given
            } | {"default_first", "directory"}
            wanted = {**self.history.settings, **{k: v for k, v in settings.items() if k not in follow}}
            if plain(wanted) != plain(dict(self.history.settings)):
                self._ledger.commit(lambda history: [SettingsChanged(time.time(), wanted)])

    @classmethod
    def _opened(cls, storage: str | Path, name: str | None, directory: str | Path | None) -> Study:
        """Open a stored study without saying again what it is about."""
        study = cls.__new__(cls)
        study._connect(name, storage, directory, create=False)
        study._deciders = Deciders()
        return study

    def _connect(
        self, name: str | None, storage: str | Path | None, directory: str | Path | None, *, create: bool
    ) -> None:
        self._lock = threading.RLock()
        self._storage: Any = None
        journal: Journal = MemoryJournal()
        if storage is not None:
            from tunewell.journals.sql import SqlStorage

            self._storage = SqlStorage(storage, create=create)
            name = name or _only_name(self._storage.names(), storage)
            try:
                journal = self._storage.journal(name, create=create)
            except KeyError:
                raise KeyError(_no_such_study(name, storage, self._storage.names())) from None
        self.name = name or "study"
        self._ledger = Ledger(journal, Path())
        if self._storage is None and directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix="tunewell-"))
            weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        elif directory is not None:
            self.directory = Path(directory).absolute()
        else:
            self.directory = directory_of(self.history, self._storage.path, self.name)
        self._ledger.keep_files_in(self.directory)

    # --- running ------------------------------------------------------------------------------------------------------

    def run(
        self,
        objective: Objective | None = None,
        *,
        trials: int | None = None,
        seconds: float | None = None,
        steps: int | None = None,
        workers: int | None = None,
        max_steps: int | None = None,
        trial_seconds: float | None = None,
        executor: str | Executor = "processes",
        progress: bool | Callable[[History, Sequence[Event]], None] = True,
    ) -> str:
        """Train configurations until a total is reached; return in words why the run ended.

        ``trials``, ``seconds`` and ``steps`` are totals over the whole study: the same call again, after a crash or
        an interruption, goes on to the same total, and after that does nothing. Trials that failed by an exception
        are not counted; trials that were cut off are taken up again from their last checkpoint first.

        Args:
            objective: ``objective(trial)`` trains one configuration and reports to, or returns, the metric.
            trials: configurations to start in all.
            seconds: time in all during which something trained.
            steps: steps to train in all.
            workers: trials at a time; None leaves it to the executor (one per GPU, or per core).
            max_steps: the longest a trial may train, where the objective does not say.
            trial_seconds: a trial that trains longer is ended as ``timed_out``: its process is killed, or inline it is
                stopped at its next step.
            executor: ``"processes"`` (a fresh process per trial), ``"inline"`` (this process), or an instance.
            progress: a live view on a terminal and one line per event elsewhere; False for silence; or a function
                ``(history, new_events) -> None``.

        Raises:
            ValueError: no total is given, or one is not a number above 0.
            ObjectiveError: the same exception came three times from the objective.
            KeyboardInterrupt: Ctrl-C; running steps were finished and saved first.
        """
        budget = Budget(trials, seconds, steps, trial_seconds)
        if trials is None and seconds is None and steps is None:
            raise ValueError("run expected a total, got none: say trials=50, seconds=3600 or steps=1000")
        if max_steps is not None and (isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1):
            raise ValueError(f"run expected max_steps to be a whole number of at least 1, got {max_steps!r}")
        from tunewell.console import watching

        place = _executor(executor)
        place.start(objective, workers)
        with self._lock, watching(self, budget, progress) as view:
            self._ledger.tell = view.say
            driver = Driver(self._ledger, self._deciders, place, budget, max_steps, view.watch, view.say)
            reason = driver.run()
            view.end(f"{reason}; the same call goes on" if driver.interrupted else reason)
        if driver.interrupted:
            raise KeyboardInterrupt(f"{reason}: the same call goes on where this one stopped")
        return reason

    def ask(self) -> Trial:
        """Start a trial that the caller trains; tell its result with :meth:`tell`.

        May be called many times before the first ``tell``, and from several processes.

        Raises:
            RuntimeError: the sampler or scheduler has nothing to try at the moment.
        """
        with self._lock:
            idle = ""

            def decide(history: History) -> Sequence[Event]:
                nonlocal idle
                sampler, scheduler = self._deciders(history)
                chosen = choose(history, sampler, StartsOnly(scheduler))
                if isinstance(chosen.action, Done | Wait):
                    idle = chosen.action.reason
                    return []
                number, reason = len(history.trials), getattr(chosen.action, "reason", "")
                return [TrialStarted(time.time(), number, chosen.config, chosen.seed, chosen.origin, reason)]

            for event in self._ledger.commit(decide):
                if isinstance(event, TrialStarted):
                    return self._asked(self.history.trials[event.trial])
            raise RuntimeError(f"there is nothing to try: {idle}")

    def _asked(self, record: TrialRecord) -> Trial:
        """Return the handle of a trial that the caller trains."""
        job = Job(
            trial=record.number,
            config=record.params,
            seed=record.seed,
            worker=0,
            step=0,
            checkpoint=None,
            directory=record.directory,
            log=record.log,
            metrics=tuple(goal.metric for goal in self.history.goals),
        )
        return Trial(job, lambda events: self._heard(record.number, events), time.time)

    def tell(
        self, trial: Trial | int, value: Any = None, *, status: str = "completed", reason: str = ""
    ) -> TrialRecord:
        """End a trial that was asked for: with a number, one number per goal, a dict of metrics, or only a status.

        NaN and infinity end it as diverged; a trial whose loop over ``trial.steps`` the scheduler ended is stopped.
        Telling a trial twice is an error.

        Raises:
            ValueError: the trial is unknown or already over, or a value is missing.
            TypeError: the value is not a number.
        """
        reason = _text(reason, "tell")
        with self._lock:
            self._ledger.catch_up()
            number = self._number(trial, "tell")
            if isinstance(trial, Trial):
                self._heard(number, trial.take_pending())
            goals = self.history.goals
            if isinstance(trial, Trial) and trial.halted and status == "completed":
                status, reason = "stopped", reason or trial.halt_reason
            end = _told(value, status, reason, [goal.metric for goal in goals])

            def decide(history: History) -> Sequence[Event]:
                record = history.trials[number]
                if record.status is not Status.RUNNING:
                    raise ValueError(f"trial {number} is {record.status.value} already: tell each trial once")
                return [_honest(end, record, goals)]

            self._ledger.commit(decide)
            return self.history.trials[number]

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Put a configuration first in line; complete it with ``space.default(**params)`` where that is wanted.

        Raises:
            ValueError: it is not a configuration of the space.
        """
        self._add(Enqueued(time.time(), self.refresh().space.check(params)))

    def change_space(self, space: Space, reason: str = "") -> None:
        """Draw configurations from another space from now on; the trials so far stay."""
        if not isinstance(space, Space):
            raise TypeError(f"change_space expected a Space, got {type(space).__name__}: write tw.Space(...)")
        self._add(SpaceChanged(time.time(), space, _text(reason, "change_space")))

    def note(self, text: str, trial: int | None = None) -> None:
        """Write a remark into the study, about one trial or all of it.

        Raises:
            TypeError: the text is no text.
            ValueError: there is no such trial.
        """
        self._add(Noted(time.time(), _text(text, "note"), None if trial is None else self._number(trial, "note")))

    def _number(self, trial: Any, who: str) -> int:
        """Return the number of a trial, given as such or by its handle; raise ValueError when there is none."""
        number = trial.number if isinstance(trial, Trial) else trial
        known = len(self.history.trials)
        try:
            if isinstance(number, bool) or not 0 <= operator.index(number) < known:
                raise TypeError
        except TypeError:
            raise ValueError(f"{who} expected a trial of this study, got {number!r}: it has {known}") from None
        return operator.index(number)

    def _add(self, event: Event) -> None:
        """Write a person's word; a run in another thread or process takes it in as any other driver's."""
        self._ledger.journal.append([event], after=None)
        self.refresh()

    def _heard(self, number: int, events: Sequence[Event]) -> Verdict:
        """Take in what an asked trial reports."""
        with self._lock:
            self._ledger.record(events)
            self._ledger.flush()
            reports = [event for event in events if isinstance(event, Reported)]
            _, scheduler = self._deciders(self.history)
            return scheduler.decide(self.history, reports[-1]) if reports else Continue()

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The fold of all events known here; see :meth:`refresh`."""
        return self._ledger.history

    def refresh(self) -> History:
        """Take in what other processes have added, and return the history.

        While another thread runs this study, the history is up to date as far as that run is.
        """
        if self._lock.acquire(blocking=False):
            try:
                self._ledger.catch_up()
            finally:
                self._lock.release()
        return self._ledger.history

    @property
    def events(self) -> list[Event]:
        """All events, oldest first."""
        self.refresh()
        return list(self._ledger.journal.read())

    @property
    def storage(self) -> str | None:
        """The storage's URL, without a password; None for a study in memory."""
        return None if self._storage is None else str(self._storage.shown_url)

    @property
    def space(self) -> Space:
        """The space that configurations come from now."""
        return self.history.space

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What is minimised or maximised."""
        return self.history.goals

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials, by number."""
        return tuple(self.refresh().trials)

    @property
    def best(self) -> TrialRecord:
        """The trial with the best value among those that ended or rest in order.

        Raises:
            ValueError: there is none yet, or the study has several goals.
        """
        history = self.refresh()
        if len(history.goals) != 1:
            raise ValueError(f"a study with {len(history.goals)} goals has no single best trial: use study.pareto")
        if history.best is None:
            seen = ", ".join(f"{n} {status.value}" for status, n in history.counts.items() if n) or "no trials"
            raise ValueError(f"the study has no trial with a value yet ({seen}): run it first")
        return history.best

    @property
    def pareto(self) -> tuple[TrialRecord, ...]:
        """The trials that no other beats in every goal, by number; with one goal, the best ones."""
        from tunewell.numerics.pareto import non_dominated

        candidates = [trial for trial in self.refresh().trials if trial.observed]
        front = non_dominated([trial.losses or () for trial in candidates])
        return tuple(trial for trial, on_front in zip(candidates, front, strict=True) if on_front)

    def dataframe(self) -> pd.DataFrame:
        """Return one row per trial: number, status, one column per goal, step, seconds, one column per parameter.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "study.dataframe() expected pandas to be installed: pip install 'tunewell[pandas]'"
            ) from None
        return pandas.DataFrame(rows(self.refresh()))

    def close(self) -> None:
        """Write what is waiting and close the storage; the study can still be read."""
        with self._lock:
            self._ledger.flush()
            if self._storage is not None:
                self._storage.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {len(self.history.trials)} trials)"


def open(storage: str | Path, name: str | None = None, *, directory: str | Path | None = None) -> Study:
    """Open a stored study to read it or go on with it; the name may be left out when the storage holds just one.

    ``directory`` is where its checkpoints and logs are, if not where the study was told to keep them when it was
    created (on another machine, say).

    Raises:
        FileNotFoundError: there is no such database.
        KeyError: there is no such study; the nearest name is suggested.
    """
    return Study._opened(storage, name, directory)


def delete(storage: str | Path, name: str) -> None:
    """Remove a stored study with its checkpoints and logs; other files in their folder stay.

    Raises:
        FileNotFoundError: there is no such database.
        KeyError: there is no such study.
    """
    from tunewell.journals.sql import SqlStorage

    database = SqlStorage(storage, create=False)
    try:
        if name not in database.names():
            raise KeyError(_no_such_study(name, storage, database.names()))
        folder = directory_of(_history_or_none(database, name), database.path, name)
        database.delete(name)
        shutil.rmtree(folder / "trials", ignore_errors=True)
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()
    finally:
        database.close()


def directory_of(history: History | None, database: Path | None, name: str) -> Path:
    """Return the folder of a stored study's checkpoints and logs: as stored, or else where it is by default."""
    stored = history.settings.get("directory") if history is not None else None
    return Path(stored) if stored else files_of(database, name)


def _history_or_none(database: Any, name: str) -> History | None:
    """Return the history of a study, None if it cannot be read: it can be deleted all the same."""
    try:
        return History(database.journal(name, create=False).read())
    except ValueError:
        return None


def files_of(database: Path | None, name: str) -> Path:
    """Return the default folder of a study's checkpoints and logs: beside the SQLite file, or in the current folder."""
    base = Path.cwd() / "tunewell-files" if database is None else database.with_name(f"{database.stem}-files")
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"
    if plain != name:
        plain = f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return base / plain


def rows(history: History) -> list[dict[str, Any]]:
    """Return one plain dict per trial: the table that ``dataframe``, export and ``--json`` show."""
    table = []
    names = dict.fromkeys([*history.space, *(name for trial in history.trials for name in trial.params)])
    for trial in history.trials:
        row: dict[str, Any] = {"number": trial.number, "status": trial.status.value}
        row.update(zip((goal.metric for goal in history.goals), trial.values, strict=True))
        row.update(step=trial.step, seconds=round(trial.seconds, 3), origin=trial.origin, reason=trial.reason)
        row.update({f"params.{name}": trial.params.get(name) for name in names})
        table.append(row)
    return table


def _goals(metric: str | Sequence[str], mode: str | Sequence[str]) -> tuple[Goal, ...]:
    for given in (metric, mode):
        if not isinstance(given, str | list | tuple):
            raise TypeError(f"a study expected metric and mode to be a name or a list of names, got {given!r}")
    metrics = [metric] if isinstance(metric, str) else list(metric)
    modes = [mode] * len(metrics) if isinstance(mode, str) else list(mode)
    if not metrics or len(modes) != len(metrics):
        raise ValueError(f"a study expected one mode per metric, got {len(modes)} for {len(metrics)}")
    if len(set(metrics)) != len(metrics) or not all(isinstance(name, str) and name for name in metrics):
        raise ValueError(f"a study expected different metric names, got {metrics!r}")
    for one in modes:
        if one not in ("min", "max"):
            raise ValueError(f'a study expected mode "min" or "max", got {one!r}')
    return tuple(Goal(name, one) for name, one in zip(metrics, modes, strict=True))  # type: ignore[arg-type]


def _check_same(history: History, name: str, space: Space, goals: tuple[Goal, ...], seed: int | None) -> None:
    """Raise ValueError in words when the stored study is about something else than what was given."""
    differences = []
    if history.space != space:
        differences += space_differences(history.space, space)
    if history.goals != goals:
        stored, given = (", ".join(f"{goal.metric} ({goal.mode})" for goal in g) for g in (history.goals, goals))
        differences.append(f"the goal is {stored}, not {given}")
    if seed is not None and history.seed != seed:
        differences.append(f"the seed is {history.seed}, not {seed}")
    if differences:
        raise ValueError(
            f"the stored study {name!r} differs from the one given: {'; '.join(differences)}. Choose another name, "
            f"go on with what is stored (tw.open), change its space (study.change_space), or tw.delete it"
        )


def space_differences(stored: Space, given: Space) -> list[str]:
    """Return in words what differs between two spaces."""
    found = []
    for name in dict.fromkeys([*stored, *given]):
        if name not in given:
            found.append(f"parameter {name!r} is missing")
        elif name not in stored:
            found.append(f"parameter {name!r} is new")
        elif stored[name] != given[name]:
            found.append(f"parameter {name!r} is stored as {stored[name]!r}, given as {given[name]!r}")
    return found or ["the parameters come in another order"]


def _told(value: Any, status: str, reason: str, goals: Sequence[str]) -> Ended:
    try:
        ended = Status(status)
    except ValueError:
        ended = Status.RUNNING
    if ended in (Status.RUNNING, Status.PAUSED):
        known = ", ".join(s.value for s in Status if s not in (Status.RUNNING, Status.PAUSED))
        raise ValueError(f"tell expected a status that ends a trial ({known}), got {status!r}")
    return Ended(time.time(), -1, ended, reason, returned_metrics(value, goals), "")


def _text(text: Any, who: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{who} expected a text, got {text!r}: put it in quotes")
    return text


def _honest(end: Ended, record: TrialRecord, goals: Sequence[Goal]) -> Ended:
    """Return the end of ``record`` as it is: without a value nothing is complete, and NaN is divergence."""
    status, reason = end.status, end.reason
    for goal in goals if status is Status.COMPLETED else ():
        value = end.metrics.get(goal.metric, record.metric(goal.metric))
        if value is None:
            got = ", ".join(end.metrics) or "none"
            raise ValueError(f'tell expected a value for {goal.metric!r}, got {got}: pass it, or status="failed"')
        if not math.isfinite(value):
            status, reason = Status.DIVERGED, reason or f"{goal.metric} is {value}"
    return Ended(end.time, record.number, status, reason, end.metrics)


def _executor(choice: str | Executor) -> Executor:
    if not isinstance(choice, str) and callable(getattr(choice, "poll", None)) and not isinstance(choice, type):
        return choice
    if choice == "inline":
        from tunewell.executors.inline import Inline

        return Inline()
    if choice == "processes":
        from tunewell.executors.processes import Processes

        return Processes()
    raise ValueError(f'run expected executor="inline", "processes" or an instance, got {choice!r}')


def _only_name(names: Sequence[str], storage: object) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise KeyError(f"{storage} holds no study yet")
    raise KeyError(f"{storage} holds {len(names)} studies: say which of {', '.join(names)}")


def _no_such_study(name: str, storage: object, names: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(names) or 'none'}"
    return f"there is no study {name!r} in {storage}: {hint}"


__all__ = ["Config", "Study", "delete", "files_of", "numbers", "open", "rows", "space_differences"]
