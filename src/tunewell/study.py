"""The study: the one place where journal, executor, sampler and scheduler meet."""

from __future__ import annotations

import inspect
import secrets
import shutil
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tunewell import options
from tunewell.aims import check_same, constraints_of, goals_of
from tunewell.checkpoints import remove_unneeded
from tunewell.deciders import Deciders, plain
from tunewell.decisions import StartsOnly, amounts_to, choose, not_finite, trial_seed, untold_in_words
from tunewell.driver import Driver
from tunewell.events import (
    Believed,
    Ended,
    Enqueued,
    Event,
    Noted,
    Reported,
    SettingsChanged,
    SpaceChanged,
    Status,
    StudyCreated,
    TrialStarted,
)
from tunewell.fingerprinting import fingerprint as take_fingerprint
from tunewell.fingerprints import Fingerprint
from tunewell.history import History, TrialRecord
from tunewell.journals.memory import MemoryJournal
from tunewell.ledger import Ledger
from tunewell.limits import Limits
from tunewell.parameters import Confidence, Prior
from tunewell.protocols import (
    Continue,
    Done,
    Executor,
    Job,
    Journal,
    Objective,
    Sampler,
    Scheduler,
    Start,
    Stop,
    Verdict,
    Wait,
)
from tunewell.records import About
from tunewell.rehearsal import end_rehearsal, is_rehearsal
from tunewell.samplers import SAMPLERS
from tunewell.schedulers import POPULATIONS, SCHEDULERS
from tunewell.space import Space
from tunewell.steering import Steering, nearest_values
from tunewell.storages import Owner, check_free, claim, default_folders, directory_of, no_such_study, only_name
from tunewell.trial import Trial, returned_metrics
from tunewell.values import is_whole

Mode = Literal["min", "max"]


