"""PyTorch with checkpoints: two workers, ASHA pauses the weaker trials and takes the better ones up again.

python examples/pytorch_checkpoints.py [TRIALS] [EPOCHS]

The study lives in pytorch.db. Stop the script in any way you like and start it again: it goes on to the same total.
"""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

import tunewell as tw

EPOCHS = int(sys.argv[2]) if len(sys.argv) > 2 else 27

space = tw.Space(
    learning_rate=tw.Float(1e-4, 1.0, scale="log", default=1e-2),
    momentum=tw.Float(0.5, 0.99, scale="reverse_log", default=0.9),
    units=tw.Int(16, 256, scale="log", default=64),
)


def train(trial: tw.Trial) -> None:
    torch.manual_seed(trial.seed)
    digits = load_digits()
    x = torch.tensor(digits.data / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    net = nn.Sequential(nn.Linear(64, trial.params["units"]), nn.ReLU(), nn.Linear(trial.params["units"], 10))
    optimizer = torch.optim.SGD(
        net.parameters(), lr=trial.params["learning_rate"], momentum=trial.params["momentum"], nesterov=True
    )

    def save(directory: Path) -> None:
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
        torch.save(state, directory / "state.pt")

    if trial.checkpoint:  # the folder that save() filled last time
        state = torch.load(trial.checkpoint / "state.pt")
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])

    for _epoch in trial.steps(EPOCHS):  # goes on after the last saved epoch
        for batch in torch.randperm(1200).split(50):
            loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            trial.report(val_loss=nn.functional.cross_entropy(net(x[1200:]), y[1200:]))
        trial.save(save)


if __name__ == "__main__":
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 27
    study = tw.Study(space, metric="val_loss", name="digits", storage="pytorch.db", scheduler="asha", seed=0)
    study.run(train, trials=trials // 2, workers=2)  # half of it, then ...
    study.run(train, trials=trials, workers=2)  # ... on to the total; what is done is not done again
    taken_up = [trial for trial in study.trials if len(trial.stretches) > 1]
    print(f"{len(study.trials)} trials, {len(taken_up)} of them paused and taken up again")
    print(f"best: trial {study.best.number}, val_loss {study.best.value:.4f} after {study.best.step} epochs")
    print(f"its weights: {study.best.checkpoint}")
