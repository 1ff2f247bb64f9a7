"""What a study says: its trials, the best of them, and what may be made of them.

:mod:`.steering` adds a person's hand on single trials to it, and :mod:`.study` the running.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from tunewell.analysis.diagnosis import Diagnosis, StudyDiagnosis, diagnose_study, diagnose_trial
from tunewell.analysis.diagnosis.overview import planned
from tunewell.analysis.standing import why_none_is_best
from tunewell.events import Constraint, Event, Goal, SpaceChanged
from tunewell.fingerprinting import fingerprint as take_fingerprint
from tunewell.fingerprints import Fingerprint
from tunewell.history import History, TrialRecord
from tunewell.ledger import Ledger
from tunewell.limits import Limits
from tunewell.lint import Finding, lint
from tunewell.plans import plan_of
from tunewell.rehearsal import end_rehearsal
from tunewell.retuning import Advice, advise
from tunewell.schedules import Schedule, schedule_of
from tunewell.space import Space
from tunewell.strategies.plan import TieredPlan, only_total
from tunewell.strategies.plan import plan_of as plan_of_tiers
from tunewell.surrogate.incumbent import incumbent
from tunewell.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

AnyTrial: TypeAlias = Trial | TrialRecord | int
"""A trial by its number, its record, or the handle of its objective."""


class Reading:
    """The methods by which a study is read; a study in memory and a stored one are read alike."""

    _ledger: Ledger
    _storage: Any
    _lock: threading.RLock

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
                self._ledger.glance()
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

    def _space_to_come(self) -> Space:
        """Return today's space, also where a run has not noticed yet that it was changed."""
        self.refresh()
        unread = list(self._ledger.journal.read(self._ledger.known))
        return next((event.space for event in reversed(unread) if isinstance(event, SpaceChanged)), self.space)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What is minimised or maximised."""
        return self.history.goals

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds that the metrics of an acceptable trial keep."""
        return self.history.constraints

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials, by number."""
        return tuple(self.refresh().trials)

    @property
    def untold(self) -> tuple[TrialRecord, ...]:
        """The trials that somebody asked for and has yet to tell of, by number; each ``began`` at a time.

        They stay until they are told, in whichever process: ``study.tell(number, status="cancelled")`` gives one up.
        """
        return tuple(self.refresh().untold)

    @property
    def best(self) -> TrialRecord:
        """The trial with the best value among those that ended or rest in order and keep the constraints.

        Where repeats of a configuration have shown that the losses are noisy, best is what a model of all trials
        expects to be best, not the luckiest observation; see :func:`tunewell.surrogate.incumbent.incumbent`.

        Raises:
            ValueError: there is none yet, or the study has several goals.
        """
        end_rehearsal(self)
        history = self.refresh()
        if len(history.goals) != 1:
            raise ValueError(f"a study with {len(history.goals)} goals has no single best trial: use study.pareto")
        best = incumbent(history)
        if best is None:
            raise ValueError(why_none_is_best(history))
        return best

    @property
    def pareto(self) -> tuple[TrialRecord, ...]:
        """The trials that no other beats in every goal, by number; with one goal, the best ones.

        Raises:
            ValueError: there are trials with values, and none of them keeps the constraints.
        """
        history = self.refresh()
        front = history.pareto
        if not front and any(trial.observed for trial in history.trials):
            raise ValueError(why_none_is_best(history))
        return tuple(front)

    def lint(
        self,
        domain: str | None = None,
        *,
        optimizer: str | None = None,
        trials: int | None = None,
        samples: int | None = None,
        held_out: int | None = None,
        seeds: int | None = None,
    ) -> tuple[Finding, ...]:
        """Return what a careful reader would point out about the study, warnings first; often nothing.

        Args:
            domain, optimizer, trials, samples: as for :meth:`tunewell.Space.lint`; ``trials`` is known after a run.
            held_out: how many examples the search never sees.
            seeds: with how many seeds the winner was trained.

        Raises:
            TypeError: a count that is no whole number.
            ValueError: an unknown domain or optimizer.
        """
        history = self.refresh()
        given = {"trials": trials, "samples": samples, "held_out": held_out, "seeds": seeds}
        return lint(plan_of(history, domain, optimizer=optimizer, **given))

    @overload
    def diagnose(self, trial: None = None, *, metrics: Mapping[str, str] | None = None) -> StudyDiagnosis: ...

    @overload
    def diagnose(self, trial: AnyTrial, *, metrics: Mapping[str, str] | None = None) -> list[Diagnosis]: ...

    def diagnose(
        self, trial: AnyTrial | None = None, *, metrics: Mapping[str, str] | None = None
    ) -> StudyDiagnosis | list[Diagnosis]:
        """Return what a trial suffers from by its curves, the main diagnosis first; without a trial, the study as a
        whole.

        Args:
            trial: its number or handle; None: all that have reported curves.
            metrics: which metric is which, such as ``{"train_loss": "objective"}``, where their names do not tell.

        Raises:
            ValueError: there is no such trial; or ``metrics`` has an unknown role or a metric that nothing reported.
        """
        if trial is None:
            return diagnose_study(self.refresh(), metrics)
        record = self.history.trials[self._number(trial, "diagnose")]
        return diagnose_trial(record, metrics=metrics, total=planned(self.history, record))

    def retune(self, now: Fingerprint | None = None) -> Advice:
        """Return whether what was found still holds, and what to tune again where it does not; it prints well.

        Args:
            now: data, model and training as they are now, from :func:`tunewell.fingerprint`; None: only this machine
                and its libraries are compared, which says at most that something is to be tuned again.

        Raises:
            TypeError: ``now`` is no fingerprint.
        """
        return advise(self.refresh(), take_fingerprint() if now is None else now)

    def plan(
        self,
        *,
        trials: int | None = None,
        steps: int | None = None,
        seconds: float | None = None,
        training: float | None = None,
        workers: int | None = None,
        domain: str | None = None,
        optimizer: str | None = None,
    ) -> TieredPlan:
        """Return how a tiered search would spend a budget on the space; print it, or change it and keep to it.

        ``tw.strategies.Tiered(plan=plan)`` is the sampler that does.

        Args:
            trials, steps, seconds: one total, as for :meth:`run`; none of them: those of the newest run.
            training: what one full training costs in that unit; None: what those of the study took.
            workers: how many trainings side by side a total of seconds has; None: one, or as many as the newest run.
            domain: where it is tuned, a key of :data:`tunewell.knowledge.DOMAINS`; None: as the sampler says, generic.
            optimizer: under which, a key of :data:`tunewell.knowledge.OPTIMIZERS`; None: as the sampler says, any.

        Raises:
            ValueError: several totals, one that is not above 0, an unknown domain or optimizer.
        """
        Limits(trials, seconds, steps)
        given = {"trials": trials, "steps": steps, "seconds": seconds}
        return plan_of_tiers(self.refresh(), only_total(given), training, domain, optimizer, workers)

    def schedule(self, trial: AnyTrial | None = None) -> Schedule:
        """Return the values that a trial lived through, step by step: its own, and before its fork its ancestors'.

        None means the best trial. Save it, and train it again with ``scheduler=tw.schedulers.Replay("schedule.json")``.

        Raises:
            ValueError: there is no such trial, or no best one yet.
        """
        number = self.best.number if trial is None else self._number(trial, "schedule")
        return schedule_of(self.history, number)

    def dataframe(self) -> pd.DataFrame:
        """Return one row per trial: number, status, one column per goal, step, seconds, one column per parameter.

        A study with constraints has a column for each of their metrics, and ``feasible``. A metric that is called as
        one of the other columns, such as ``seconds``, is in ``metrics.seconds``. What else was reported or returned,
        such as ``train_loss``, has its newest value in ``metrics.train_loss``.

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

    # --- for those that add to it -------------------------------------------------------------------------------------

    def _number(self, trial: Any, who: str) -> int:
        """Return the number of a trial, given as such, by its handle or record, also one that others began.

        Raises:
            ValueError: there is none.
        """
        end_rehearsal(self)
        number = trial.number if isinstance(trial, Trial | TrialRecord) else trial
        known = len(self.refresh().trials)
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


