"""The report of a real study in a real browser: it runs without errors, fits a telephone, and can be read."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import struct
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tunewell as tw
from tunewell.analysis.report import report
from tunewell.events import Status

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: apt-get install chromium")

ALONE = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
TOLD = "--disable-sync --disable-quic --no-first-run --hide-scrollbars --enable-logging=stderr --v=0"
TIME = "--virtual-time-budget=3000"
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"


def browse(page: Path, *flags: str) -> tuple[str, list[str]]:
    """Open a page in a browser of its own; return what it wrote and the lines of its console."""
    profile = page.with_name(f"profile-{time.monotonic_ns()}")
    try:
        done = subprocess.run(
            [str(BROWSER), *f"{ALONE} {TOLD}".split(), f"--user-data-dir={profile}", TIME, *flags, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def ask(text: str, script: str, tmp_path: Path, *flags: str, width: int | None = None) -> Any:
    """Run a script on a loaded page and return what it returned; ``width`` puts the page into a frame so wide."""
    told = "parent.postMessage(JSON.stringify(answer), '*')" if width else "document.body.dataset.answer = answer"
    asking = f"""<script>addEventListener("load", async () => {{
        const result = await (async () => {{ {script} }})();
        const answer = JSON.stringify(result);
        {told};
    }});</script></body>"""
    page = tmp_path / "asked.html"
    page.write_text(text.replace("</body>", asking), encoding="utf-8")
    if width:
        page = tmp_path / "frame.html"
        page.write_text(
            f'<!doctype html><body><iframe src="asked.html" style="border:0;width:{width}px;height:900px"></iframe>'
            "<script>onmessage = (event) => { document.body.dataset.answer = JSON.parse(event.data); };</script>"
        )
    dom, console = browse(page, "--dump-dom", *flags)
    assert console == []
    found = re.search(r'data-answer="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(html.unescape(found[1]))


def picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG, shape ``(height, width, 3)``."""
    data, at, packed = path.read_bytes(), 8, b""
    width = height = channels = 0
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
            channels = {2: 3, 6: 4}[body[9]]
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    rows = np.zeros((height + 1, width, channels), np.uint8)
    for y in range(height):
        rows[y + 1] = _unfiltered(int(raw[y, 0]), raw[y, 1:].reshape(width, channels), rows[y])
    return rows[1:, :, :3]


