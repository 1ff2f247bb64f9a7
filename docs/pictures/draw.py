"""Draws the pictures of range_test.md and schedules.md: ``python docs/pictures/draw.py``, from the repository's root.

The range test is a real one, of the network, data and optimizer of ``examples/learning_rate.py``.
"""

import sys
from pathlib import Path

import torch

import tunewell as tw

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))

import learning_rate  # noqa: E402


def range_test() -> None:
    """Draw a range test."""
    net = learning_rate.network()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    found = tw.torch.find_learning_rate(
        net, optimizer, learning_rate.train, torch.nn.CrossEntropyLoss(), held_out=learning_rate.held_out
    )
    found.plot(HERE / "range_test.svg")


def schedules(steps: int = 200) -> None:
    """Draw every schedule at its defaults, with a warm-up where it has no rise of its own."""
    for name in tw.lr_schedules.NAMES:
        ratio = 0.0 if name == "one_cycle" else 0.1
        schedule = tw.lr_schedules.from_params({"schedule": name, "warmup_ratio": ratio}, steps=steps)
        drawn = schedule.picture(type(schedule).__name__, width=230, height=150)
        (HERE / f"schedule_{name}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    range_test()
    schedules()
