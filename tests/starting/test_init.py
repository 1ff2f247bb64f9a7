"""``tunewell init``: study files that run, explained and without findings; what is read off a script, and its call."""

from __future__ import annotations

import ast
import itertools
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import tunewell as tw
from tunewell.cli import app
from tunewell.lint import Plan, lint
from tunewell.starting import FRAMEWORKS, TASKS, Answers, read_script, write_study
from tunewell.starting.planning import EXAMPLES, OPTIMIZER
from tunewell.starting.wrapping import changed_lines

EVERY = list(itertools.product(FRAMEWORKS, TASKS, [6, 30, 150]))
Init = Callable[..., Result]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    monkeypatch.chdir(tmp_path)

    def run(*given: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, ["init", *given], input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def space_of(text: str) -> tw.Space:
    """Return the space of a study file without importing frameworks."""
    (node,) = [
        node for node in ast.parse(text).body if isinstance(node, ast.Assign) and ast.unparse(node.targets) == "space"
    ]
    return eval(ast.unparse(node.value), {"tw": tw})  # type: ignore[no-any-return]


def fixed_of(text: str) -> dict[str, Any]:
    (node,) = [
        node for node in ast.parse(text).body if isinstance(node, ast.Assign) and ast.unparse(node.targets) == "fixed"
    ]
    return ast.literal_eval(node.value)  # type: ignore[no-any-return]


def run(folder: Path, *command: str | Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- without a script -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("framework", "task", "trials"), EVERY)
@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_nothing_is_found_in_a_study_file(framework: str, task: str, trials: int, metric: str) -> None:
    answers = Answers(task, framework, metric=metric, trials=trials)
    space = space_of(write_study(answers))
    goals = ((metric, "max" if metric == "val_accuracy" else "min"),)
    plan = Plan(space, answers.domain, OPTIMIZER[framework], trials, EXAMPLES[task], goals=goals)
    assert lint(plan) == ()
    assert lint(Plan(space, trials=trials, goals=goals)) == ()


@pytest.mark.parametrize(("framework", "task", "trials"), EVERY)
def test_every_parameter_is_explained_and_few_trials_search_few(framework: str, task: str, trials: int) -> None:
    text = write_study(Answers(task, framework, trials=trials))
    space, fixed = space_of(text), fixed_of(text)
    assert 1 <= len(space) <= max(1, trials // 5)
    assert next(iter(space)) == "learning_rate"
    if trials == 150:
        assert "dropout" in space or "l2" in space
    assert not set(space) & set(fixed)
    assert f"TRIALS = {trials}  #" in text
    for name in space:
        assert re.search(rf"    # {name}: .+\.\n(    #   .+\n)+    {name}=tw\.", text)
    assert "$" not in text
    assert all(len(line) <= 120 for line in text.splitlines())
    for line in text.splitlines():
        if re.match(r"[A-Z]+(, [A-Z]+)? = ", line):
            assert "  # " in line, line


def test_a_network_for_small_images_stays_small() -> None:
    text = write_study(Answers("image", "torch", trials=150))
    assert space_of(text)["channels"].high == 64  # type: ignore[attr-defined]
    assert "# " + "here up to 64, so that a training takes seconds" in re.sub(r" +", " ", text)


@pytest.mark.parametrize("task", TASKS)
def test_a_study_file_runs_to_its_end(task: str, init: Init, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    assert init("-y", "--task", task, "--framework", "sklearn", "--trials", "3", "-w", "1").exit_code == 0
    short = re.sub(r"^(EPOCHS) = \d+", r"\1 = 2", (tmp_path / "study.py").read_text(), flags=re.M)
    (tmp_path / "study.py").write_text(short.replace("SEEDS = (1, 2, 3, 4, 5)", "SEEDS = (1, 2)"))
    said = run(tmp_path, "study.py")
    for word in ("baseline", "search", "fit", "confirm", "report"):
        assert re.search(rf"^{word}:  ? *\S", said, re.M), said
    assert re.search(r"^confirm: .* [-+][\d.]+ ± [\d.]+, 95 % \(min\)$", said, re.M), said
    study = tw.open(str(tmp_path / "tunewell.db"), "study")
    assert [trial.status for trial in study.trials] == ["completed"] * 3
    assert study.trials[0].origin == "default"
    assert study.history.fingerprint is not None
    assert study.history.fingerprint.data is not None
    assert (tmp_path / "study-report.html").is_file()


def test_with_pytorch_it_trains_and_goes_on_from_a_checkpoint(init: Init, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    assert init("-y", "--task", "image", "--framework", "torch", "--trials", "30", "-o", "digits.py").exit_code == 0
    (tmp_path / "go.py").write_text(
        "import digits, tunewell as tw\n"
        "digits.EPOCHS = 3\n"
        "study = tw.Study(digits.space, digits.METRIC, scheduler='fifo', seed=0)\n"
        "study.run(digits.train, steps=2, executor='inline', progress=False)\n"
        "study.run(digits.train, trials=2, executor='inline', progress=False)\n"
        "losses = [value for _, value in study.best.curve('val_loss')]\n"
        "assert len(losses) == 3 and losses[-1] < losses[0], losses\n"
        "assert [len(trial.stretches) for trial in study.trials] == [2, 1]\n"
    )
    run(tmp_path, "go.py")


def test_questions_are_asked_and_answered(init: Init, tmp_path: Path) -> None:
    told = init(input="tabular\nsklearn\n3\n2\nval_accuracy\n")
    assert told.exit_code == 0
    assert told.stdout.count("?") == 5
    text = (tmp_path / "study.py").read_text()
    assert 'METRIC, MODE = "val_accuracy", "max"' in text
    assert "MINUTES = 3 " in text
    assert "WORKERS = 2 " in text
    assert "load_breast_cancer" in text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["-y", "--task", "imge"], "unknown task 'imge': did you mean 'image'?"),
        (["-y", "--framework", "caffe"], "unknown framework 'caffe': choose one of 'torch', 'sklearn'"),
        (["-y", "--metric", "bleu"], "the objective reports val_loss and val_accuracy, got the metric 'bleu'"),
        (["-y", "--minutes", "0"], "expected the time as minutes above 0, got 0.0"),
        (["-y", "--workers", "0"], "expected at least one training at a time, got 0"),
        (["-y", "-o", "there.py"], "File exists, say --force or another --output: there.py"),
        (["-y", "none.py"], "No such file or directory: none.py"),
        (["-y", "bad.py"], "expected Python in bad.py, got a syntax error in line 1"),
        (["-y", "there.py"], "expected a learning rate, a batch size or another known hyperparameter in there.py"),
        ([], "expected answers on standard input, found its end: say --yes, or give options"),
    ],
)
def test_mistakes_are_told_in_a_sentence(given: list[str], sentence: str, init: Init, tmp_path: Path) -> None:
    (tmp_path / "there.py").write_text("print('hello')\n")
    (tmp_path / "bad.py").write_text("def :\n")
    told = init(*given)
    assert told.exit_code == 2
    assert f"tunewell: {sentence}" in told.stderr
    assert not (tmp_path / "study.py").exists()
    assert (tmp_path / "there.py").read_text() == "print('hello')\n"


# --- with a script ----------------------------------------------------------------------------------------------------

FUNCTION = """
import math

EPOCHS = 3


def train_network(lr=0.02, weight_decay=1e-4, batch_size=48, epochs=EPOCHS, seed=0):
    return (math.log10(lr) + 2) ** 2 + weight_decay + seed * 1e-9


if __name__ == "__main__":
    print(train_network())
"""
OPTIONS = """
import argparse
import math

parser = argparse.ArgumentParser()
parser.add_argument("--lr", "-l", type=float, default=0.02)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--data", default="somewhere")
args = parser.parse_args()
for epoch in range(3):
    print(f"epoch {epoch} train loss: 9.0 val loss: {(math.log10(args.lr) + 2) ** 2 + 1 / (1 + epoch):.6f}")
"""
LINES = """
from torch import nn, optim
from torch.utils.data import DataLoader

net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 2))
optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)  # größe
loader = DataLoader([], batch_size=128, shuffle=True)
for epoch in range(10):
    ...
"""


def script(folder: Path, text: str) -> Path:
    (folder / "training.py").write_text(text)
    return folder / "training.py"


def test_what_a_script_says_is_read(tmp_path: Path) -> None:
    found = read_script(script(tmp_path, LINES))
    assert (found.framework, found.optimizer, found.guarded) == ("torch", "sgd", False)
    assert {s.known: s.value for s in found.settings} == {
        "dropout": 0.3, "learning_rate": 0.05, "momentum": 0.9, "batch_size": 128,
    }  # fmt: skip
    found = read_script(script(tmp_path, OPTIONS))
    assert {s.written: (s.value, s.how, s.owner) for s in found.settings} == {
        "lr": (0.02, "option", "--lr"),
        "batch_size": (64, "option", "--batch-size"),
    }
    found = read_script(script(tmp_path, FUNCTION))
    assert found.guarded
    assert found.train_function is not None
    assert found.train_function.name == "train_network"
    assert {s.written: s.value for s in found.settings if s.how == "argument"} == {
        "lr": 0.02, "weight_decay": 1e-4, "batch_size": 48, "epochs": 3,
    }  # fmt: skip


def test_switches_names_and_lengths_are_not_searched(init: Init, tmp_path: Path) -> None:
    options = [
        '"--learning-rate", type=float, default=3.0',
        '"--nesterov", action="store_true"',
        '"--optimizer", default="lion"',
        '"--epochs", type=int, default=3',
        '"-b", "--batch", type=int, default=20',
    ]
    lines = "".join(f"parser.add_argument({option})\n" for option in options)
    script(tmp_path, "import argparse\nparser = argparse.ArgumentParser()\n" + lines)
    assert init("training.py", "-y", "--trials", "50").exit_code == 0
    space = space_of((tmp_path / "study.py").read_text())
    assert set(space) == {"learning_rate", "batch"}
    rate, batch = space["learning_rate"], space["batch"]
    assert isinstance(rate, tw.Float)
    assert isinstance(batch, tw.Choice)
    assert rate.default == rate.high == 3.0  # the range is widened to where the script stands
    assert 20 in batch.choices
    assert batch.default == 20


@pytest.mark.parametrize(
    "text",
    [
        "def train(lr=0.1, weight_decay=0, warmup_steps=0):\n    return 1.0\n",
        "LR = 0.1\nWEIGHT_DECAY = 0\nwarmup_steps = 0\n",
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.1)\n"
        "parser.add_argument('--weight-decay', type=float, default=0)\n"
        "parser.add_argument('--warmup-steps', type=int, default=0)\n",
    ],
    ids=["function", "lines", "options"],
)
def test_what_no_scale_has_stays_as_it_is(text: str, init: Init, tmp_path: Path) -> None:
    script(tmp_path, text)
    assert init("training.py", "-y", "--trials", "50").exit_code == 0
    written = (tmp_path / "study.py").read_text()
    assert [name.lower() for name in space_of(written)] == ["lr"]
    assert {name.lower(): value for name, value in fixed_of(written).items()} == {"weight_decay": 0, "warmup_steps": 0}
    assert re.search("(?i)# weight_decay cannot be tuned from 0, which its log scale does not have:", written)


