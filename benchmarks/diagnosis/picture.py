"""The picture of the documentation: a real training of each label, ``python -m benchmarks.diagnosis.picture``.

Of the held-out trainings of a label that are named rightly, the one of middling confidence is drawn: not the
clearest. Axes, lines and ticks are those of the report's charts.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from benchmarks.diagnosis.__main__ import said_of
from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.labels import Row
from benchmarks.diagnosis.learn import set_of
from benchmarks.diagnosis.record import recorded, run_of
from tunewell.analysis.charts import GRAIN, line
from tunewell.analysis.words import escape, short

PLACE = Path(__file__).resolve().parents[2] / "docs" / "diagnosis.svg"
ACROSS, WIDTH, HEIGHT, LEFT, TOP = 4, 190, 110, 34, 34
ORDER = (
    "healthy", "rate-too-low", "rate-too-high", "diverging", "plateau", "overfitting", "underfitting", "unstable",
    "noisy-evaluation", "data-problem", "nothing-learnt",
)  # fmt: skip
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #333 } .small { font-size: 9px; fill: #777 } .name { font-weight: 600 }
.line { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke } .train { stroke: #1d6fb8 } .val { stroke:
#c1121f } .frame { fill: none; stroke: #bbb } @media (prefers-color-scheme: dark) { text { fill: #ddd } .frame {
stroke: #555 } .small { fill: #999 } }
"""


def chosen() -> dict[str, Row]:
    """Return the training that is drawn for each label."""
    found: dict[str, list[tuple[float, Row]]] = {}
    for row, label in set_of(recorded()):
        said = said_of(row)[0]
        if FAMILIES[run_of(row).family].held_out and said.code == label and len(row["train_loss"]) > 4:
            found.setdefault(label, []).append((said.confidence, row))
    return {label: sorted(pairs, key=lambda pair: pair[0])[len(pairs) // 2][1] for label, pairs in found.items()}


def panel(label: str, row: Row, k: int) -> str:
    """Return the two loss curves of a training in a frame."""
    x, y = LEFT + k % ACROSS * (WIDTH + LEFT), TOP + k // ACROSS * (HEIGHT + 2 * TOP)
    curves = [np.array(row[name], dtype=float) for name in ("train_loss", "val_loss")]
    known = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    first = max(curve[0] for curve in curves if np.isfinite(curve[0]))
    low, high = float(known.min()), float(min(known.max(), 4.0 * first))
    spread = (high - low) or 1.0
    places = np.linspace(0.02, 0.98, run_of(row).reports)

    def drawn(curve: np.ndarray, kind: str) -> str:
        inside = np.clip((curve - low) / spread, 0.0, 1.0) * 0.92 + 0.04
        heights = np.where(np.isfinite(curve), inside, np.nan).tolist()
        return line(kind, places[: len(curve)].tolist(), heights)

    return (
        f'<text class="name" x="{x}" y="{y - 8}">{label}</text>'
        f'<text class="small" x="{x + WIDTH}" y="{y - 8}" text-anchor="end">{escape(run_of(row).family)}</text>'
        f'<text class="small" x="{x - 3}" y="{y + 9}" text-anchor="end">{short(high, 2)}</text>'
        f'<text class="small" x="{x - 3}" y="{y + HEIGHT}" text-anchor="end">{short(low, 2)}</text>'
        f'<svg x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {GRAIN} {GRAIN}" preserveAspectRatio="none">'
        f"{drawn(curves[0], 'train')}{drawn(curves[1], 'val')}</svg>"
        f'<rect class="frame" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}"/>'
    )


def main() -> None:
    """Draw."""
    rows = chosen()
    panels = [panel(label, rows[label], k) for k, label in enumerate(label for label in ORDER if label in rows)]
    width = ACROSS * (WIDTH + LEFT) + 8
    height = TOP + math.ceil(len(panels) / ACROSS) * (HEIGHT + 2 * TOP) - TOP
    legend = (
        f'<text x="{width - 8}" y="{height - 12}" text-anchor="end">training loss '
        '<tspan fill="#1d6fb8">blue</tspan>, validation loss <tspan fill="#c1121f">red</tspan></text>'
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>A real training of each label</title><style>{STYLE}</style>{''.join(panels)}{legend}</svg>\n"
    )
    PLACE.write_text(svg, encoding="utf-8")
    print(f"{PLACE.name}: {len(panels)} trainings, {len(svg) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
