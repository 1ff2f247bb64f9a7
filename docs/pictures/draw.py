"""Draws the pictures of the guides to PyTorch: ``python docs/pictures/draw.py [NAMES]``, from the repository's root.

All of them are real: the range test is that of ``examples/learning_rate.py``, and a small residual network learns the
handwritten digits of scikit-learn for those of running statistics and updates. A minute in all.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

import tunewell as tw
from tunewell.analysis.pictures import Curve, picture, write

HERE = Path(__file__).parent
TRAINED = 1200
"""Digits that are trained on; the others are held out."""


def range_test() -> None:
    """Draw a range test."""
    sys.path.insert(0, str(HERE.parents[1] / "examples"))
    import learning_rate

    net = learning_rate.network()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    found = tw.torch.find_learning_rate(
        net, optimizer, learning_rate.train, nn.CrossEntropyLoss(), held_out=learning_rate.held_out
    )
    found.plot(HERE / "range_test.svg")


def schedules(steps: int = 200) -> None:
    """Draw every schedule at its defaults, with a warm-up where it has no rise of its own."""
    for name in tw.lr_schedules.NAMES:
        ratio = 0.0 if name == "one_cycle" else 0.1
        schedule = tw.lr_schedules.from_params({"schedule": name, "warmup_ratio": ratio}, steps=steps)
        write(schedule.picture(type(schedule).__name__, width=230, height=150), HERE / f"schedule_{name}.svg")
    losses = [max(0.9**epoch, 0.35, 0.5 - 0.004 * epoch) for epoch in range(60)]
    plateau = tw.lr_schedules.Plateau(patience=5)
    write(plateau.picture(losses, "Plateau", width=230, height=150), HERE / "schedule_plateau.svg")


def stale_statistics() -> None:
    """Draw the loss on held-out digits with running statistics as they are, and recalibrated."""
    torch.manual_seed(0)
    (x, y), net = digits(), network()
    optimizer = torch.optim.SGD(net.parameters(), 0.2, momentum=0.9)
    steps, stale, fresh = [], [], []
    for number, batch in enumerate(batches(240), 1):
        optimizer.zero_grad()
        cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
        if number % 6 == 0:
            steps.append(number)
            kept = {name: buffer.clone() for name, buffer in net.named_buffers()}
            stale.append(held_out_loss(net, x, y))
            tw.torch.recalibrate(net, [x[inner] for inner in batches(16)])
            fresh.append(held_out_loss(net, x, y))
            net.load_state_dict(kept, strict=False)
    drawn = picture(
        [Curve(steps, stale, "mark", name="running statistics"), Curve(steps, fresh, name="recalibrated")],
        x="step",
        y="loss on held-out images",
        y_scale="log",
        title="A residual network on digits, learning rate 0.2, momentum 0.9",
        width=720,
    )
    write(drawn, HERE / "stale_statistics.svg")


def update_ratio() -> None:
    """Draw update over weight, for three learning rates of Adam."""
    (x, y), curves = digits(), []
    for rate, kind in ((1e-1, "mark"), (3e-3, "main"), (1e-4, "faint")):
        torch.manual_seed(0)
        net = network()
        optimizer = torch.optim.Adam(net.parameters(), rate)
        watch = tw.torch.Watcher(net, optimizer, every=5)
        steps, values = [], []
        for number, batch in enumerate(batches(240), 1):
            optimizer.zero_grad()
            cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
            if number % 5 == 1:
                steps.append(number)
                values.append(watch.metrics()["update_ratio"])
        watch.close()
        curves.append(Curve(steps, values, kind, name=f"{rate:g}: loss {held_out_loss(net, x, y):.2g}"))
    drawn = picture(
        curves,
        x="step",
        y="update_ratio",
        y_scale="log",
        title="Update over weight (median of layers), by learning rate of Adam, and held-out loss at the end",
        width=720,
    )
    write(drawn, HERE / "update_ratio.svg")


# --- a residual network on digits -------------------------------------------------------------------------------------


class Block(nn.Module):
    """Two convolutions around which the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(width) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        inner = relu(self.norms[0](self.convs[0](x)))
        return relu(x + self.norms[1](self.convs[1](inner)))


def network() -> nn.Module:
    """Return three residual blocks of width 12."""
    stem = [nn.Conv2d(1, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU()]
    return nn.Sequential(
        *stem, *(Block(12) for _ in range(3)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)
    )


def digits() -> tuple[Tensor, Tensor]:
    """Return images ``(1797, 1, 8, 8)`` in [0, 1] and their digits."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(y)


def batches(steps: int, size: int = 32) -> Iterator[Tensor]:
    """Yield so many shuffled batches of the digits that are trained on."""
    order = torch.randperm(TRAINED)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(TRAINED)
        yield order[:size]
        order = order[size:]


def held_out_loss(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the loss in evaluation mode."""
    net.eval()
    with torch.no_grad():
        loss = cross_entropy(net(x[TRAINED:]), y[TRAINED:]).item()
    net.train()
    return loss


if __name__ == "__main__":
    torch.set_num_threads(1)
    drawings = {draw.__name__: draw for draw in (range_test, schedules, stale_statistics, update_ratio)}
    names = sys.argv[1:] or list(drawings)
    del sys.argv[1:]  # which the example reads, too
    for name in names:
        drawings[name]()