def test_a_script_with_nothing_to_change_says_so(init: Init, tmp_path: Path) -> None:
    script(tmp_path, "WEIGHT_DECAY = 0\n")
    told = init("training.py", "-y")
    assert told.exit_code == 2
    assert "in training.py whose value can change, found WEIGHT_DECAY at 0: name them" in told.stderr


def test_a_script_keeps_what_it_computes(init: Init, tmp_path: Path) -> None:
    script(tmp_path, "def train(lr=0.1, batch_size=len([1]), dropout=0.2):\n    return 1.0\n")
    assert init("training.py", "-y", "--trials", "5").exit_code == 0
    assert fixed_of((tmp_path / "study.py").read_text()) == {"dropout": 0.2}


CONSTANTS = """
import argparse

DEFAULT_LR = 0.3
WIDTH = 48


def train(lr=DEFAULT_LR, hidden_units=WIDTH, dropout=1 / 5):
    val_accuracy = 1.0 - abs(lr - 0.3) - dropout
    return val_accuracy
"""
LISTS = """
import argparse

DEFAULT_LR = 0.3
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=DEFAULT_LR)
parser.add_argument("--hidden-units", type=int, nargs="+", default=[300, 100])
parser.add_argument("--dropout", type=float, default=1 / 5)
"""


