"""The demo: a small convolutional network on handwritten digits, tuned, then checked on images nobody has looked at.

Everything in it is meant to be copied: a search space with every hyperparameter on its own scale, an objective that
saves all it needs to go on exactly where it was, and a final comparison that can also come out against the search.

The images are the 1797 of scikit-learn's ``load_digits``, 8 x 8 pixels each, cut once into three equal, stratified
parts. The search trains on the first and measures on the second; the third is not even sent to its workers.
"""

from __future__ import annotations

import math
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from tunewell.events import Ended, Event
from tunewell.history import History, TrialRecord
from tunewell.protocols import Executor
from tunewell.schedulers.asha import Asha
from tunewell.space import Choice, Float, Int, Space
from tunewell.study import Study
from tunewell.study import open as open_study
from tunewell.trial import Trial

try:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import Tensor, nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    _MISSING = str(error.name)
else:
    _MISSING = ""

SPACE = Space(
    learning_rate=Float(1e-4, 1e-1, scale="log", default=1e-3, tier=1, note="of AdamW; falls to 0 along a cosine"),
    momentum=Float(0.8, 0.99, scale="reverse_log", default=0.9, tier=2, note="AdamW's β1; averages 1/(1-β1) gradients"),
    batch_size=Choice([16, 32, 64, 128, 256], ordered=True, default=64, tier=2),
    channels=Int(8, 64, scale="log", default=16, tier=2, note="of the first layer; the other two have twice as many"),
    dropout=Float(0.0, 0.6, default=0.2, tier=3, note="before the last layer"),
    weight_decay=Float(1e-5, 1e-1, scale="log", default=1e-2, tier=3, note="1e-2 is PyTorch's own default"),
    shift=Float(0.0, 1.0, default=0.2, tier=3, note="share of the training images moved by a pixel"),
)


@dataclass(frozen=True)
class Plan:
    """How large the demo is; the tests run a tiny one."""

    trials: int = 120
    epochs: int = 27
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    executor: Literal["processes", "inline"] | Executor = "processes"


# --- the images -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part of the images: pixels from 0 to 1, shape ``(n, 1, 8, 8)``, and labels from 0 to 9, shape ``(n,)``."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def three_parts() -> tuple[list[int], list[int], list[int]]:
    """Return which images are for training, validation and test: a third each, every digit alike in all three."""
    labels = load_digits().target
    rest, test = train_test_split(np.arange(len(labels)), test_size=1 / 3, stratify=labels, random_state=0)
    training, validation = train_test_split(rest, test_size=1 / 2, stratify=labels[rest], random_state=0)
    return training.tolist(), validation.tolist(), test.tolist()


def load_part(indices: Sequence[int]) -> Part:
    """Return the images with these indices."""
    digits = load_digits()
    pixels = torch.tensor(digits.images[indices] / 16.0, dtype=torch.float32)
    return Part(pixels[:, None], torch.tensor(digits.target[indices]))


# --- the network ------------------------------------------------------------------------------------------------------


def build(channels: int, dropout: float) -> nn.Sequential:
    """Return the network: three convolutions with batch norm (which makes their biases useless), one linear layer."""

    def layer(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *layer(1, channels),
        *layer(channels, 2 * channels),
        nn.MaxPool2d(2),
        *layer(2 * channels, 2 * channels),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * channels * 4, 10),
    )


