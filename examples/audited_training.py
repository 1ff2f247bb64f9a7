"""A training with five faults: the audit finds them, two are repaired in the source and three by `fix`, and a study
with a watcher's metrics follows.

python examples/audited_training.py [EPOCHS]
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import tunewell as tw
from tunewell.torch import Watcher, audit, fix

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 10

digits = load_digits()
X = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
Y = torch.tensor(digits.target)


def build(*ends: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n, m in ((1, 16), (16, 16)):
        layers += [nn.Conv2d(n, m, 3, padding=1), nn.BatchNorm2d(m, momentum=0.9), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10), *ends)


def optimizer_of(net: nn.Module, rate: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), rate, momentum=0.9, weight_decay=1e-3)


def step(net: nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    optimizer.zero_grad()
    cross_entropy(net(X[batch]), Y[batch]).backward()
    optimizer.step()


def validate(net: nn.Module, careful: bool = True) -> float:
    net.train(not careful)
    with torch.no_grad():
        loss = float(cross_entropy(net(X[1200:]), Y[1200:]))
    net.train()
    return loss


def check(net: nn.Module, optimizer: torch.optim.Optimizer, careful: bool) -> list[tw.Finding]:
    return audit(
        net,
        optimizer,
        batch=torch.arange(64),
        train_step=lambda batch: step(net, optimizer, batch),
        evaluate=lambda: validate(net, careful),
    )


def train(trial: tw.Trial) -> None:
    torch.manual_seed(trial.seed)
    net = build()
    optimizer = optimizer_of(net, trial.params["learning_rate"])
    fix(net, optimizer, check(net, optimizer, careful=True))
    watch = Watcher(net, optimizer)
    for _epoch in trial.steps(EPOCHS):
        for batch in torch.randperm(1200).split(60):
            step(net, optimizer, batch)
        trial.report(val_loss=validate(net), **watch.metrics())
    print(watch)


def main() -> None:
    torch.manual_seed(0)
    net = build(nn.Softmax(1))
    found = check(net, optimizer_of(net), careful=False)
    print("before:", ", ".join(finding.code for finding in found))
    for finding in found:
        print("  ", finding)

    net = build()  # without softmax, and evaluated with care
    optimizer = optimizer_of(net)
    done = fix(net, optimizer, check(net, optimizer, careful=True))
    print("fixed:", ", ".join(finding.code for finding in done))
    print("after:", ", ".join(finding.code for finding in check(net, optimizer, careful=True)) or "nothing")

    study = tw.Study(tw.Space(learning_rate=tw.Float(1e-3, 1.0, scale="log", default=0.05)), metric="val_loss", seed=0)
    study.run(train, trials=3, executor="inline", progress=False)
    for trial in study.trials:
        last = trial.reports[-1].metrics
        print(f"learning rate {trial.params['learning_rate']:.3g}: val_loss {last['val_loss']:.3f}", end=", ")
        print(f"update_ratio {last['update_ratio']:.4f}, dead_units {last['dead_units']:.2f}")


if __name__ == "__main__":
    main()