def test_constants_are_read_and_lists_are_no_numbers(init: Init, tmp_path: Path) -> None:
    script(tmp_path, LISTS)
    told = init("training.py", "-y", "--trials", "50")
    space = space_of((tmp_path / "study.py").read_text())
    assert {name: parameter.default for name, parameter in space.items()}["lr"] == 0.3  # type: ignore[attr-defined]
    assert set(space) == {"lr", "dropout"}
    assert "; dropout cannot be read there and begins at what is usual" in told.stdout


def test_what_a_function_returns_is_the_metric_if_its_name_says_which_way(init: Init, tmp_path: Path) -> None:
    script(tmp_path, CONSTANTS)
    told = init("training.py", "-y", "--trials", "50")
    text = (tmp_path / "study.py").read_text()
    assert 'METRIC, MODE = "val_accuracy", "max"' in text
    assert "which has to return the metric (val_accuracy, more is better); dropout cannot be read" in told.stdout
    space = space_of(text)
    assert (space["lr"].default, space["hidden_units"].default) == (0.3, 48)  # type: ignore[attr-defined]
    script(tmp_path, CONSTANTS.replace("val_accuracy", "result"))
    told = init("training.py", "-y", "--trials", "50", "--force")
    assert "the metric (val_loss, less is better)" in told.stdout


