"""What the diagnoses of all trials say about a study as a whole, and where its range should move."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunewell.analysis.diagnosis.curves import check_metrics
from tunewell.analysis.diagnosis.diagnosing import Diagnosis, diagnose_trial, of_trial
from tunewell.analysis.diagnosis.labels import MEANINGS, Label
from tunewell.analysis.words import short
from tunewell.events import Status
from tunewell.history import History
from tunewell.knowledge import find
from tunewell.records import TrialRecord

FEWEST = 3
"""So many trials have to say the same before anything is proposed."""

EARLIEST = 30
"""After so many trials a study forms no belief of its own any more."""

_OVER = frozenset({Status.COMPLETED, Status.STOPPED, Status.DIVERGED})
_HIGH = frozenset({Label.DIVERGING, Label.RATE_TOO_HIGH})


@dataclass(frozen=True, slots=True)
class Shift:
    """A place to look for better values of a parameter than where the trials were.

    Attributes:
        parameter: its name.
        value: about where good values are likely to lie: inside the range, which the proposal narrows.
        bound: the value from which on all trials went wrong, as an upper end (``side="below"``) or lower end
            (``"above"``). side: whether good values lie below or above the bound. reason: in words, with the numbers.
    """

    parameter: str
    value: float
    bound: float
    side: str
    reason: str


@dataclass(frozen=True)
class StudyDiagnosis:
    """What the trials of a study suffer from.

    Attributes:
        trials: the diagnoses of each trial that has curves, the main one first, by number.
        shift: where the learning rate should move, None where nothing is to be said.
    """

    trials: Mapping[int, tuple[Diagnosis, ...]]
    shift: Shift | None = None

    @property
    def counts(self) -> dict[Label, int]:
        """How many trials have each label as the main one, the most frequent first."""
        counted = Counter(found[0].label for found in self.trials.values())
        return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))

    @property
    def sentences(self) -> list[str]:
        """The study as a whole, in words: ``14 of 20 trials: the learning rate is too high``."""
        n = len(self.trials)
        said = [f"{k} of {n} trials: {MEANINGS[label].words}" for label, k in self.counts.items()]
        return [*said, *([self.shift.reason] if self.shift is not None else [])]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "counts": {label.value: n for label, n in self.counts.items()},
            "shift": None if self.shift is None else asdict(self.shift),
            "trials": {str(number): [one.to_json() for one in found] for number, found in self.trials.items()},
        }

    def __str__(self) -> str:
        return "\n".join(self.sentences) or "no trial has reported a curve that is known"


def diagnose_study(
    history: History, metrics: Mapping[str, str] | None = None, newest: int | None = None
) -> StudyDiagnosis:
    """Return the diagnoses of all trials that have curves, and what they say together; about 1 ms a trial.

    ``newest`` leaves it at so many of the newest trials.

    Raises:
        ValueError: ``metrics`` has an unknown role, or a metric that no trial has reported.
    """
    check_metrics(metrics, history.trials)
    found: dict[int, tuple[Diagnosis, ...]] = {}
    for trial in history.trials[-newest if newest else 0 :]:
        diagnoses = of_trial(trial, metrics, planned(history, trial))
        if diagnoses:
            found[trial.number] = tuple(diagnoses)
    return StudyDiagnosis(found, proposed(history, {number: pair[0].label for number, pair in found.items()}))


def planned(history: History, trial: TrialRecord) -> int | None:
    """Return how many steps a trial means to train; None where it is over in its own time."""
    return None if trial.status is Status.COMPLETED else history.horizon


def proposed(history: History, labels: Mapping[int, Label]) -> Shift | None:
    """Return where the learning rate should move, by the labels of the trials: a pure function of both.

    Where at least :data:`FEWEST` trials diverge or have too high a rate, all of them above every trial that does not,
    the rates to look at are below; and the other way round for too low ones.
    """
    name = next((n for n in history.space if find(n, ambiguous=True) == "learning_rate"), None)
    if name is None:
        return None
    params = {number: history.trials[number].params.get(name) for number in labels}
    rates = {number: float(rate) for number, rate in params.items() if isinstance(rate, int | float) and rate > 0.0}
    high = [rate for number, rate in rates.items() if labels[number] in _HIGH]
    low = [rate for number, rate in rates.items() if labels[number] is Label.RATE_TOO_LOW]
    not_high = [rate for rate in rates.values() if rate not in high]
    not_low = [rate for rate in rates.values() if rate not in low]
    too_high = [rate for rate in high if rate > max(not_high, default=0.0)]
    too_low = [rate for rate in low if rate < min(not_low, default=math.inf)]
    if len(too_high) >= FEWEST:
        bound, value = min(too_high), _middle(not_high, min(too_high) / 10.0)
        words = f"{len(too_high)} of {len(rates)} trials have {name} from {short(bound)} on, and all of them diverge or"
        return Shift(name, value, bound, "below", f"{words} have too high a rate: look around {short(value)}")
    if len(too_low) >= FEWEST:
        bound, value = max(too_low), _middle(not_low, max(too_low) * 10.0)
        words = f"{len(too_low)} of {len(rates)} trials have {name} up to {short(bound)}, and for all of them it is"
        return Shift(name, value, bound, "above", f"{words} too low: look around {short(value)}")
    return None


def shift_of(history: History) -> Shift | None:
    """Return the shift that the first :data:`EARLIEST` trials that are over call for, unless the study believes in one.

    Later a sampler knows more by the values themselves.
    """
    if any(belief.by == "study" for belief in history.beliefs):
        return None
    over = [trial for trial in history.trials[:EARLIEST] if trial.status in _OVER]
    if len(over) < FEWEST or len(history.trials) > EARLIEST:
        return None
    labels = {
        trial.number: Label.DIVERGING if trial.status is Status.DIVERGED else found[0].label
        for trial in over
        if (found := diagnose_trial(trial, total=planned(history, trial))) or trial.status is Status.DIVERGED
    }
    return proposed(history, labels)


def _middle(good: Sequence[float], otherwise: float) -> float:
    """Return the middle, in logarithms, of the rates that went well; without any, another value."""
    return math.exp(sum(map(math.log, good)) / len(good)) if good else otherwise
