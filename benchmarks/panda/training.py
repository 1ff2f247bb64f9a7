"""A training for others to wish something of: ``python -m benchmarks.panda.training STORAGE SECONDS``.

Its steps only sleep for so many seconds and report the rate that they were trained with and when they began.
"""

from __future__ import annotations

import sys
import time

import tunewell as tw

SPACE = tw.Space(rate=tw.Float(0.0, 1.0, default=0.0))


def main() -> None:
    """Train until a person stops it."""
    storage, seconds = sys.argv[1], float(sys.argv[2])

    def train(trial: tw.Trial) -> None:
        for _ in trial.steps(1_000_000):
            began = time.time()
            time.sleep(seconds)
            trial.report(loss=1.0, rate=trial.params["rate"], began=began)

    study = tw.Study(SPACE, metric="loss", name="panda", storage=storage, scheduler="fifo", seed=0)
    study.run(train, trials=1, workers=1, progress=False)


if __name__ == "__main__":
    main()