NEEDS = """
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("more", nargs="*")
parser.add_argument("--out", required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--batch-size", type=int, choices=[128, 32, 64], default=64)
parser.add_argument("--dropout", type=float, choices=SOME)
parser.add_argument("--hidden-units", type=int, choices=(16, 32), default=24)
parser.add_argument("--weight-decay", type=float, choices=[0.1, LEAST], default=0.1)
"""


def test_choices_are_the_space_and_what_is_missing_is_named(init: Init, tmp_path: Path) -> None:
    script(tmp_path, NEEDS)
    told = init("training.py", "-y", "--trials", "50", "--metric", "val_loss")
    assert "; it needs data and --out, which you fill in as ALWAYS; next:" in told.stdout
    text = (tmp_path / "study.py").read_text()
    space = space_of(text)
    assert set(space) == {"lr", "batch_size", "hidden_units"}  # the choices of the dropout cannot be read
    assert space["batch_size"] == tw.Choice([32, 64, 128], ordered=True, default=64, tier=2)
    assert space["hidden_units"].choices == (16, 32)  # type: ignore[attr-defined]
    assert "ALWAYS = []  # to fill in: data and --out\n" in text


def test_a_required_option_is_given_also_where_it_is_not_searched(init: Init, tmp_path: Path) -> None:
    script(tmp_path, NEEDS.replace('"--batch-size", type=int,', '"--batch-size", type=int, required=True,'))
    assert init("training.py", "-y", "--trials", "5").exit_code == 0
    assert fixed_of((tmp_path / "study.py").read_text()) == {"batch_size": 64}


