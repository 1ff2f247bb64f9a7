"""What do learning curves say? A small network is trained at five learning rates, then with too few examples.

python examples/diagnosis.py [EPOCHS]
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

import tunewell as tw

PIXELS, LABELS = load_digits(return_X_y=True)
PIXELS = (PIXELS - PIXELS.mean(axis=0)) / (PIXELS.std(axis=0) + 1e-9)
ORDER = np.random.default_rng(0).permutation(len(PIXELS))
HELD_OUT = ORDER[:500]


def shares(x, hidden, output):
    """Return hidden values and the probabilities of the ten digits."""
    values = np.maximum(x @ hidden, 0.0)
    scores = values @ output
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return values, scores / scores.sum(axis=1, keepdims=True)


def loss(x, y, hidden, output):
    return float(-np.log(shares(x, hidden, output)[1][np.arange(len(y)), y] + 1e-30).mean())


def train(trial, examples=1000):
    """Train by plain gradient descent and report losses and what the steps were like."""
    rate, rng = trial.params["learning_rate"], np.random.default_rng(trial.seed)
    rows = ORDER[500 : 500 + examples]
    hidden, output = rng.normal(size=(64, 64)) / 8, rng.normal(size=(64, 10)) / 8
    for _ in trial.steps():
        losses = []
        for batch in np.array_split(rng.permutation(rows), max(1, examples // 50)):
            x, y = PIXELS[batch], LABELS[batch]
            values, found = shares(x, hidden, output)
            losses.append(float(-np.log(found[np.arange(len(y)), y] + 1e-30).mean()))
            error = (found - np.eye(10)[y]) / len(y)
            back = (error @ output.T) * (values > 0)
            steps = rate * (x.T @ back), rate * (values.T @ error)
            hidden, output = hidden - steps[0], output - steps[1]
        size = np.sqrt((hidden**2).sum() + (output**2).sum())
        moved = np.sqrt(sum((step**2).sum() for step in steps))
        trial.report(
            train_loss=np.mean(losses),
            val_loss=loss(PIXELS[HELD_OUT], LABELS[HELD_OUT], hidden, output),
            grad_norm=moved / rate,
            update_ratio=moved / size,
        )


def main(epochs):
    space = tw.Space(learning_rate=tw.Float(1e-5, 1e3, scale="log"))
    study = tw.Study(space, "val_loss", sampler="random", seed=0)
    for rate in (1e-4, 1e-3, 0.1, 30.0, 300.0):
        study.enqueue({"learning_rate": rate})
    with np.errstate(all="ignore"):
        study.run(train, trials=5, max_steps=epochs, executor="inline", progress=False)
        study.enqueue({"learning_rate": 0.3})
        study.run(lambda trial: train(trial, 50), trials=6, max_steps=epochs, executor="inline", progress=False)
    for trial in study.trials:
        found = study.diagnose(trial.number)[0]
        print(f"trial {trial.number}, learning rate {trial.params['learning_rate']:g}, {trial.step} epochs: {found}")
        for action in found.actions:
            changed = action.apply(trial.params, study.space)
            if changed != dict(trial.params):
                print(f"  {action.words}: {changed}")
    print(study.diagnose())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
