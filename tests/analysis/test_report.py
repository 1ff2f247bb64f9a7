"""The report as text: well-formed, self-contained, safe, honest about what it leaves out."""

from __future__ import annotations

import html
import json
import math
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunewell as tw
from tunewell.analysis import report as report_module
from tunewell.analysis.axes import metric_axis, number_axis, parameter_axis
from tunewell.analysis.charts import BANDS, shades_of
from tunewell.analysis.digest import Digest
from tunewell.analysis.figures import improvements, step_bands
from tunewell.analysis.report import report, summary, write_report
from tunewell.analysis.tables import python_dict
from tunewell.analysis.timeline import busy_words, clock_of, lanes_of, peak_workers
from tunewell.analysis.words import clean, duration, moment, percent, short, span, told_apart
from tunewell.console.summary import summary as console_summary
from tunewell.events import (
    Adjusted,
    Ended,
    Event,
    Goal,
    Noted,
    Paused,
    Reported,
    SpaceChanged,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.space import Choice, Float, Int, Space
from tunewell.surrogate.tiering import FIRST

LOSS = (Goal("val_loss"),)
SPACE = Space(
    learning_rate=Float(1e-5, 1.0, scale="log", default=1e-3),
    momentum=Float(0.5, 0.9999, scale="reverse_log"),
    dropout=Float(0.001, 0.999, scale="logit"),
    width=Int(16, 1024, scale="log"),
    layers=Int(1, 4),
    optimizer=Choice(["sgd", "adam"]),
    nesterov=Choice([False, True], when={"optimizer": "sgd"}),
)
SECTIONS = ["best", "history", "curves", "diagnosis", "slices", "parallel", "workers", "trials", "reproduce"]


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in order, every identifier is there once."""

    VOID = frozenset({"meta", "br", "input", "link", "img", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        self.ids = set(ids)
        for tag, attributes in self.tags:
            target = attributes.get("href", "#")
            assert target[0] == "#", (tag, target)
            assert target == "#" or target[1:] in self.ids, (tag, target)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [a for t, a in self.tags if t == tag and kind in ["", *a.get("class", "").split()]]


def events(
    n: int,
    *,
    space: Space = SPACE,
    goals: tuple[Goal, ...] = LOSS,
    steps: int = 9,
    value: Callable[[int, int], float] = lambda trial, step: (1 + trial % 7) / step,
    end: Callable[[int], Ended] | None = None,
    workers: int = 2,
) -> list[Event]:
    """Return a study of ``n`` trials, of which every third trains to the end."""
    rng = np.random.default_rng(0)
    found: list[Event] = [StudyCreated(1.7e9, "digits", space, goals, {"sampler": {"name": "sobol"}}, 3)]
    clock = [1.7e9] * workers
    for k in range(n):
        worker = clock.index(min(clock))
        now = clock[worker]
        config = space.default() if k == 0 else space.sample(rng)
        origin = "default" if k == 0 else "sampler"
        found.append(TrialStarted(now, k, config, k, origin, driver="box/boot/42/7/1", worker=worker))
        last = steps if k % 3 == 0 else max(1, steps // 3)
        for step in range(1, last + 1):
            now += 1.0
            metrics = {g.metric: (value(k, step) if i == 0 else 10.0 / value(k, step)) for i, g in enumerate(goals)}
            found.append(Reported(now, k, step, metrics))
        ended = Ended(now, k, Status.STOPPED, f"place 3 of 4 at rung {last}")
        if end is not None:
            ended = end(k)
        elif last == steps:
            ended = Ended(now, k, Status.COMPLETED)
        found.append(Ended(now, k, ended.status, ended.reason, ended.metrics, ended.error))
        clock[worker] = now
    return sorted(found, key=lambda event: event.time)


def page_of(history: Iterable[Event]) -> Page:
    return Page(report(History(history)))


def test_parses_stands_alone_and_has_every_section_in_order() -> None:
    text = report(History(events(30)))
    page = Page(text)
    assert [a["id"] for a in page.all("section")] == SECTIONS
    assert not re.search(r"https?://|//[a-z]|@import|url\(|<link|<img|<iframe| src=", text)
    assert "default-src 'none'" in text
    assert [a.get("type", "") for a in page.all("script")] == ["application/json", ""]
    assert all("aria-label" in a for a in page.all("svg", "frame"))
    assert text == report(History(events(30)))
    assert not re.search(r'(?:d|x|y|x1|y1)="[^"]*(?:nan|inf)', text)


def test_the_summary_and_the_best_configuration() -> None:
    history = History(events(30))
    digest = Digest.of(history)
    assert summary(digest) == (
        "Best val_loss 0.1111 by trial 0 after 9 steps; 30 trials, 150 steps, 1 min 15 s on 2 workers."
    )
    page = page_of(events(30))
    assert history.best is digest.best
    assert digest.best is not None
    assert python_dict(digest.best.params) in "".join(page.words)
    assert "no trial beat it" in page.text  # trial 0 is as good, and older


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3).map(tuple),
        ),
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None)
def test_the_copied_configuration_is_exact(params: dict[str, Any]) -> None:
    assert eval(python_dict(params), {}) == params


def test_the_distance_to_the_default() -> None:
    page = page_of(events(30, value=lambda trial, step: (2.0 if trial == 0 else 0.5 + trial % 5) / step))
    assert "val_loss is 4 times lower than with the default configuration." in page.text
    cut = [e for e in events(30) if not (isinstance(e, Reported) and e.trial == 0 and e.step > 3)]
    page = page_of(cut)
    assert "Both at step 3:" in page.text
    sampled = [_sampled(e) for e in events(5)]
    usual = [replace(e, reason=FIRST) if isinstance(e, TrialStarted) and e.trial == 0 else e for e in sampled]
    assert "was not tried" not in page_of(usual).text
    failed = page_of(events(6, end=lambda k: Ended(0, k, Status.FAILED if k == 0 else Status.COMPLETED)))
    assert "The default configuration gave no value to compare with: it failed." in failed.text


def told_text(values: list[tuple[float, float]], **about: Any) -> str:
    """Return the report's text of a study whose first trial is the default one: ``[(x, value), ...]``."""
    study = tw.Study(Space(x=Float(0.0, 1.0, default=0.5)), **({"metric": "loss", "seed": 0} | about))
    for place, (x, value) in enumerate(values):
        if place:
            study.enqueue({"x": x})
        trial = study.ask()
        study.tell(trial, value)
    return page_of(study.events).text


def test_against_the_default_only_what_repeats_do_not_explain_is_a_gain() -> None:
    repeats = [(0.5, 0.3), (0.2, 0.28), (0.2, 0.34), (0.5, 0.36), (0.2, 0.26)]
    said = told_text(repeats)
    assert "No clear difference: loss is 0.2933 against 0.33 with the default configuration" in said
    assert "by the means of 3 and 2 trials, but repeats of one configuration differ by 0.042" in said
    clear = told_text([(x, value if x == 0.5 else 0.5 * value) for x, value in repeats])
    assert "loss is 2.2 times lower than with the default configuration, by the means of 3 and 2 trials; rep" in clear
    assert "The default configuration itself, trial 2, is the best so far" in told_text(
        [(0.5, 0.3), (0.2, 0.9), (0.5, 0.2)]
    )


@pytest.mark.parametrize("others", [0, 1])
def test_a_default_that_was_changed_by_hand_is_compared_with_a_plain_one(others: int) -> None:
    study = tw.Study(Space(x=Float(0.0, 1.0, default=0.5)), metric="loss", scheduler="fifo", seed=0)
    for _ in range(others):
        study.enqueue({"x": 0.5})

    def train(trial: tw.Trial) -> None:
        for step in trial.steps(4):
            if trial.number == others and step == 2:
                study.adjust(others, {"x": 0.1}, reason="too high")
            trial.report(loss=trial.params["x"])

    study.run(train, trials=1 + others, executor="inline", progress=False)
    said = page_of(study.events).text
    assert study.best.number == others
    assert ("loss is 5 times lower than with the default configuration" in said) == (others == 1)
    assert ("Trial 0 began with the default configuration and was changed on the way" in said) == (others == 0)
    assert "no trial beat it" not in said


@pytest.mark.parametrize(
    ("mode", "old", "new", "words"),
    [
        ("max", -10.0, -2.0, "loss is 8 higher than"),
        ("min", -1.0, -5.0, "loss is 4 lower than"),
        ("min", 1.0, -1.0, "loss is 2 lower than"),
        ("max", 1.0, 3.0, "loss is 3 times higher than"),
        ("min", 1.0, 0.9, "loss is 10 % lower than"),
    ],
)
def test_the_distance_to_the_default_has_a_direction(mode: str, old: float, new: float, words: str) -> None:
    assert f"{words} with the default configuration." in told_text([(0.5, old), (0.2, new)], mode=mode)


def test_a_default_that_breaks_a_constraint_is_said_to() -> None:
    study = tw.Study(Space(x=Float(0.0, 1.0, default=0.5)), metric="loss", constraints=["size <= 10"], seed=0)
    for size in (20, 5, 5):
        study.tell(study.ask(), {"loss": 1.0 / size, "size": size})
    assert "The default breaks a constraint: size 20, 10 too much." in page_of(study.events).text


def _sampled(event: Event) -> Event:
    if isinstance(event, TrialStarted):
        return TrialStarted(event.time, event.trial, event.config, event.seed, driver="d", worker=0)
    return event


HOSTILE = (
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\x00\x1b[31mred\x1b[0m\ud800\u202e<!--"
)


def test_foreign_text_cannot_act() -> None:
    chosen = HOSTILE.replace("\ud800", "")  # choices are of whole characters
    space = Space({f"{chosen}p": Choice([chosen, "b"]), "x": Float(0, 1, note=HOSTILE)})
    found: list[Event] = [StudyCreated(0.0, HOSTILE, space, (Goal(HOSTILE),), {"sampler": {"name": HOSTILE}}, 0)]
    for k in range(6):
        found.append(TrialStarted(k, k, {f"{chosen}p": chosen, "x": 0.1 * k}, k, driver=HOSTILE, reason=HOSTILE))
        found.append(Reported(k + 0.5, k, 1, {HOSTILE: float(k + 1), f"{HOSTILE}2": 1.0}))
        status = Status.FAILED if k % 2 else Status.COMPLETED
        found.append(Ended(k + 0.9, k, status, HOSTILE, error=f"Traceback\n{HOSTILE}{k}" if k % 2 else ""))
    found.append(Noted(9.0, HOSTILE, 2))
    text = report(History(found, files=Path(HOSTILE.replace("\x00", ""))))
    text.encode("utf-8")
    page = Page(text)
    assert len(page.all("script")) == 2
    assert not page.all("img")
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert "\x00" not in text
    assert "\x1b" not in text
    start = text.index('id="tips">') + len('id="tips">')
    tips = json.loads(text[start : text.index("</script>", start)])
    assert tips["1"][1] == "failed"
    assert clean(HOSTILE).splitlines()[0][:20] in page.text


# --- studies out of the ordinary --------------------------------------------------------------------------------------


def _running(n: int, value: float | None) -> list[Event]:
    found: list[Event] = [StudyCreated(0.0, "s", SPACE, LOSS, {}, 0)]
    for k in range(n):
        found.append(TrialStarted(1.0, k, SPACE.sample(np.random.default_rng(k)), k, driver="d", worker=k))
        if value is not None:
            found.append(Reported(2.0 + k, k, 1, {"val_loss": value + k}))
    return found


def _ends(status: Status, value: float) -> list[Event]:
    return events(9, value=lambda trial, step: value, end=lambda k: Ended(0, k, status, status.value))


POINT = Space(a=Float(0.5, 0.5), b=Int(3, 3), c=Choice(["only"]), d=Float(1e-3, 1e-3, scale="log"))
LONG = Space(a=Choice([f"{'a very long choice ' * 12}{k}" for k in range(40)]), b=Choice([(1, 2), None, True, 1.5]))
OTHER = Space(learning_rate=Float(0.5, 0.9), depth=Int(1, 100), optimizer=Choice(["lion"]))

ODD: dict[str, tuple[Callable[[], list[Event]], str]] = {
    "no events": (list, "No trial has started yet."),
    "no trials": (lambda: events(0), "No trial has started yet."),
    "running without values": (lambda: _running(3, None), "No trial has ended with a value yet, 3 trials running"),
    "running with values": (lambda: _running(3, 0.5), "Of those running, trial 0 leads with val_loss 0.5 at step 1"),
    "all failed": (lambda: _ends(Status.FAILED, math.nan), "No trial ended with a value"),
    "all diverged": (lambda: _ends(Status.DIVERGED, math.nan), "No trial ended with a value"),
    "all lost": (lambda: _ends(Status.LOST, 1.0), "9 lost"),
    "infinite": (lambda: events(9, value=lambda t, s: math.inf if t % 2 else -math.inf), "No trial ended with a value"),
    "partly nan": (lambda: events(20, value=lambda t, s: math.nan if (t + s) % 3 else 1.0 / s), "Best val_loss"),
    "enormous": (lambda: events(20, value=lambda t, s: (-1.0) ** t * 1.7e308), "Best val_loss"),
    "one absurd": (lambda: events(20, value=lambda t, s: 1e300 if t == 5 else 1.0 + t), "Best val_loss 1"),
    "negative": (lambda: events(20, value=lambda t, s: -float(t * s)), "Best val_loss"),
    "constant": (lambda: events(20, value=lambda t, s: 0.25), "Best val_loss 0.25"),
    "zero": (lambda: events(20, value=lambda t, s: 0.0), "Best val_loss 0 by trial 0"),
    "one trial": (lambda: events(1), "1 trial, 9 steps"),
    "one step": (lambda: events(20, steps=1), "after 1 step;"),
    "one point": (lambda: events(9, space=POINT), "Best val_loss"),
    "empty space": (lambda: events(4, space=Space()), "Best val_loss"),
    "long choices": (lambda: events(60, space=LONG), "Best val_loss"),
    "maximised": (lambda: events(20, goals=(Goal("acc", "max"),)), "Best acc"),
    "changed space": (lambda: [*events(20), SpaceChanged(2e9, OTHER, "narrower")], "Best val_loss"),
    "adjusted": (lambda: [*events(9), Adjusted(2e9, 1, 1, {"learning_rate": 0.1}, "person")], "Best val_loss"),
    "two goals": (lambda: events(20, goals=(Goal("a"), Goal("b", "max"))), "on the Pareto front of a and b"),
    "five goals": (lambda: events(20, goals=tuple(Goal(x) for x in "abcde")), "of a, b, c, d and e"),
    "two goals, all failed": (
        lambda: [*events(0, goals=(Goal("a"), Goal("b"))), *_ends(Status.FAILED, math.nan)[1:]],
        "No trial ended with a value",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_studies_have_a_report(name: str) -> None:
    make, sentence = ODD[name]
    text = report(History(make()))
    assert sentence in Page(text).text.replace("\N{NO-BREAK SPACE}", " ")
    assert not re.search(r'(?:d|x|y|x1|y1|cx)="[^"]*(?:nan|inf)', text)


def test_steps_without_the_metric_are_left_out_of_the_curve() -> None:
    found = [
        Reported(e.time, e.trial, e.step, {"lr": 0.1}) if isinstance(e, Reported) and e.step % 2 == 0 else e
        for e in events(9)
    ]
    page = page_of(found)
    longest = max(page.all("path", "curve"), key=lambda a: len(a["d"]))
    assert longest["d"].count("M") + longest["d"].count("L") == 5


def test_a_value_without_place_stands_on_the_rail_at_the_worse_end() -> None:
    def nan(t: int, s: int) -> float:
        return math.nan if t == 4 else 1.0 + t

    for mode, kind in (("min", "rail-high"), ("max", "rail-low")):
        page = page_of(events(9, value=nan, goals=(Goal("m", mode),)))  # type: ignore[arg-type]
        assert kind in page.all("figure")[0]["class"]


def told(*values: Any, metric: Any = "loss") -> Page:
    """Return the report of a study that was told these values, one a trial."""
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), metric=metric, sampler="random", seed=0)
    for value in values:
        study.tell(study.ask(), value)
    return Page(report(study.history))


def numbers_of(found: list[dict[str, str]]) -> set[int]:
    return {int(n) for attributes in found for n in attributes["data-n"].split()}


def test_the_worst_trials_stand_on_the_rail_of_every_slice_and_are_called_off_scale() -> None:
    good = [0.1 + 0.001 * k for k in range(38)]
    page = told(*good, 103.0, 123.0)
    (chart,) = page.all("figure", "slice")
    assert "rail-high" in chart["class"]
    assert numbers_of(page.all("path", "dots")) == set(range(38))
    assert page.text.count("off scale") == 2  # in the history of the best, too
    assert "no value" not in page.text
    assert "no value" in told(*good, math.nan).text
    assert "no place" in told(*good, 103.0, math.nan).text


@pytest.mark.parametrize("unit", [5e-324, 1e-310, 1e-305])
def test_losses_that_hardly_differ_from_zero_are_drawn(unit: float) -> None:
    for values in ([unit * k for k in (3, 0, 7, 9)], [unit * k for k in (3, 1, 7, 9)]):
        assert numbers_of(told(*values).all("path", "dots")) == {0, 1, 2, 3}


def test_every_member_of_a_front_has_its_place_and_who_has_none_is_counted() -> None:
    front = [(0.10 + 0.01 * k, 100.0 - 5.0 * k) for k in range(12)] + [(0.9, 1.0)]
    beaten = [(0.3, 200.0 + k) for k in range(10)] + [(0.3, 1e6)]
    page = told(*({"error": e, "latency": s} for e, s in front + beaten), metric=["error", "latency"])
    assert numbers_of([a for a in page.all("path", "dots") if "winner" in a["class"]]) == set(range(13))
    assert "1 trial far off the scale, not drawn" in page.text


def test_inactive_parameters_are_counted_and_interrupt_their_lines() -> None:
    history = History(events(40))
    inactive = sum("nesterov" not in trial.params for trial in history.trials)
    page = page_of(events(40))
    assert f"inactive in {inactive} trials, not drawn" in page.text
    threads = [a["d"].count("M") for a in page.all("path", "thread")]
    assert threads.count(2) == inactive
    assert threads.count(1) == 40 - inactive


def test_two_goals_have_a_front_instead_of_a_best() -> None:
    page = page_of(events(20, goals=(Goal("loss"), Goal("size"))))
    assert {"goals", "best"} <= page.ids
    assert page.all("path", "front")
    rows = [a for a in page.all("tr") if "data-source" in a]
    assert len(rows) == len(Digest.of(History(events(20, goals=(Goal("loss"), Goal("size"))))).front)
    assert set(eval(rows[0]["data-source"], {})) <= set(SPACE)


# --- size -------------------------------------------------------------------------------------------------------------


def test_ten_thousand_trials_are_light_and_say_what_is_missing() -> None:
    history = History(
        events(
            10_000,
            steps=20,
            workers=8,
            end=lambda k: (
                Ended(0, k, Status.FAILED, f"boom {k}", error=f"Traceback\n{k}\n" + "x" * 900)
                if k % 20 == 1
                else Ended(0, k, Status.COMPLETED)
            ),
        )
    )
    text = report(history)
    assert len(text.encode()) < 5_000_000
    page = Page(text)
    assert "Charts draw 1,500 of the 10,000 trials" in page.text
    assert "400 of 10,000 curves" in page.text
    assert "1,500 of 10,000 trials are listed: the 1,000 best and all others that failed" in page.text
    assert len([a for a in page.all("tr") if "id" in a]) == 1500
    assert max(len(a["data-n"].split()) for a in page.all("path", "dots")) <= 800


def test_two_hundred_parameters_show_those_that_matter() -> None:
    space = Space({f"p{k:03d}": Float(0.0, 1.0) for k in range(200)})
    found = events(400, space=space, steps=1)
    values = {e.trial: e.config["p137"] for e in found if isinstance(e, TrialStarted)}
    found = [
        Reported(e.time, e.trial, 1, {"val_loss": values[e.trial]}) if isinstance(e, Reported) else e for e in found
    ]
    page = page_of(found)
    assert len(page.all("figure", "slice")) == 24
    assert "24 of 200 parameters are shown" in page.text
    assert "24 of 200 parameters are listed" in page.text
    assert "p137" in Digest.of(History(found)).shown_parameters


def test_a_traceback_is_written_once_and_kept_short() -> None:
    error = "Traceback (most recent call last):\n" + "  frame\n" * 4000 + "ValueError: the cause"
    page = page_of(events(12, end=lambda k: Ended(0, k, Status.FAILED, "ValueError: the cause", error=error)))
    assert page.text.count("Traceback (most recent call last)") == 1
    assert page.text.count("The same traceback as trial") == 11
    assert "characters left out" in page.text
    assert "output.log" in page.text


# --- the pieces -------------------------------------------------------------------------------------------------------


def test_axes_follow_the_scales_of_the_space() -> None:
    momentum = parameter_axis("momentum", Float(0.9, 0.9999, scale="reverse_log"), [0.95])
    assert [text for _, text in momentum.ticks] == ["0.9", "0.99", "0.999", "0.9999"]
    rate = parameter_axis("lr", Float(1e-4, 1.0, scale="log"), [])
    assert [text for _, text in rate.ticks] == ["1e-4", "0.001", "0.01", "0.1", "1"]
    gaps = np.diff([place for place, _ in rate.ticks])
    assert np.allclose(gaps, gaps[0])
    assert np.isnan(rate.places_of([0.0, -1.0, "x", None, True])).all()
    kinds = parameter_axis("k", Choice(["a", "b", None, True]), ["c"])
    assert kinds.columns == 5
    assert kinds.places_of(["a", "c", "?"])[:2].tolist() == [0.1, 0.9]


def test_a_metric_is_logarithmic_only_where_that_helps() -> None:
    wide, narrow = np.array([0.01, 0.02, 5.0]), np.array([0.4, 0.5, 5.0])
    assert metric_axis("m", wide, worst_is_high=True).scale == "log scale"
    assert metric_axis("m", narrow, worst_is_high=True).scale == ""
    assert metric_axis("m", np.array([-1.0, 1.0, 100.0]), worst_is_high=True).scale == ""


def test_a_hopeless_value_does_not_stretch_the_axis() -> None:
    values = np.array([*np.linspace(0.4, 1.0, 19), 90.0])
    axis = metric_axis("m", values, worst_is_high=True)
    assert np.isnan(axis.places_of([90.0]))[0]
    assert axis.places_of([1.0])[0] > 0.9
    assert not np.isnan(metric_axis("m", values, worst_is_high=False).places_of([90.0]))[0]


@pytest.mark.parametrize("scale", ["linear", "log", "reverse_log", "logit"])
@given(st.floats(1e-6, 0.99), st.floats(1e-6, 0.99))
@settings(max_examples=60, deadline=None)
def test_every_axis_has_a_tick_within_its_ends(scale: str, a: float, b: float) -> None:
    low, high = sorted((a, b))
    axis = number_axis("x", low, high, scale, pad=0.03)
    assert axis.ticks
    assert all(0.0 <= place <= 1.0 and text for place, text in axis.ticks)
    assert len(axis.ticks) <= 9
    places = axis.places_of([low, high])
    assert not np.isnan(places).any()


def test_the_best_so_far_only_falls() -> None:
    history = History(events(30, value=lambda t, s: [5.0, 7.0, 3.0, 3.0, 4.0, 1.0][t % 6]))
    assert improvements(Digest.of(history), 0) == ([0, 2, 5], [5.0, 3.0, 1.0])


def test_bands_of_steps() -> None:
    assert step_bands([1, 3, 9, 3]) == ([0, 1, 2, 1], ["1", "3", "9"])
    bands, labels = step_bands(list(range(1, 101)))
    assert len(labels) <= BANDS - 1
    assert labels[0].startswith("1 to ")
    assert labels[-1].endswith(" to 100")
    assert bands == sorted(bands)
    assert [shades_of(n)[-1] for n in range(1, BANDS + 1)] == [BANDS - 1] * BANDS


def test_workers_are_busy_outside_idle_time() -> None:
    driver = "box/boot/42/7/1"
    config = SPACE.default()
    found: list[Event] = [
        StudyCreated(0.0, "s", SPACE, LOSS, {}, 0),
        TrialStarted(10.0, 0, config, 0, driver=driver, worker=0),
        TrialStarted(10.0, 1, config, 0, driver=driver, worker=1),
        Reported(15.0, 1, 1, {"val_loss": 1.0}),
        Paused(15.0, 1, 1, "waits"),
        Ended(20.0, 0, Status.FAILED, "boom"),
        TrialResumed(10_000.0, 1, 0, driver=driver, worker=0),
        Ended(10_010.0, 1, Status.COMPLETED, metrics={"val_loss": 0.5}),
    ]
    digest = Digest.of(History(found))
    lanes = lanes_of(digest)
    clock = clock_of(lanes)
    assert clock is not None
    assert peak_workers(lanes) == 2
    assert [lane.busy for lane in lanes] == [20.0, 5.0]
    assert clock.begins == (10.0, 10_000.0)
    assert 0.4 < clock.place(20.0) < clock.place(10_000.0) < 0.6
    assert busy_words(digest) == (
        "2 workers trained for 25 s in all, within 20 s: busy 62 % of that on average, the least busy (worker 1) 25 %."
    )
    assert "idle 2 h 46 min" in page_of(found).text


def test_trials_asked_for_by_hand_overlap_in_lanes_of_their_own() -> None:
    found: list[Event] = [StudyCreated(0.0, "s", SPACE, LOSS, {}, 0)]
    found += [TrialStarted(1.0 + k, k, SPACE.default(), 0) for k in range(3)]
    found += [Ended(10.0 + k, k, Status.COMPLETED, metrics={"val_loss": 1.0}) for k in range(3)]
    assert len(lanes_of(Digest.of(History(found)))) == 3
    assert "asked by hand" in page_of(found).text


def test_words() -> None:
    assert [short(x) for x in (0.031249, -2.0, 1e-7, math.nan, -math.inf)] == ["0.03125", "−2", "1e-7", "NaN", "−∞"]
    assert [duration(x) for x in (0.0, 59.6, 3601.0, 86_400.0 * 3, math.nan)] == ["0 s", "1 min", "1 h", "3 d", "0 s"]
    assert [percent(x) for x in (0.0, 0.001, 0.5, 0.999, 1.0)] == ["0 %", "under 1 %", "50 %", "over 99 %", "100 %"]
    assert moment(5.0) == ""  # a virtual clock has no date
    assert span(1.7e9, 1.7e9 + 120) == "2023-11-14 22:13 to 22:15 UTC"
    assert len(set(told_apart([f"the same beginning {k}" for k in range(9)], 9))) == 9


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(History(events(3)), tmp_path / "new" / "report.html")
    old = path.read_text(encoding="utf-8")
    assert Page(old)

    def fail(history: History) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(report_module, "report", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(History(events(4)), path)
    assert path.read_text(encoding="utf-8") == old
    assert list(path.parent.iterdir()) == [path]


# --- colours ----------------------------------------------------------------------------------------------------------


def _luminance(colour: str) -> float:
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255.0
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _colours() -> dict[str, tuple[str, str]]:
    css = Path(report_module.__file__).with_name("report.css").read_text(encoding="utf-8")
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_and_marks_can_be_seen(scheme: int) -> None:
    colours = _colours()
    surface = colours["surface"][scheme]
    words = ["ink", "soft", "link", *(s.value.replace("_", "-") for s in Status)]  # a status colours its word as well
    assert {w: c for w in words if (c := _contrast(colours[w][scheme], surface)) < 4.5} == {}
    assert _contrast(colours["soft"][scheme], colours["raised"][scheme]) > 4.5
    assert min(_contrast(colours[w][scheme], surface) for w in ("best", "winner", "q3", "q4", "q5")) > 3.0
    ramp = [_contrast(colours[f"q{k}"][scheme], surface) for k in range(BANDS)]
    assert ramp == sorted(ramp)


def test_under_noise_the_page_says_that_the_lowest_loss_is_not_the_best_one() -> None:
    """A configuration repeated with other losses is proof of noise; then the best is best by what is expected."""
    rng = np.random.default_rng(0)
    space = Space(x=Float(0.0, 1.0))
    study = tw.Study(space, seed=1)
    for x in [*np.linspace(0.05, 0.95, 10), 0.35, 0.35, 0.35]:
        study.enqueue({"x": float(x)})
    study.run(
        lambda trial: (trial.params["x"] - 0.35) ** 2 + 0.3 * float(rng.standard_normal()),
        trials=13,
        executor="inline",
        progress=False,
    )
    lowest = study.history.best
    assert study.best is not None
    assert lowest is not None
    assert study.best.value != lowest.value
    text = report(study.history)
    assert f"Trial {lowest.number} came to" in text
    assert "It is the best of" not in text
    assert "after the one with the best value" in text or "The newest trial is the one with the best value" in text
    assert Digest.of(study.history).ranking[0] == study.best.number
    said = console_summary(study.history, None, "13 trials are done")
    assert any(f"expected to be better than trial {lowest.number}" in line for line in said)


def test_a_page_that_cannot_be_written_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    history = History(events(3))
    with pytest.raises(IsADirectoryError, match="got a folder: add a file's name"):
        write_report(history, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as refused:
        write_report(history, tmp_path / "file" / "report.html")
    assert str(tmp_path / "file") in str(refused.value)
    assert ".report.html" not in str(refused.value)


def test_the_command_that_replays_can_be_copied() -> None:
    study = tw.Study(Space(x=Float(0.0, 1.0)), seed=0, name="it's a ü name " + "n" * 80)
    command = "tunewell replay " + shlex.quote(study.name)
    assert html.escape(command, quote=False) in html.unescape(report(study.history)).replace("\N{NO-BREAK SPACE}", " ")