SAID = {  # what a script prints, and what is read for val_loss and for loss
    "val_loss: 0.5": ([0.5], []),
    '{"val_loss": 0.31, "epoch": 3}': ([0.31], []),
    "{'loss': '0.2', 'val_loss': np.float64(0.31)}": ([0.31], [0.2]),
    "| val_loss | 0.3 |": ([0.3], []),
    "│  val_loss  │  0.3  │": ([0.3], []),
    "val_loss tensor(0.31, device='cuda:0')": ([0.31], []),
    "val_loss=0.5.": ([0.5], []),
    "val_loss: 1,234.5": ([1234.5], []),
    "val_loss: 1,23": ([], []),
    "val_loss 0.5.1": ([], []),
    "epoch 1 loss 0.5 val_loss 0.9": ([0.9], [0.5]),
    "train/loss 0.4 train.loss 0.3 pre-loss 0.2 loss_2 7 loss2 8": ([], []),
    "Val loss = -1e-3, val-loss=+.5, VAL_LOSS: nan": ([-0.001, 0.5, None], [-0.001]),
    "val_loss information val_loss -inf": ([-float("inf")], []),
    "val_loss\n7 epochs": ([], []),
    "loss: 0.25 - accuracy: 0.9 - val_loss: 0.75": ([0.75], [0.25]),
}


def test_the_metric_is_read_off_what_a_script_prints(init: Init, tmp_path: Path) -> None:
    script(tmp_path, OPTIONS)
    for place, metric in enumerate(("val_loss", "loss")):
        assert init("training.py", "-y", "--force", "--metric", metric).exit_code == 0
        values_in = runpy.run_path(str(tmp_path / "study.py"))["values_in"]
        found = {text: [None if value != value else value for value in values_in(text)] for text in SAID}
        assert found == {text: values[place] for text, values in SAID.items()}


@pytest.mark.parametrize("epochs", [1, 3])
def test_every_value_that_a_script_prints_is_a_step(init: Init, tmp_path: Path, epochs: int) -> None:
    prints = f"for epoch in range({epochs}):\n    print('val_loss:', 1 / (epoch + 1))\n"
    script(tmp_path, f"import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\n{prints}")
    assert init("training.py", "-y").exit_code == 0
    study = tw.Study(tw.Space(lr=tw.Float(0.1, 1.0)), "val_loss", seed=0)
    train = runpy.run_path(str(tmp_path / "study.py"))["train"]
    study.run(train, trials=1, executor="inline", progress=False)
    (trial,) = study.trials
    assert (str(trial.status), trial.value, trial.step) == ("completed", 1 / epochs, epochs)
    assert trial.curve("val_loss") == [(step, 1 / step) for step in range(1, epochs + 1)]


def test_a_script_is_heard_while_it_runs_and_ends_with_its_trial(init: Init, tmp_path: Path) -> None:
    """It would sleep for long after its third value."""
    prints = "for epoch in range(9):\n    print('val_loss:', epoch)\n    if epoch > 1: time.sleep(1000)\n"
    parser = "p = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\n"
    script(tmp_path, f"import argparse, time\n{parser}{prints}")
    assert init("training.py", "-y").exit_code == 0
    run = runpy.run_path(str(tmp_path / "study.py"))["run"]
    heard = []

    class Stopping:
        def report(self, metrics: dict[str, float], step: int) -> None:
            heard.append((step, metrics["val_loss"]))
            if step == 3:
                raise tw.Halted("not to train on")

    with pytest.raises(tw.Halted):
        run({"lr": 0.1}, 0, Stopping())
    assert heard == [(1, 0.0), (2, 1.0), (3, 2.0)]


def test_where_the_default_is_the_best_nothing_is_confirmed(init: Init, tmp_path: Path) -> None:
    parser = "p = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.02)\n"
    script(tmp_path, f"import argparse\n{parser}print('val_loss:', abs(p.parse_args().lr - 0.02))\n")
    assert init("training.py", "-y", "--trials", "3", "-w", "1").exit_code == 0
    said = run(tmp_path, "study.py")
    assert "the default configuration is the best so far, so there is nothing to confirm" in said
    assert "±" not in said