class Training:
    """A network in training. ``save`` and ``load`` carry all that the next epoch depends on."""

    def __init__(self, config: Mapping[str, Any], seed: int, epochs: int) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.epochs = epochs
        self.network = build(config["channels"], config["dropout"])
        weights = [weight for weight in self.network.parameters() if weight.ndim > 1]
        others = [weight for weight in self.network.parameters() if weight.ndim == 1]  # biases, batch norm's γ and β
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
            betas=(config["momentum"], 0.999),
        )

    def train(self, part: Part, epoch: int) -> float:
        """Train one epoch, counted from 1, and return the mean loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config["learning_rate"] * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2
        order, size, losses = torch.randperm(len(part)), self.config["batch_size"], []
        for start in range(0, len(part) - 1, size):  # never a last batch of one, which has no variance to divide by
            batch = order[start : start + size]
            scores = self.network(shifted(part.pixels[batch], self.config["shift"]))
            loss = functional.cross_entropy(scores, part.labels[batch])
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean().item()

    def measure(self, part: Part) -> tuple[float, float]:
        """Return cross-entropy and accuracy on a part."""
        self.network.eval()
        with torch.no_grad():
            scores = self.network(part.pixels)
        hits = scores.argmax(dim=1) == part.labels
        return functional.cross_entropy(scores, part.labels).item(), hits.double().mean().item()

    def save(self, directory: Path) -> None:
        """Write network, optimiser and random generator into a folder."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": torch.get_rng_state(),
        }
        torch.save(state, directory / "state.pt")

    def load(self, directory: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        state = torch.load(directory / "state.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])


def shifted(pixels: Tensor, share: float) -> Tensor:
    """Return the images, a ``share`` of them moved by up to one pixel in both directions."""
    count = len(pixels)
    moves = torch.randint(-1, 2, (2, count)) * (torch.rand(count) < share)
    windows = functional.pad(pixels, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)  # (n, 1, 3, 3, 8, 8)
    return windows[torch.arange(count), :, 1 + moves[0], 1 + moves[1]]


# --- the two objectives -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """The objective of the search: it has training and validation images, and no others."""

    training: Part
    validation: Part
    epochs: int

    def __call__(self, trial: Trial) -> None:
        """Train one configuration."""
        run = Training(trial.params, trial.seed, self.epochs)
        if trial.checkpoint:
            run.load(trial.checkpoint)
        for epoch in trial.steps(self.epochs):
            train_loss = run.train(self.training, epoch)
            val_loss, val_accuracy = run.measure(self.validation)
            trial.report(val_loss=val_loss, val_accuracy=val_accuracy, train_loss=train_loss)
            trial.save(run.save)


@dataclass(frozen=True)
class Final:
    """The objective of the final comparison: full trainings, measured once, at their end, on the test images."""

    training: Part
    test: Part
    epochs: int
    configs: Mapping[str, Mapping[str, Any]]

    def __call__(self, trial: Trial) -> dict[str, float]:
        """Train the default or the winner with one seed."""
        run = Training(self.configs[str(trial.params["configuration"])], int(str(trial.params["seed"])), self.epochs)
        if trial.checkpoint:
            run.load(trial.checkpoint)
        for epoch in trial.steps(self.epochs):
            trial.report(train_loss=run.train(self.training, epoch))
            trial.save(run.save)
        test_loss, test_accuracy = run.measure(self.test)
        return {"test_accuracy": test_accuracy, "test_loss": test_loss}


# --- the comparison ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Paired measurements of two configurations, one pair a seed, and the interval of their mean difference."""

    default: tuple[float, ...]
    winner: tuple[float, ...]
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the difference is beyond noise, in a plain sentence."""
        if self.low > 0:
            return "The winner is better than the default, and by more than the luck of the seeds explains."
        if self.high < 0:
            return (
                "The default is better than the winner, and by more than the luck of the seeds explains: "
                "what the search gained on the validation images did not carry over."
            )
        return "No clear difference: the interval includes 0, so luck alone could explain what is seen here."


def compare(default: Sequence[float], winner: Sequence[float], confidence: float = 0.95) -> Comparison:
    """Compare paired measurements by Student's t interval of their mean difference, winner minus default.

    Raises:
        ValueError: fewer than two pairs, or not as many of one as of the other.
    """
    if len(default) != len(winner) or len(default) < 2:
        raise ValueError(f"expected at least two pairs, got {len(default)} and {len(winner)} measurements: add seeds")
    differences = np.subtract(winner, default)
    mean, error = float(differences.mean()), float(stats.sem(differences))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(differences) - 1)) * error
    return Comparison(tuple(default), tuple(winner), mean, mean - reach, mean + reach)


def pairs(history: History, seeds: Sequence[int]) -> list[tuple[int, float, float]]:
    """Return seed, the default's and the winner's test accuracy, for the seeds with which both were trained."""
    found = {
        (trial.params["configuration"] == "default", trial.params["seed"]): trial.value
        for trial in history.trials
        if trial.status == "completed" and trial.value is not None
    }
    return [(s, found[True, s], found[False, s]) for s in seeds if (True, s) in found and (False, s) in found]


# --- the demo ---------------------------------------------------------------------------------------------------------


def run(directory: Path, workers: int = 2, quiet: bool = False) -> int:
    """Run the demo in ``directory``, or go on with it, and return the exit status.

    Raises:
        ModuleNotFoundError: PyTorch or scikit-learn is not installed.
    """
    if _MISSING:
        raise ModuleNotFoundError(f"the demo expected {_MISSING} to be installed: pip install 'tunewell[demo]'")
    try:
        return run_plan(Plan(), directory, workers, quiet)
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130


def run_plan(plan: Plan, directory: Path, workers: int | None, quiet: bool = False) -> int:
    """Search, compare, report. Both studies go on to their totals, so all of this may be killed and called again."""
    directory.mkdir(parents=True, exist_ok=True)
    database = directory / "digits.db"
    training, validation, test = three_parts()
    finished = _is_finished(database, plan)
    shows = not quiet and not finished
    with Study(
        SPACE,
        metric="val_loss",
        name="digits",
        storage=str(database),
        scheduler=Asha(reduction=3, max_steps=plan.epochs),
        seed=0,
    ) as search:
        if not quiet:
            _say(_FINISHED if finished else _introduction(plan, workers, search.history, len(test)))
        search.run(
            Search(load_part(training), load_part(validation), plan.epochs),
            trials=plan.trials,
            workers=workers,
            executor=plan.executor,
            progress=shows,
        )
        best, default = search.best, SPACE.default()
        if shows:
            print()
        print(_winner(best, default, search.history), flush=True)
        if best.params == default:
            _say("Nothing that the search tried was better than the default, so there is nothing to compare.")
            return _finish(search, database)
    configs = {"default": default, f"trial {best.number}": best.params}
    with Study(
        Space(seed=Choice(plan.seeds), configuration=Choice(list(configs))),
        metric="test_accuracy",
        mode="max",
        name="digits-final",
        storage=str(database),
        sampler="grid",
        scheduler="fifo",
        seed=0,
    ) as comparison:
        if shows:
            _say(
                f"Now both are trained in full, {len(plan.seeds)} times each with the same seeds, and measured on the "
                "test images. The search has never seen these, and it chose the winner for looking good on others."
            )
        comparison.run(
            Final(load_part(training), load_part(test), plan.epochs, configs),
            trials=2 * len(plan.seeds),
            workers=workers,
            executor=plan.executor,
            progress=_tell_ends if shows else False,
        )
        print("\n" + _result(pairs(comparison.history, plan.seeds), len(test)))
    return _finish(search, database)


def _is_finished(database: Path, plan: Plan) -> bool:
    """Whether an earlier run has come to the end of the comparison."""
    try:
        with open_study(str(database), "digits-final") as comparison:
            history = comparison.history
            return history.spent_trials >= 2 * len(plan.seeds) and not history.running and not history.unfinished
    except (FileNotFoundError, KeyError):
        return False


# --- what it says -----------------------------------------------------------------------------------------------------

_FINISHED = "This demo is finished; here is what it found. Nothing is trained again."


def _say(text: str) -> None:
    print("\n" + textwrap.fill(text, 100) + "\n", flush=True)


def _introduction(plan: Plan, workers: int | None, history: History, images: int) -> str:
    if history.trials:
        return (
            f"Going on where the demo stopped: {len(history.trials)} of {plan.trials} configurations were started, "
            f"{history.steps_done} epochs trained."
        )
    return (
        f"Tuning {len(SPACE)} hyperparameters of a small convolutional network on handwritten digits: {plan.trials} "
        f"configurations, {workers or 1} at a time. Each trains for one epoch; the best third go on to 3 epochs, the "
        f"best third of those to 9, and so on up to {plan.epochs}, each from its own checkpoint. Afterwards the winner "
        f"and the default configuration are trained anew with {len(plan.seeds)} seeds and compared on {images} test "
        "images. All this takes about two minutes on two cores. Kill it at any time and in any way, kill -9 included: "
        "the same command goes on to the same total."
    )


def _tell_ends(history: History, events: Sequence[Event]) -> None:
    """Print one line for each full training that ended; which seed did best is nothing to look at."""
    for event in events:
        if isinstance(event, Ended):
            trial = history.trials[event.trial]
            outcome = str(event.status) if trial.value is None else _percent(trial.value)
            print(f"  {trial.params['configuration']}, seed {trial.params['seed']}: {outcome}", flush=True)


def _winner(best: TrialRecord, default: Mapping[str, Any], history: History) -> str:
    full = history.space
    lines = [
        f"{history.spent_trials} configurations took {history.steps_done} epochs; each in full, it would have been "
        f"{history.spent_trials * history.furthest_step}.",
        f"The winner is trial {best.number}: after {best.step} epochs its validation loss is {best.value:.4f}, its "
        f"validation accuracy {_percent(best.metric('val_accuracy') or 0.0)}.",
        "",
        f"  {'':<15}{'default':>10}{'winner':>10}",
    ]
    lines += [f"  {name:<15}{_short(default[name]):>10}{_short(best.params[name]):>10}" for name in full]
    return "\n".join(lines)


def _result(measured: Sequence[tuple[int, float, float]], images: int) -> str:
    if len(measured) < 2:
        return f"Only {len(measured)} pair of final trainings was completed, so there is nothing to compare."
    comparison = compare([pair[1] for pair in measured], [pair[2] for pair in measured])
    spreads = [float(np.std(values, ddof=1)) for values in (comparison.default, comparison.winner)]
    means = [float(np.mean(values)) for values in (comparison.default, comparison.winner)]
    lines = [
        f"Accuracy on the {images} test images:",
        "",
        f"  {'':<15}{'default':>10}{'winner':>10}{'difference':>13}",
        *(f"  {f'seed {s}':<15}{_percent(d):>10}{_percent(w):>10}{_points(w - d):>13}" for s, d, w in measured),
        f"  {'mean':<15}{_percent(means[0]):>10}{_percent(means[1]):>10}{_points(comparison.difference):>13}",
        f"  {'spread (sd)':<15}{_percent(spreads[0]):>10}{_percent(spreads[1]):>10}",
        f"  {'mistakes':<15}{(1 - means[0]) * images:>10.1f}{(1 - means[1]) * images:>10.1f}",
        "",
        f"Difference: {_points(comparison.difference)} percentage points, 95 % interval {_points(comparison.low)} to "
        f"{_points(comparison.high)} (paired t, {len(measured)} seeds).",
        comparison.verdict,
        "The interval covers the luck of the seeds; other test images would move it a little, too.",
    ]
    return "\n".join(lines)


def _finish(search: Study, database: Path) -> int:
    from tunewell.analysis.report import write_report

    report = write_report(search.history, database.with_name("report.html"))
    storage = shlex.quote(str(database))
    print(
        f"""
The report is {report}: open it in a browser. What to type next:
  tunewell show digits -s {storage}
  tunewell best digits -s {storage}
  tunewell report digits-final -s {storage}
To start over, delete the folder {database.parent} or name another one: tunewell demo FOLDER"""
    )
    return 0


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