class Study(Steering):
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
        constraints: str | Sequence[str] = (),
        name: str = "study",
        storage: str | Path | None = None,
        sampler: str | Mapping[str, Any] | Sampler | None = None,
        scheduler: str | Mapping[str, Any] | Scheduler | None = None,
        seed: int | None = None,
        default_first: bool | None = None,
        directory: str | Path | None = None,
        diagnosis: Literal["off", "stop", "act"] | None = None,
    ) -> None:
        """Create a study, or open the one of this name in ``storage`` to go on with it.

        Args:
            space: what may be tried.
            metric: the metric to optimise, as the objective reports it; a list for several objectives.
            mode: ``"min"`` or ``"max"``; a list for several objectives.
            constraints: bounds that other metrics have to keep, such as ``["latency_ms <= 20", "accuracy >= 0.9"]``;
                only trials that keep all of them can be the best one.
            name: the study's name; one storage holds many studies.
            storage: ``"sqlite:///tunewell.db"``, ``"postgresql://…"``, a path to a SQLite file, or None: in memory.
            sampler: what to try: a name, an instance, e.g. ``tw.samplers.Grid(points=3)``, or the same as plain data,
                ``{"name": "grid", "points": 3}``. None is ``"auto"`` for a new study, and what a stored one has.
            scheduler: how far to train, said likewise, e.g. ``tw.schedulers.Asha(reduction=4)``; None as above.
            seed: makes the study reproducible; None draws one, which is stored.
            default_first: begin with the default configuration; None means yes if any parameter states a default.
            directory: where checkpoints and logs go; by default beside the SQLite file, or a temporary folder for a
                study in memory.
            diagnosis: ``"stop"`` ends a trial early, as ``diverged``, whose curve is plainly beyond hope; ``"act"``
                also turns what several trials suffer from into a belief about the learning rate; ``"off"`` does
                neither. None is ``"stop"`` for a new study, and what a stored one has.

        Raises:
            TypeError: ``space`` is not a :class:`~tunewell.Space`.
            ValueError: an unknown sampler, scheduler, diagnosis or mode, an option that the algorithm does not have or
                that does not fit the space, a constraint that says none; the stored study has another space, goals,
                constraints or seed; or the directory is another study's.
        """
        if not isinstance(space, Space):
            raise TypeError(f"a study expected a Space, got {type(space).__name__}: write tw.Space(lr=tw.Float(...))")
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"a study expected a name, got {name!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise ValueError(f"a study expected a seed that is a whole number of at least 0, got {seed!r}")
        if diagnosis not in (None, "off", "stop", "act"):
            raise ValueError(f'a study expected diagnosis="off", "stop" or "act", got {diagnosis!r}')
        goals, rules = goals_of(metric, mode), constraints_of(constraints)
        unsaid = {"sampler": sampler is None, "scheduler": scheduler is None, "diagnosis": diagnosis is None}
        chooses = SAMPLERS.make("auto" if sampler is None else sampler)
        stops = SCHEDULERS.make("auto" if scheduler is None else scheduler)
        for algorithm in (chooses, stops):
            options.check_fit(algorithm, space)
        self._deciders = Deciders(chooses, stops)
        described = {"sampler": SAMPLERS.describe(chooses), "scheduler": SCHEDULERS.describe(stops)}
        if default_first is None:
            planned = described["sampler"]["name"] == "grid" or described["scheduler"]["name"] == "replay"
            default_first = space.has_default and not planned
        settings: dict[str, Any] = {
            **described,
            "default_first": default_first,
            "diagnosis": diagnosis or "stop",
        }
        if is_rehearsal():
            storage = directory = None
        self._connect(name, storage, directory, create=True)
        try:
            if directory is not None:
                check_free(self.directory, self._owner)
        except ValueError:
            if self._storage is not None and not len(self.history):
                self._storage.delete(name)
            raise
        if directory is not None or (self._storage is not None and self._storage.path is None):
            settings["directory"] = str(self.directory)  # or whoever opens the study would look elsewhere
        drawn = secrets.randbits(32) if seed is None else seed
        created = StudyCreated(time.time(), name, space, goals, settings, drawn, rules)
        self._ledger.commit(lambda history: [] if len(history) else [created])
        check_same(self.history, created, seed)
        if plain(dict(self.history.settings)) != plain(settings):
            # What is not said follows what the study has, and so does what only its beginning hangs on.
            follow = {"default_first", "directory", *(key for key, is_unsaid in unsaid.items() if is_unsaid)}
            wanted = {**self.history.settings, **{k: v for k, v in settings.items() if k not in follow}}
            if plain(wanted) != plain(dict(self.history.settings)):
                self._ledger.commit(lambda history: [SettingsChanged(time.time(), wanted)])

    @classmethod
    def _opened(cls, storage: str | Path, name: str | None, directory: str | Path | None) -> Study:
        """Open a stored study without saying again what it is about."""
        end_rehearsal()
        study = cls.__new__(cls)
        study._connect(name, storage, directory, create=False)
        study._deciders = Deciders()
        return study

    def _connect(
        self, name: str | None, storage: str | Path | None, directory: str | Path | None, *, create: bool
    ) -> None:
        self._lock = threading.RLock()
        self._storage: Any = None
        if name is not None and not is_whole(name):
            raise ValueError(f"a study expected a name of whole characters, got {name!r}: give it another")
        journal: Journal = MemoryJournal()
        if storage is not None:
            from tunewell.journals.sql import SqlStorage

            self._storage = SqlStorage(storage, create=create)
            name = name or only_name(self._storage.names(), storage)
            try:
                journal = self._storage.journal(name, create=create)
            except KeyError:
                raise KeyError(no_such_study(name, storage, self._storage.names())) from None
        self._has_folder = False
        self.name = name or "study"
        self._ledger = Ledger(journal, Path(), _on_standard_error)
        if self._storage is None and directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix="tunewell-"))
            weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        elif directory is not None:
            self.directory = Path(directory).absolute()
        else:
            self.directory = directory_of(self.history, self._storage.path, self.name)
        self._ledger.keep_files_in(self.directory)

    def _take_folder(self) -> None:
        """Take the folder of checkpoints and logs, or by default another one if a study has taken it meanwhile."""
        if self._storage is None or self._has_folder:
            return
        path = self._storage.path
        is_default = self.directory in default_folders(path, self.name)
        if is_default and path is not None:
            self.directory = directory_of(self.history, path, self.name)
            self._ledger.keep_files_in(self.directory)
        if not is_default or path is not None:
            claim(self.directory, self._owner)
        self._has_folder = True

    @property
    def _owner(self) -> Owner:
        """This study as the owner of its folder."""
        if self._storage is None:
            return Owner(self.name, 0.0, "")
        path = self._storage.path
        place = self._storage.shown_url if path is None else str(path.absolute())
        return Owner(self.name, self.history.created, place)

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
        keep_checkpoints: int = 0,
        executor: str | Executor = "processes",
        progress: bool | Callable[[History, Sequence[Event]], None] = True,
        data: Any = None,
        model: Any = None,
        fingerprint: Fingerprint | None = None,
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
            keep_checkpoints: how many of the newest checkpoints of each trial stay, and the best one's with them, for
                a person to go back to; 0: those that the study needs. Where a person has wished something of a trial,
                three stay in any case.
            executor: ``"processes"`` (a fresh process per trial), ``"inline"`` (this process), or an instance.
            progress: a live view on a terminal and one line per event elsewhere; False for silence; or a function
                ``(history, new_events) -> None``.
            data, model: what is trained, as for :func:`tunewell.fingerprint`; a summary is kept with the study, for
                :meth:`retune`.
            fingerprint: in their place, a fingerprint taken elsewhere.

        Raises:
            TypeError: ``objective`` cannot be called with a trial, ``data`` or ``model`` is none, or ``fingerprint`` no
                fingerprint.
            ValueError: no total is given, or one is not a number above 0; ``data`` and ``fingerprint`` are.
            ObjectiveError: three trials failed alike, or ten in a row where others had got further.
            KeyboardInterrupt: Ctrl-C; running steps were finished and saved first.
        """
        limits = Limits(trials, seconds, steps, trial_seconds, max_steps, keep_checkpoints)
        if trials is None and seconds is None and steps is None:
            raise ValueError(f"run expected a total, got none: say {self._total_in_words(max_steps)}")
        _check_takes_a_trial(objective)
        if is_rehearsal():
            self._add(limits.announced(time.time(), "", workers or 1))
            end_rehearsal(self)
        found = _fingerprint(data, model, fingerprint)
        self._take_folder()
        from tunewell.console import watching

        place, driver = _executor(executor), None
        with self._lock:
            place.start(objective, workers, self.history.last_time)
            try:
                with watching(self, limits, progress) as view:
                    self._ledger.tell = view.say
                    driver = Driver(self._ledger, self._deciders, place, limits, found, view.watch, view.say)
                    reason = driver.run()
                    view.end(f"{reason}; the same call goes on" if driver.interrupted else reason)
            finally:
                self._ledger.tell = _on_standard_error
                if driver is None:  # it would have closed the executor
                    place.close()
        if driver.interrupted:
            raise KeyboardInterrupt(f"{reason}: the same call goes on where this one stopped")
        return reason

    def _total_in_words(self, max_steps: int | None) -> str:
        """Return which total would do for the scheduler."""
        scheduler: Any = self._deciders(self.refresh())[1]
        if SCHEDULERS.describe(scheduler)["name"] not in POPULATIONS:
            return "trials=50, seconds=3600 or steps=1000"
        if max_steps is None:
            return f"max_steps=50, for example, and steps={scheduler.population} * 50, for a population of that size"
        steps = scheduler.population * max_steps
        return f"steps={steps}, for that is what {scheduler.population} members of a population train up to {max_steps}"

    def ask(self) -> Trial:
        """Start a trial that the caller trains; tell its result with :meth:`tell`.

        May be called many times before the first ``tell``, and from several processes. Until it is told, a trial has
        its place in a total of trials, and samplers keep away from its configuration: see :attr:`untold`.

        Raises:
            RuntimeError: the sampler or scheduler has nothing to try at the moment.
        """
        end_rehearsal(self)
        with self._lock:
            self._take_folder()
            self._ledger.catch_up()  # others may have made room, or put something first in line
            idle = ""

            def decide(history: History) -> Sequence[Event]:
                nonlocal idle
                sampler, scheduler = self._deciders(history)
                chosen = choose(history, sampler, StartsOnly(scheduler))
                if isinstance(chosen.action, Done | Wait):
                    idle = chosen.action.reason
                    return []
                now, number, reason = time.time(), len(history.trials), chosen.action.reason
                group = chosen.action.group if isinstance(chosen.action, Start) else ""
                started = TrialStarted(now, number, chosen.config, chosen.seed, chosen.origin, reason, group=group)
                return [Noted(now, chosen.note), started] if chosen.note else [started]

            for event in self._ledger.commit(decide):
                if isinstance(event, TrialStarted):
                    return self._asked(self.history.trials[event.trial])
            reasons = filter(None, (idle, untold_in_words(self.history)))
            raise RuntimeError(f"there is nothing to try: {'; '.join(reasons)}")

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

        ``status="cancelled"`` gives it up, and its place in a total is free again.

        NaN and infinity end it as diverged; a trial whose loop over ``trial.steps`` the scheduler ended is stopped.
        Telling a trial twice is an error.

        Raises:
            ValueError: the trial is unknown, already over or a run's, or a value is missing.
            TypeError: the value is not a number.
        """
        reason = _text(reason, "tell")
        with self._lock:
            self._ledger.catch_up()
            number = self._number(trial, "tell")
            _check_asked(self.history.trials[number])
            end = _told(number, value, status, reason, [goal.metric for goal in self.history.goals])
            if isinstance(trial, Trial):
                self._ledger.record(trial.take_pending(), "")
                self._ledger.flush()
            halted = trial.halt_reason if isinstance(trial, Trial) and trial.halted else None

            def decide(history: History) -> Sequence[Event]:
                record = history.trials[number]
                _check_asked(record)
                return [_honest(end, record, halted)]

            self._ledger.commit(decide)
            remove_unneeded(self.history, number)
            return self.history.trials[number]

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Put a configuration first in line; complete it with ``space.default(**params)`` where that is wanted.

        Raises:
            ValueError: it is not a configuration of the space.
        """
        self._add(Enqueued(time.time(), self._space_to_come().check(params)))

    def add(self, params: Mapping[str, Any], value: Any, *, reason: str = "") -> TrialRecord:
        """Add a result that is there already, of another study, say; samplers learn from it as from any other.

        It becomes a trial with ``origin`` ``"added"``, without steps or seconds, that counts towards no total. Whether
        it was measured as the trials here are is the caller's affair.

        Args:
            params: a configuration of the space; ``space.default(**params)`` completes one.
            value: as for :meth:`tell`: a number, one number per goal, or a dict of metrics.
            reason: where it is from, for the list.

        Raises:
            ValueError: it is not a configuration of the space, or a value is missing.
            TypeError: the value is not a number.
        """
        why = "; ".join(filter(None, ("added by a person", _text(reason, "add"))))
        with self._lock:
            config = self._space_to_come().check(params)

            def decide(history: History) -> Sequence[TrialStarted | Ended]:
                now, number = time.time(), len(history.trials)
                started = TrialStarted(now, number, config, trial_seed(history.seed, number), "added", why)
                record = TrialRecord(started, About(history.goals, history.constraints))
                told = _told(number, value, "completed", "", [goal.metric for goal in history.goals])
                return [started, replace(_honest(told, record, None, "add"), time=now)]

            started, _ = self._ledger.commit(decide)
            return self.history.trials[started.trial]

    def believe(self, values: Mapping[str, Any], confidence: Confidence = "medium") -> None:
        """Say where good values lie, for some parameters or all; samplers that learn look there first.

        It is a hint, before the first trial or at any time: it counts for less the more trials there are, and a wrong
        one costs some of them. What must be tried is enqueued.

        Args:
            values: parameters with their values, e.g. ``{"learning_rate": 3e-4, "batch_size": 64}``. For a number
                outside its range, where no sampler looks, its nearer end stands, with a warning.
            confidence: ``"low"``, ``"medium"`` or ``"high"``, as in :class:`~tunewell.Prior`.

        Raises:
            TypeError: ``values`` is no mapping.
            ValueError: it is empty, has unknown names or values that a parameter cannot have, or the confidence is
                another.
        """
        believed, outside = nearest_values(self._space_to_come(), values)
        if not believed:
            raise ValueError("believe expected the value of at least one parameter, got none")
        Prior(None, confidence)  # says what is wrong with a confidence
        if outside:
            warnings.warn(
                f"believe: {'; '.join(outside)}: study.change_space widens a range", RuntimeWarning, stacklevel=2
            )
        self._add(Believed(time.time(), believed, confidence))

    def change_space(self, space: Space, reason: str = "") -> None:
        """Draw configurations from another space from now on; the trials so far stay.

        Configurations in line that the other space does not allow are dropped, with a warning. In a study that begins
        with its default configuration, another default is tried next, unless it has been tried.
        """
        if not isinstance(space, Space):
            raise TypeError(f"change_space expected a Space, got {type(space).__name__}: write tw.Space(...)")
        dropped = [config for config in self.refresh().queue if not space.allows(config)]
        if dropped:
            warnings.warn(
                f"change_space: the new space does not allow {len(dropped)} of the configurations in line, which will "
                f"not be trained: {'; '.join(str(dict(config)) for config in dropped[:3])}"
                f"{'; …' if len(dropped) > 3 else ''}",
                RuntimeWarning,
                stacklevel=2,
            )
        self._add(SpaceChanged(time.time(), space, _text(reason, "change_space")))

    def note(self, text: str, trial: int | None = None) -> None:
        """Write a remark into the study, about one trial or all of it.

        Raises:
            TypeError: the text is no text.
            ValueError: it is empty, or there is no such trial.
        """
        if not _text(text, "note").strip():
            raise ValueError("note expected a text, got an empty one: say what is to be remembered")
        self._add(Noted(time.time(), text, None if trial is None else self._number(trial, "note")))

    def _heard(self, number: int, events: Sequence[Event]) -> Verdict:
        """Take in what an asked trial did up to a step boundary and say how it goes on."""
        with self._lock:
            self._ledger.record(events, "")
            self._ledger.flush()
            if not self.history.trials[number].untold:
                return Stop("the study does not count this trial as asked for any more")
            remove_unneeded(self.history, number)
            reports = [event for event in events if isinstance(event, Reported)]
            if not reports:
                return Continue()
            if nan := not_finite(reports[-1], self.history.goals):
                return Stop(nan)
            _, scheduler = self._deciders(self.history)
            return scheduler.decide(self.history, reports[-1])

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


def _on_standard_error(text: str) -> None:
    with suppress(OSError, ValueError):  # closed, or on a full disk
        print(f"tunewell: {text}", file=sys.stderr, flush=True)


def _check_asked(record: TrialRecord) -> None:
    if record.driver and not record.over:
        raise ValueError(
            f"tell expected a trial that was asked for, got {record.number}, which a run trains: use study.stop"
        )
    if not record.untold:
        raise ValueError(f"trial {record.number} is {record.status.value} already: tell each trial once")


def _told(number: int, value: Any, status: str, reason: str, goals: Sequence[str]) -> Ended:
    try:
        ended = Status(status)
    except ValueError:
        ended = Status.RUNNING
    if ended in (Status.RUNNING, Status.PAUSED):
        known = ", ".join(s.value for s in Status if s not in (Status.RUNNING, Status.PAUSED))
        raise ValueError(f"tell expected a status that ends a trial ({known}), got {status!r}")
    return Ended(time.time(), number, ended, reason, returned_metrics(value, goals), "")


def _text(text: Any, who: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{who} expected a text, got {text!r}: put it in quotes")
    return text


def _honest(end: Ended, record: TrialRecord, halted: str | None, who: str = "tell") -> Ended:
    """Return the end that a caller tells as it is; ``halted`` is why the study ended the trial's loop before, if so.

    Raises:
        ValueError: without a value nothing is complete.
    """
    if halted is not None and end.status is Status.COMPLETED:
        stopped = amounts_to(replace(end, status=Status.STOPPED), record)
        return replace(stopped, reason=stopped.reason or halted)
    found = amounts_to(end, record)
    if end.status is Status.COMPLETED and found.status is Status.FAILED:
        missing = [g.metric for g in record.goals if g.metric not in end.metrics and record.metric(g.metric) is None]
        got = ", ".join(end.metrics) or "none"
        other = ', or status="failed"' if who == "tell" else ""
        raise ValueError(f"{who} expected a value for {missing[0]!r}, got {got}: pass it{other}")
    return found


def _check_takes_a_trial(objective: Any) -> None:
    """Check that a function can be called with a trial; what has no signature will show it."""
    if objective is not None and not callable(objective):
        raise TypeError(
            f"run expected an objective, a function that takes a trial, got {objective!r}: "
            "call study.run(train, trials=20)"
        )
    try:
        signature = inspect.signature(objective)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None)
    except TypeError:
        name = getattr(objective, "__name__", type(objective).__name__)
        raise TypeError(
            f"run expected an objective that takes a trial and nothing else, got {name}{signature}: "
            f"write def {name}(trial)"
        ) from None


def _fingerprint(data: Any, model: Any, given: Fingerprint | None) -> Fingerprint:
    if given is None:
        return take_fingerprint(data, model)
    if not isinstance(given, Fingerprint):
        raise TypeError(f"run expected fingerprint=tw.fingerprint(...), got {given!r:.60}")
    if data is not None or model is not None:
        raise ValueError("run expected data= and model=, or fingerprint=, got both: give them to tw.fingerprint")
    return given


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