_COLUMNS = ("number", "status", "feasible", "step", "seconds", "origin", "why", "reason")


def _column(metric: str) -> str:
    """Return the column of a metric; one that is called as another column has ``metrics.`` before its name."""
    return f"metrics.{metric}" if metric in _COLUMNS or metric.startswith(("params.", "metrics.")) else metric


def rows(history: History) -> list[dict[str, Any]]:
    """Return one plain dict per trial: the table that ``dataframe``, export and ``--json`` show."""
    table = []
    goals = [goal.metric for goal in history.goals]
    metrics = dict.fromkeys([*goals, *(rule.metric for rule in history.constraints)])
    names = dict.fromkeys([*history.space, *(name for trial in history.trials for name in trial.params)])
    newest = [trial.newest_metrics for trial in history.trials]
    others = dict.fromkeys(name for found in newest for name in found if name not in metrics)
    for trial, found in zip(history.trials, newest, strict=True):
        row: dict[str, Any] = {"number": trial.number, "status": trial.status.value}
        row.update({_column(name): found.get(name) for name in metrics})
        if history.constraints:
            row.update(feasible=trial.feasible)
        row.update(step=trial.step, seconds=round(trial.seconds, 3), origin=trial.origin)
        row.update(why=trial.why, reason=trial.reason)
        row.update({f"params.{name}": trial.params.get(name) for name in names})
        row.update({f"metrics.{name}": found.get(name) for name in others})
        table.append(row)
    return table