def test_a_file_may_have_any_name(init: Init, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "own.py").write_text("BEST = 0.5\n")
    (tmp_path / "a b" / "my train-2.0.py").write_text("import own\ndef train(lr=0.1):\n    return lr - own.BEST\n")
    assert init("a b/my train-2.0.py", "-y").exit_code == 0
    file = runpy.run_path(str(tmp_path / "study.py"))
    assert file["run"]({"lr": 1.5}, 0, None) == 1.0


DEFINED = """
from dataclasses import dataclass

@dataclass
class Config:
    batch_size: int = 64
    lr: float = 0.1

class Net:
    dropout = 0.3

def evaluate(model, loader, batch_size=256):
    return 1.0

def train(model, momentum=0.9, weight_decay=1e-4):
    return model

train(Config())
"""


def test_the_values_of_the_training_are_taken_and_calls_are_changed_not_definitions(tmp_path: Path) -> None:
    found = read_script(script(tmp_path, DEFINED))
    assert {s.written: (s.value, s.how, s.owner) for s in found.settings} == {
        "batch_size": (64, "field", "Config"),
        "lr": (0.1, "field", "Config"),
        "dropout": (0.3, "attribute", "Net"),
        "momentum": (0.9, "argument", "train"),
        "weight_decay": (1e-4, "argument", "train"),
    }
    assert sorted(changed_lines(found, found.settings)) == [
        "Config(batch_size=config['batch_size'], lr=config['lr'])",
        "Net.dropout = config['dropout']",
        "train(momentum=config['momentum'], weight_decay=config['weight_decay'])",
    ]


def test_the_values_are_those_of_the_function_that_is_called(init: Init, tmp_path: Path) -> None:
    text = "def fit_all(model, lr=0.5):\n    pass\ndef train(lr=0.02):\n    return lr\n"
    script(tmp_path, "class Other:\n    def train(self, lr=0.7):\n        return 1\n" + text)
    assert init("training.py", "-y").exit_code == 0
    assert space_of((tmp_path / "study.py").read_text())["lr"].default == 0.02


def test_dictionaries_are_read_at_any_depth(init: Init, tmp_path: Path) -> None:
    script(tmp_path, 'config = {"optim": {"lr": 1e-3}, "model": {"dropout": .1, **{}}, "batch_size": 64}\n')
    assert init("training.py", "-y", "--trials", "50").exit_code == 0
    text = (tmp_path / "study.py").read_text()
    assert space_of(text).default() == {"lr": 1e-3, "batch_size": 64, "dropout": 0.1}
    after = '{"optim": {"lr": config[\'lr\']}, "model": {"dropout": config[\'dropout\'], **{}},'
    assert f"# +config = {after} \"batch_size\": config['batch_size']}}\n" in text


@pytest.mark.parametrize(("solver", "optimizer"), [("", "adam"), (", solver='sgd'", "sgd"), (", solver='lbfgs'", None)])
def test_a_perceptron_of_scikit_learn_is_trained_by_adam(solver: str, optimizer: str | None, tmp_path: Path) -> None:
    text = f"from sklearn.neural_network import MLPClassifier\nMLPClassifier((64,), alpha=1e-3{solver})\n"
    found = read_script(script(tmp_path, text))
    assert (found.framework, found.optimizer) == ("sklearn", optimizer)
    assert [(s.known, s.value) for s in found.settings if s.is_number] == [("l2", 1e-3)]


def test_a_mode_that_no_name_tells_is_called_an_assumption(init: Init, tmp_path: Path) -> None:
    script(tmp_path, FUNCTION)
    told = init("training.py", "-y", "--metric", "goodness")
    assert "; it takes less of goodness to be better, change MODE if more of it is; next:" in told.stdout
    text = (tmp_path / "study.py").read_text()
    assert (
        '\n# "min" is assumed, as the name does not tell: write "max" if more of it is better\nMETRIC, MODE = ' in text
    )
    told = init("training.py", "-y", "--metric", "mIoU", "--force")
    assert "MODE" not in told.stdout
    text = (tmp_path / "study.py").read_text()
    assert '\n\nMETRIC, MODE = "mIoU", "max"' in text