def _unfiltered(kind: int, row: NDArray[np.uint8], above: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if kind == 0:
        return row
    if kind == 1:
        return np.cumsum(row, axis=0, dtype=np.uint8)
    if kind == 2:
        return row + above
    left, out, ups = [0] * row.shape[1], [], above.tolist()
    corner = left
    for new, up in zip(row.tolist(), ups, strict=True):
        guess = [(a + b) // 2 if kind == 3 else _paeth(a, b, c) for a, b, c in zip(left, up, corner, strict=True)]
        left, corner = [(n + g) & 255 for n, g in zip(new, guess, strict=True)], up
        out.append(left)
    return np.array(out, np.uint8)


def _paeth(a: int, b: int, c: int) -> int:
    return min((a, b, c), key=lambda x: abs(a + b - c - x))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as the browser computes them, ``rgb(…)``."""

    def luminance(colour: str) -> float:
        parts = np.array([float(x) for x in re.findall(r"[\d.]+", colour)[:3]]) / 255.0
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tw.Study:
    space = tw.Space(
        learning_rate=tw.Float(1e-5, 1.0, scale="log", default=1e-3),
        momentum=tw.Float(0.8, 0.999, scale="reverse_log"),
        layers=tw.Int(1, 4),
        schedule=tw.Choice(["cosine with warm restarts", "one cycle", "step decay", "constant"]),
        optimizer=tw.Choice(["sgd", "adam"]),
        nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
    )

    def train(trial: tw.Trial) -> None:
        rate = math.log10(float(trial.params["learning_rate"]))  # type: ignore[arg-type]
        if trial.number in (7, 23):
            raise ValueError(f"expected 10 classes, got {trial.number}: <b>check</b> the labels")
        for epoch in trial.steps(27):
            loss = 0.02 + 0.05 * (rate + 2.5) ** 2 + 2.0 * math.exp(-epoch * (0.2 + 0.05 * rate))
            trial.report(val_loss=math.nan if rate > -0.8 and epoch == 3 else loss, accuracy=1 / (1 + loss))
            trial.save(lambda directory: (directory / "weights").write_text("w"))

    made = tw.Study(
        space,
        metric="val_loss",
        name="digits",
        sampler="random",
        scheduler=tw.schedulers.Asha(min_steps=3),
        seed=5,
        directory=tmp_path_factory.mktemp("files"),
    )
    made.run(train, trials=40, executor="inline", progress=False)
    counts = made.history.counts
    assert all(counts[status] for status in (Status.PAUSED, Status.COMPLETED, Status.DIVERGED, Status.FAILED))
    return made


@pytest.fixture(scope="module")
def text(study: tw.Study) -> str:
    return report(study.history)


COLOURS = """
    const style = (selector) => getComputedStyle(document.querySelector(selector));
    return {
        ready: document.documentElement.dataset.ready,
        ground: style("body").backgroundColor, ink: style("body").color,
        soft: style(".facts dt").color, code: style(".code pre").backgroundColor,
        badges: [...document.querySelectorAll(".chips .badge")].map((one) => getComputedStyle(one).color),
        marks: document.querySelectorAll("svg .marks use").length,
    };
"""


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_it_runs_and_can_be_read(text: str, study: tw.Study, tmp_path: Path, scheme: str) -> None:
    shot = tmp_path / "shot.png"
    seen = ask(text, COLOURS, tmp_path, scheme, f"--screenshot={shot}", "--window-size=700,1100")
    assert seen["ready"] == "yes"
    assert contrast(seen["ink"], seen["ground"]) > 12
    assert contrast(seen["ink"], seen["code"]) > 10
    assert min(contrast(colour, seen["ground"]) for colour in [seen["soft"], *seen["badges"]]) > 4.5
    assert seen["marks"] >= 2 * len(study.trials) - 2  # each trial in the history, all but the failed among the curves

    pixels = picture(shot)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    ground = [int(x) for x in re.findall(r"\d+", seen["ground"])[:3]]
    assert colours[counts.argmax()].tolist() == ground
    assert len(colours) > 200
    painted = (np.abs(pixels.astype(int) - ground).max(axis=2) > 60).mean(axis=1) > 0
    assert painted[:550].mean() > 0.3  # text above, charts below: no half of the picture is empty
    assert painted[550:].mean() > 0.3


STICKING_OUT = """
    const out = [...document.querySelectorAll("main *, footer *")].filter((one) =>
        !one.closest(".scroll, nav, .symbols, pre, .hidden") && one.getBoundingClientRect().right > innerWidth + 1);
    return {
        inner: innerWidth, scroll: document.documentElement.scrollWidth, title: document.title,
        out: out.slice(0, 5).map((one) => one.outerHTML.slice(0, 120)),
        narrowest: Math.min(...[...document.querySelectorAll(".plot .frame")].map((one) => one.clientWidth)),
    };
"""


@pytest.mark.parametrize("width", [400, 800])
def test_nothing_sticks_out_of_a_narrow_window(text: str, tmp_path: Path, width: int) -> None:
    seen = ask(text, STICKING_OUT, tmp_path, width=width)
    assert seen["inner"] == width
    assert seen["out"] == []
    assert seen["scroll"] <= width
    assert seen["narrowest"] > 200


def test_hostile_and_long_words_do_not_widen_the_page(tmp_path: Path) -> None:
    long = "x" * 300
    history = tw.Study(
        tw.Space({long: tw.Choice([long, "<script>document.title='hacked'</script>"])}),
        metric=f"m{long}",
        name=long,
        directory=tmp_path / "files",
        seed=0,
        scheduler="fifo",
        sampler="random",
    )

    def train(trial: tw.Trial) -> dict[str, float]:
        if trial.number == 1:
            raise ValueError(f"{long}</pre><script>document.title='hacked'</script>")
        return {f"m{long}": 1.0 + trial.number}

    history.run(train, trials=4, executor="inline", progress=False)
    history.note(long)
    seen = ask(report(history.history), STICKING_OUT, tmp_path, width=400)
    assert seen["title"].endswith("Tunewell report")
    assert seen["out"] == []
    assert seen["scroll"] <= 400


def test_the_pointer_sorts_filters_hides_points_and_switches(text: str, study: tw.Study, tmp_path: Path) -> None:
    seen = ask(
        text,
        """
        const $ = (selector) => document.querySelector(selector);
        const table = $("table.trials"), first = () => Number(table.tBodies[0].rows[0].cells[0].textContent);
        const answer = { best: first() };
        const heads = [...table.tHead.rows[0].cells];
        heads[0].click(); answer.ascending = first();
        heads[0].click(); answer.descending = first(); answer.sort = heads[0].getAttribute("aria-sort");
        const values = heads.findIndex((one) => one.textContent.startsWith("val_loss"));
        heads[values].click(); answer.byValue = first();
        const field = $(".tools input");
        field.value = "failed labels"; field.oninput();
        answer.kept = [...table.tBodies[0].rows].filter((row) => !row.hidden).length;

        const switched = $('#history .legend [data-status="paused"]');
        switched.click(); answer.hidden = $('#history svg .st-paused').getBoundingClientRect().width;
        switched.click(); answer.shown = $('#history svg .st-paused').getBoundingClientRect().width;

        const mark = $('#history svg .st-completed use').getBoundingClientRect();
        const event = { clientX: mark.x + mark.width / 2, clientY: mark.y + mark.height / 2, bubbles: true };
        $("#history .plot").dispatchEvent(new PointerEvent("pointermove", event));
        answer.tip = $(".tip").textContent; answer.tipHidden = $(".tip").hidden;
        answer.rings = document.querySelectorAll(".hot-ring").length;
        answer.threads = document.querySelectorAll("#parallel .line.hot").length;
        $("#history .plot").dispatchEvent(new PointerEvent("pointerleave"));
        answer.after = [$(".tip").hidden, document.querySelectorAll(".hot-ring, .hot").length];

        answer.themes = [];
        for (let k = 0; k < 3; k++) {
            $(".theme").click();
            const theme = document.documentElement.dataset.theme ?? "auto";
            answer.themes.push([theme, getComputedStyle(document.body).color]);
        }
        answer.copy = document.querySelectorAll(".code button").length;
        return answer;
        """,
        tmp_path,
        LIGHT,
    )
    assert seen["best"] == seen["byValue"] == study.best.number
    assert (seen["ascending"], seen["descending"], seen["sort"]) == (0, len(study.trials) - 1, "descending")
    assert seen["kept"] == 2
    assert (seen["hidden"], seen["shown"] > 0) == (0, True)
    completed = next(trial for trial in study.trials if trial.status == "completed")
    assert seen["tip"].startswith(f"Trial {completed.number}, completed")
    assert "learning_rate" in seen["tip"]
    assert not seen["tipHidden"]
    assert seen["rings"] >= 2 + len(completed.params)
    assert seen["threads"] == 1
    assert seen["after"] == [True, 0]
    (light, ink), (dark, pale), (auto, again) = seen["themes"]
    assert (light, dark, auto) == ("light", "dark", "auto")
    assert ink == again != pale
    assert seen["copy"] == 2


def test_without_scripts_everything_is_still_there(text: str, tmp_path: Path) -> None:
    page = tmp_path / "silent.html"
    page.write_text(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    shot = tmp_path / "shot.png"
    dom, _ = browse(page, LIGHT, f"--screenshot={shot}", "--window-size=500,500", "--dump-dom")
    assert len(np.unique(picture(shot).reshape(-1, 3), axis=0)) > 100
    assert "data-ready" not in dom
    assert dom.count("<figure") == text.count("<figure")
