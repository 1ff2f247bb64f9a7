"""A learning rate for a network of one's own, in a few hundred steps, and a schedule; with no study.

python examples/learning_rate.py [STEPS]

Writes range_test.svg. The network is trained at the suggested rate and at PyTorch's own, along a cosine with a warm-up.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tunewell as tw

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 500

digits = load_digits()
pixels, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
train = DataLoader(TensorDataset(pixels[:1200], labels[:1200]), 32, shuffle=True)
held_out = DataLoader(TensorDataset(pixels[1200:1500], labels[1200:1500]), 100)
test = pixels[1500:], labels[1500:]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


def fit(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Train and return the test loss."""
    scheduler = tw.torch.scheduler(optimizer, tw.lr_schedules.Cosine(steps, warmup=steps // 20))
    done = 0
    while done < steps:
        for x, y in train:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            scheduler.step()
            done += 1
            if done == steps:
                break
    with torch.no_grad():
        return nn.functional.cross_entropy(net.eval()(test[0]), test[1]).item()


if __name__ == "__main__":
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    found = tw.torch.find_learning_rate(net, optimizer, train, nn.CrossEntropyLoss(), held_out=held_out)
    print(found)
    print(f"to search: {found.parameter()!r}")
    print(f"the picture: {found.plot('range_test.svg')}")

    print(f"test loss at PyTorch's own rate, 0.001: {fit(net, optimizer, STEPS):.4f}")
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    found.apply(optimizer)
    print(f"test loss at the suggested rate: {fit(net, optimizer, STEPS):.4f}")