def test_a_function_that_needs_something_else_is_not_called(tmp_path: Path) -> None:
    assert read_script(script(tmp_path, "def train(lr, epochs):\n    return 1\n")).train_function is None
    assert read_script(script(tmp_path, "def train(lr, model):\n    return 1\n")).train_function is None
    assert read_script(script(tmp_path, "def train(lr, optimizer):\n    return 1\n")).train_function is None
    assert read_script(script(tmp_path, "def train(lr=0.1):\n    pass\n")).train_function is None
    assert not read_script(script(tmp_path, "def train(lr=0.1):\n    return 1\ntrain()\n")).guarded


@pytest.mark.parametrize("text", [FUNCTION, OPTIONS], ids=["function", "options"])
def test_a_script_is_wrapped_and_runs(text: str, init: Init, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    script(tmp_path / "code", text)
    told = init("code/training.py", "-y", "--trials", "6", "-w", "1")
    assert told.exit_code == 0, told.stderr
    written = (tmp_path / "study.py").read_text().replace("SEEDS = (1, 2, 3)", "SEEDS = (1, 2)")
    space = space_of(written)
    assert list(space) == ["lr"]
    assert space["lr"].default == 0.02
    assert fixed_of(written)["batch_size"] in (48, 64)
    (tmp_path / "study.py").write_text(written)
    said = run(tmp_path, "study.py")
    assert re.search(r"^confirm: +val_loss, winner minus default: [-+][\d.]+", said, re.M), said
    study = tw.open(str(tmp_path / "tunewell.db"), "study")
    assert [trial.status for trial in study.trials] == ["completed"] * 6
    assert study.best.value < study.trials[0].value
    assert len({trial.value for trial in study.trials}) > 3
    if text is OPTIONS:
        assert [step for step, _ in study.best.curve("val_loss")] == [1, 2, 3]


def test_otherwise_the_lines_to_change_are_shown(init: Init, tmp_path: Path) -> None:
    script(tmp_path, LINES)
    told = init("training.py", "-y", "--trials", "30")
    assert told.exit_code == 0
    assert told.stdout.startswith("study.py needs training.py to be changed: the lines are in the file")
    text = (tmp_path / "study.py").read_text()
    assert "# -optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)  # größe\n" in text
    after = "lr=config['learning_rate'], momentum=config['momentum'], nesterov=True)  # größe"
    assert f"# +optimizer = optim.SGD(net.parameters(), {after}\n" in text
    assert "nn.Dropout(config['dropout'])" in text
    assert set(space_of(text)) | set(fixed_of(text)) == {"learning_rate", "momentum", "batch_size", "dropout"}
    assert "NotImplementedError" in text


def test_the_changed_lines_are_python_again(tmp_path: Path) -> None:
    found = read_script(script(tmp_path, LINES))
    added = [line[1:] for line in changed_lines(found, found.settings) if line.startswith("+")]
    assert len(added) == 3
    for line in added:
        ast.parse(line)


@pytest.mark.parametrize("text", [FUNCTION, OPTIONS, LINES], ids=["function", "options", "lines"])
def test_nothing_is_found_in_the_study_file_of_a_script(text: str, init: Init, tmp_path: Path) -> None:
    script(tmp_path, text)
    assert init("training.py", "-y", "--task", "image", "--trials", "50").exit_code == 0
    space = space_of((tmp_path / "study.py").read_text())
    codes = {finding.code for finding in space.lint(trials=50)}
    assert codes <= {"odd-batch-size"}


@pytest.mark.parametrize(("called", "name"), [("pytorch", "torch"), ("scikit-learn", "sklearn")])
def test_a_framework_may_be_called_by_its_other_name(called: str, name: str) -> None:
    assert Answers("tabular", called) == Answers("tabular", name)
