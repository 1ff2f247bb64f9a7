"""The pictures of docs/audit.md and docs/watcher.md, from real trainings: ``python -m benchmarks.torch_pictures``.

A small residual network learns the handwritten digits of scikit-learn, half a minute in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from benchmarks._common import ROOT
from tunewell.analysis.axes import Axis, number_axis
from tunewell.analysis.words import escape
from tunewell.torch import Watcher, recalibrate

PICTURES = ROOT / "docs" / "pictures"
COLOURS = ("#c1121f", "#1d6fb8", "#2a9d8f")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 320, 62, 48, 170, 42


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
    """Three residual blocks of width 12."""
    stem = [nn.Conv2d(1, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU()]
    return nn.Sequential(
        *stem, *(Block(12) for _ in range(3)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)
    )


def digits() -> tuple[Tensor, Tensor]:
    """Images ``(1797, 1, 8, 8)`` in [0, 1] and their digits."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(y)


def batches(n: int, steps: int, size: int = 32) -> Iterator[Tensor]:
    """Yield so many shuffled batches of the first n examples."""
    order = torch.randperm(n)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(n)
        yield order[:size]
        order = order[size:]


def statistics_picture() -> str:
    """Return the loss on held-out digits with running statistics as they are, and recalibrated."""
    torch.manual_seed(0)
    (x, y), net = digits(), network()
    optimizer = torch.optim.SGD(net.parameters(), 0.2, momentum=0.9)
    steps: list[float] = []
    losses: dict[str, list[float]] = {"running statistics": [], "recalibrated": []}
    for number, batch in enumerate(batches(1200, 240), 1):
        optimizer.zero_grad()
        cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
        if number % 6 == 0:
            steps.append(float(number))
            kept = {name: buffer.clone() for name, buffer in net.named_buffers()}
            losses["running statistics"].append(_held_out(net, x, y))
            recalibrate(net, [x[inner] for inner in batches(1200, 16)])
            losses["recalibrated"].append(_held_out(net, x, y))
            net.load_state_dict(kept, strict=False)
    high = max(map(max, losses.values()))
    low = min(map(min, losses.values()))
    title = "A residual network on digits, learning rate 0.2, momentum 0.9"
    return picture(
        title,
        number_axis("step", 0.0, steps[-1]),
        number_axis("loss on held-out images", low, high, "log", pad=0.04),
        [(name, steps, values) for name, values in losses.items()],
    )


def _held_out(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net.eval()
    with torch.no_grad():
        loss = float(cross_entropy(net(x[1200:]), y[1200:]))
    net.train()
    return loss


def ratios_picture() -> str:
    """Return update over weight, for three learning rates of Adam."""
    (x, y), lines = digits(), []
    for rate in (1e-1, 3e-3, 1e-4):
        torch.manual_seed(0)
        net = network()
        optimizer = torch.optim.Adam(net.parameters(), rate)
        watch = Watcher(net, optimizer, every=5)
        steps, values = [], []
        for number, batch in enumerate(batches(1200, 240), 1):
            optimizer.zero_grad()
            loss = cross_entropy(net(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            if number % 5 == 1:
                steps.append(float(number))
                values.append(watch.metrics()["update_ratio"])
        watch.close()
        lines.append((f"{rate:g}: loss {_held_out(net, x, y):.2g}", steps, values))
    low, high = min(min(v) for _, _, v in lines), max(max(v) for _, _, v in lines)
    return picture(
        "Update over weight (median of layers), by learning rate of Adam, and held-out loss at the end",
        number_axis("step", 0.0, 240.0),
        number_axis("update_ratio", low, high, "log", pad=0.04),
        lines,
    )


# --- drawing ----------------------------------------------------------------------------------------------------------


def picture(title: str, x: Axis, y: Axis, lines: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> str:
    """Return lines over two axes as an SVG file that stands alone, each line named at its end."""
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{escape(title)}</text>',
        f'<text x="{LEFT + across / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>',
        f'<text x="{LEFT}" y="{TOP - 10}" font-size="11" fill="#777">{escape(y.label)}</text>',
    ]
    for place, text in y.ticks:
        at = TOP + (1 - place) * down
        parts.append(f'<path d="M{LEFT} {at:.1f}h{across}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for place, text in x.ticks:
        at = LEFT + place * across
        parts.append(f'<text x="{at:.1f}" y="{TOP + down + 16}" text-anchor="middle">{escape(text)}</text>')
    ends = []
    for (name, xs, ys), colour in zip(lines, COLOURS, strict=False):
        points = np.column_stack([LEFT + x.places_of(xs) * across, TOP + (1 - y.places_of(ys)) * down])
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points if a == a and b == b)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        ends.append((float(points[-1][1]), name, colour))
    at = 0.0
    for end, name, colour in sorted(ends):
        at = max(end, at + 15)  # names that lie apart
        parts.append(f'<text x="{LEFT + across + 8}" y="{at + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "".join([*parts, "</svg>\n"])


def main() -> None:
    """Draw both."""
    torch.set_num_threads(1)
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "stale_statistics.svg").write_text(statistics_picture(), encoding="utf-8")
    (PICTURES / "update_ratio.svg").write_text(ratios_picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
