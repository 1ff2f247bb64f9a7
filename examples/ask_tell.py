"""Ask for a configuration, train it your own way, tell the result. No framework, no processes, nothing on disk.

python examples/ask_tell.py [TRIALS]
"""

import sys

import numpy as np

import tunewell as tw


def validation_loss(learning_rate: float, momentum: float, weight_decay: float, seed: int) -> float:
    """Train logistic regression by gradient descent with momentum on made-up data; return its validation loss."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 20))
    y = x[:, :5].sum(axis=1) + rng.normal(size=400) > 0
    train, held_out = slice(0, 200), slice(200, 400)
    weights = np.random.default_rng(seed).normal(scale=0.1, size=20)
    velocity = np.zeros(20)
    for _ in range(30):
        error = 1 / (1 + np.exp(-np.clip(x[train] @ weights, -500, 500))) - y[train]
        gradient = x[train].T @ error / 200 + weight_decay * weights
        velocity = momentum * velocity - learning_rate * gradient
        weights = weights + velocity
    margins = np.where(y[held_out], 1, -1) * (x[held_out] @ weights)
    return float(np.logaddexp(0, -margins).mean())


def main(trials: int) -> None:
    space = tw.Space(
        learning_rate=tw.Float(1e-3, 10.0, scale="log", default=1e-2),
        momentum=tw.Float(0.5, 0.99, scale="reverse_log", default=0.9),
        weight_decay=tw.Float(1e-5, 1.0, scale="log", default=1e-4),
    )
    study = tw.Study(space, metric="val_loss", mode="min", seed=0)
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, validation_loss(**trial.params, seed=trial.seed))
    print(f"default {study.trials[0].value:.4f}, best {study.best.value:.4f} with")
    for name, value in study.best.params.items():
        print(f"  {name} = {value:.3g}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
