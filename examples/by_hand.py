"""One training under a person's eye: watch it, change the learning rate, go back, compare. docs/panda.md explains it.

python examples/by_hand.py

The training runs in the background, as it would in another terminal; what the person does is at the end of the file. At
a shell the same wishes read `tunewell adjust learning_rate=1.0`, `tunewell back --step 10` and so on.
"""

import sys
import threading
import time

import numpy as np

import tunewell as tw

STORAGE = "sqlite:///by_hand.db"
STEPS = 40


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 30))
    return x, (x[:, :6].sum(axis=1) + rng.normal(size=600) > 0).astype(float)


def train(trial: tw.Trial) -> None:
    """Train logistic regression by gradient descent with momentum, some updates a step."""
    x, y = data()
    weights, velocity = np.zeros(30), np.zeros(30)
    if trial.checkpoint:
        state = np.load(trial.checkpoint / "state.npz")
        weights, velocity = state["weights"], state["velocity"]
    for _ in trial.steps(STEPS):
        if trial.changed:  # an optimizer of PyTorch: tw.torch.follow(optimizer, trial)
            print("now with", dict(trial.changed), "in the place of", dict(trial.replaced))
        for _ in range(3):
            error = 1 / (1 + np.exp(-np.clip(x[:400] @ weights, -500, 500))) - y[:400]
            velocity = trial.params["momentum"] * velocity - trial.params["learning_rate"] * (x[:400].T @ error / 400)
            weights = weights + velocity
        margins = np.where(y[400:] > 0, 1, -1) * (x[400:] @ weights)
        time.sleep(0.05)  # a real step takes longer
        trial.report(val_loss=np.logaddexp(0, -margins).mean())
        trial.save(lambda folder: np.savez(folder / "state.npz", weights=weights, velocity=velocity))  # noqa: B023


def main() -> None:
    space = tw.Space(
        learning_rate=tw.Float(1e-4, 10.0, scale="log", default=1e-3),
        momentum=tw.Float(0.5, 0.99, scale="reverse_log", default=0.9),
    )
    study = tw.Study(space, metric="val_loss", name="by hand", storage=STORAGE, scheduler="fifo", seed=0)
    running = threading.Thread(target=study.run, args=(train,), kwargs={"trials": 1, "workers": 1, "progress": False})
    running.start()
    watch(tw.open(STORAGE, "by hand"))
    running.join()
    best = study.best
    print(f"best {best.value:.4f} in trial {best.number}, which lived through:")
    for change in study.schedule(best).changes:
        print(f"  after step {change.after}: learning_rate={change.params['learning_rate']:g}")
    for number, answer in study.history.answers.items():
        print(f"request {number} ({study.history.requests[number].wish}): {'done' if answer.done else answer.reason}")


def watch(study: tw.Study) -> None:
    """Do what a person does who looks at the curve from time to time."""
    until(study, 0, 6)
    study.note("falls, but far too slowly", trial=0)
    study.adjust(0, learning_rate=0.05, reason="it crawls")
    until(study, 0, 14)
    study.adjust(0, learning_rate=50.0, reason="on purpose far too large, and outside the range: the guard is there")
    until(study, 1, 20)  # the guard has gone back to before that change, and trial 1 trains in the place of trial 0
    study.fork(1, learning_rate=0.01, reason="would a smaller one end lower?")
    until(study, 2, STEPS)
    for trial in study.trials:
        value = trial.value if trial.value is not None else float("nan")
        print(f"trial {trial.number}: {trial.status}, {value:.4f} at step {trial.step}; {trial.why or 'the beginning'}")


def until(study: tw.Study, trial: int, step: int) -> None:
    """Wait until a trial has come to a step."""
    while len(study.trials) <= trial or study.trials[trial].step < step:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
