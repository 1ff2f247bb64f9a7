"""For how long a study has trained, by the signs of life of whoever trains.

Between two signs of a driver that trains something, it trained; what comes after its last sign nobody knows: it may
have died hours ago. So the time from its newest sign on counts only once there is another. A driver's sign counts for
all its trials; a trial that was asked for has a trainer of its own, whoever will tell it. Time in which several train
counts once, whatever their clocks say.
"""

from __future__ import annotations

SET_BACK = 60.0  # seconds; what is older than this came from a clock that was set back


class Activity:
    """The seconds during which at least one trial was in training.

    A trainer is a driver's identity, or the number of an asked trial.

    Attributes:
        seconds: as far as there was a sign of it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._counted = 0.0  # the time up to which they are counted
        self._signs: dict[str | int, float] = {}  # the newest of each trainer that trains something
        self._trials: dict[str | int, int] = {}  # how many each of them trains

    def begin(self, trainer: str | int, time: float) -> None:
        """Note that a trainer has begun to train one more trial.

        Where nobody trains, what is counted is over: an earlier time is one of a clock that was set back, or another's.
        """
        if not self._signs and time < self._counted - SET_BACK:
            self._counted = time
        self.sign(trainer, time, time)
        self._trials[trainer] = self._trials.get(trainer, 0) + 1

    def sign(self, trainer: str | int, time: float, before_of_trial: float) -> None:
        """Count the time since the last sign of a trainer, as far as it is not counted yet.

        A message may have been long on its way; only one that is older than what its own trial said before, at
        ``before_of_trial``, tells of a clock that was set back.
        """
        before = self._signs.get(trainer, time)
        if time < before:
            if time < before_of_trial - SET_BACK:
                self._signs[trainer] = time
                self._counted = min(self._counted, time)
            return
        self._signs[trainer] = time
        since = max(before, self._counted)
        if time > since:
            self.seconds += time - since
            self._counted = time

    def end(self, trainer: str | int, time: float, before_of_trial: float) -> None:
        """Note that a trainer trains one trial less."""
        self.sign(trainer, time, before_of_trial)
        self._trials[trainer] -= 1
        if not self._trials[trainer]:
            del self._trials[trainer], self._signs[trainer]

    def seconds_at(self, now: float, trainer: str | int) -> float:
        """Return the seconds with those since the last sign of a trainer that asks, while it trains."""
        since = self._signs.get(trainer)
        return self.seconds + (0.0 if since is None else max(0.0, now - max(since, self._counted)))
