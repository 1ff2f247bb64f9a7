"""Where the members of a population stand at a rung: who keeps a place there, who loses it, and who takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunewell.history import History, Rung
from tunewell.space import Config


@dataclass(frozen=True, slots=True)
class Population:
    """A number of places for trials of one group; ``first`` is the step at which they began."""

    group: str
    size: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a population at a rung.

    Attributes:
        rung: the losses there.
        coming: how many members may still get there.
        dead: how many places are empty, for their trials ended on the way.
        at_risk: how many places at the end of the order may be lost here.
        by_hand: members that came here with values that a person chose: they keep their places, whatever their losses.
    """

    population: Population
    step: int
    rung: Rung
    coming: int
    dead: int
    at_risk: int
    by_hand: frozenset[int] = frozenset()

    @property
    def known(self) -> bool:
        """Whether all have come who will."""
        return self.coming == 0

    def is_safe(self, trial: int) -> bool:
        """Whether the trial keeps its place whoever is still to come."""
        rank = self.rung.rank(trial)
        worse = len(self.rung) - rank - sum(self.rung.rank(other) > rank for other in self.by_hand)
        return worse + self.dead >= self.at_risk and math.isfinite(self.rung.loss(trial))

    def place(self, trial: int) -> str:
        """Say where the trial stands."""
        so_far = f" so far, {self.coming} still to come" if self.coming else ""
        return f"place {self.rung.rank(trial)} of {len(self.rung)} at step {self.step}{so_far}"

    def compared(self) -> list[int]:
        """The trials that may lose their places here, best first."""
        return [trial for trial in self.rung.ranked() if trial not in self.by_hand]

    def losers(self, history: History, most: int) -> list[int]:
        """The trials that lose their place here when ``most`` places do, empty ones included; the worst first.

        Whoever rests here and got other values by hand meanwhile keeps its place, and no other loses one instead: those
        that are better have gone on.
        """
        ranked = self.compared()
        wrong = sum(not math.isfinite(self.rung.loss(trial)) for trial in ranked)
        count = min(len(ranked), max(most - self.dead, wrong, 0))
        worst = reversed(ranked[len(ranked) - count :])
        return [trial for trial in worst if history.trials[trial].over or not history.trials[trial].by_hand]

    def donors(self, history: History, count: int) -> list[int]:
        """The best ``count`` trials with a finite loss, as far as their checkpoints of this rung are there."""
        best = [trial for trial in self.rung.ranked()[:count] if math.isfinite(self.rung.loss(trial))]
        return [trial for trial in best if history.trials[trial].has_checkpoint(self.step)]


@dataclass(frozen=True, slots=True)
class Heir:
    """Who takes a place: a fork of ``donor``, with ``config`` or else one to be explored; None: of any donor.

    ``loser`` is the trial that lost the place at the rung, None where it had ended before. ``population`` is the one
    that has the place, None for the loser's own; ``keep`` is its interval.
    """

    loser: int | None
    why: str
    donor: int | None = None
    config: Config | None = None
    population: Population | None = None
    keep: int | None = None


def by_hand(history: History, rung: Rung) -> frozenset[int]:
    """Return who came to a rung, and not with a loss that is none, with values that a person chose."""
    came = [number for number in rung.ranked() if history.trials[number].by_hand_before(rung.step)]
    return frozenset(number for number in came if math.isfinite(rung.loss(number)))


def vacancies(standing: Standing) -> list[Heir]:
    """Return the heirs to the places that were empty when all others had come."""
    return [Heir(None, "a place was empty")] * standing.dead
