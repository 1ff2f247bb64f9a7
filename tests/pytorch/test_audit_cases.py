"""Every planted fault is found by its code, nothing else is, and the page's table says so."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from planted_faults import CASES  # noqa: E402
from training_setups import SOUND, Setup, audited, codes, usual_evaluation, watched  # noqa: E402

from tunewell.torch import audit, recalibrate, watching  # noqa: E402

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/audit.md"
RULES = ROOT / "src/tunewell/torch/auditing"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.network}: {case.fault}")
def test_a_planted_fault_is_found_and_nothing_else(case):
    torch.manual_seed(0)
    assert codes(case.find()) == case.codes


# --- the page ---------------------------------------------------------------------------------------------------------

SECTION = re.compile(r"^### `(?P<code>[a-z-]+)`\n(?P<body>.*?)(?=^##)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def page():
    return PAGE.read_text(encoding="utf-8")


def documented():
    return {found["code"]: found["body"] for found in SECTION.finditer(page())}


@pytest.fixture(scope="module")
def preamble():
    """The names that the page's Python before the examples defines; it has assertions of its own."""
    names = {}
    torch.manual_seed(0)
    for block in BLOCK.findall(page().split("\n### `")[0]):
        exec(block, names)
    return names


@pytest.mark.parametrize("code", documented())
def test_a_documented_example_has_its_finding_only(code, preamble):
    body = documented()[code]
    torch.manual_seed(0)
    names = dict(preamble)
    exec(BLOCK.search(body)[1], names)
    (finding,) = names["findings"]
    said = " ".join(line.removeprefix("> ") for line in body.splitlines() if line.startswith("> "))
    assert finding.code == code
    assert said == f"**{finding.severity}** {finding.message}; *{finding.fix}*"


def test_every_code_is_documented_and_planted():
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(RULES.glob("*.py")))
    written = set(re.findall(r'(?:Finding|Bias)\(\s*"([a-z-]+)"', source))
    written |= set(re.findall(r'^_[A-Z_]+ = \(\n    "([a-z-]+)",', source, re.MULTILINE))
    assert len(written) == 38
    assert documented().keys() == written
    assert set().union(*(case.codes for case in CASES)) == written


def test_the_table_of_cases_is_that_of_the_tests():
    rows = [
        f"| {case.network} | {case.fault} | {', '.join(f'`{code}`' for code in sorted(case.codes))} | {case.by} |"
        for case in CASES
    ]
    assert page().split("|---|---|---|---|\n")[-1].splitlines() == rows
    assert f"{len(SOUND)} sound trainings" in page()


# --- at the border ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a model",), "model expected a torch.nn.Module, got 'a model'"),
        ((torch.nn.Linear(2, 2), "sgd"), "optimizer expected a torch.optim.Optimizer or a list of them, got 'sgd'"),
    ],
)
def test_what_is_no_model_or_optimizer_is_refused(arguments, sentence):
    with pytest.raises(TypeError, match=sentence):
        audit(*arguments)


def test_a_loader_that_can_be_read_once_is_refused():
    with pytest.raises(TypeError, match="loader expected a DataLoader or a list of batches"):
        audit(torch.nn.Linear(2, 2), loader=iter([torch.ones(2, 2)]))


def test_a_step_without_a_batch_is_refused():
    with pytest.raises(ValueError, match="train_step expected a batch to work on, got none: pass batch= or loader="):
        audit(torch.nn.Linear(2, 2), train_step=lambda batch: None)


@pytest.mark.parametrize(
    ("loss_of", "got"),
    [
        (lambda model, batch: model(batch).mean().item(), "float"),
        (lambda model, batch: model(batch), r"a tensor of shape \(4, 2\)"),
    ],
)
def test_a_loss_that_is_no_tensor_of_one_element_is_refused(loss_of, got):
    sentence = f"loss_of expected to return a tensor of one element, got {got}: return the mean, without .item()"
    for given in ({"batch": torch.randn(4, 3)}, {"loader": [torch.randn(4, 3)] * 3}):
        with pytest.raises(TypeError, match=sentence):
            audit(torch.nn.Linear(3, 2), loss_of=loss_of, **given)


def test_a_compiled_model_is_refused():
    with pytest.raises(TypeError, match=r"model expected a model that is not compiled, got one: pass it as it was"):
        audit(torch.compile(torch.nn.Linear(2, 2), backend="eager"))


def test_a_scripted_model_is_refused_and_a_scripted_part_is_passed_over():
    with warnings.catch_warnings(action="ignore"):
        part = torch.jit.script(torch.nn.Linear(12, 4))
    with pytest.raises(TypeError, match="model expected a model that is not scripted, got one"):
        audit(part)
    setup = Setup(torch.nn.Sequential(torch.nn.Linear(12, 12), torch.nn.ReLU(), part))
    assert audited(setup) == watched(setup) == []


def test_lazy_layers_are_refused_until_they_have_weights():
    with warnings.catch_warnings(action="ignore"):
        model = torch.nn.Sequential(torch.nn.LazyLinear(4))
    with pytest.raises(ValueError, match="model expected weights, got lazy layers that have none yet"):
        audit(model)
    model(torch.ones(2, 3))
    assert audit(model) == []


def test_recalibration_before_an_evaluation_is_no_evaluation():
    setup = SOUND["a VGG"]()

    def evaluate(setup, batch):
        recalibrate(setup.model, [batch, batch])
        usual_evaluation(setup, batch)

    setup.evaluate = evaluate
    assert watched(setup) == []


def test_update_bn_is_no_evaluation():
    setup = SOUND["a VGG"]()

    def evaluate(setup, batch):
        torch.optim.swa_utils.update_bn([batch, batch], setup.model)
        usual_evaluation(setup, batch)

    setup.evaluate = evaluate
    assert watched(setup) == []


def test_what_is_declared_evaluation_needs_no_guess():
    setup = SOUND["a VGG"]()
    with watching(setup.model, setup.optimizer) as watch:
        setup.step(setup, setup.batch)
        with watch.evaluating():
            setup.model(setup.batch[0])
    assert codes(watch.findings()) == {"training-mode-in-evaluation", "gradients-in-evaluation"}


def test_missing_pytorch_is_said_in_a_sentence():
    code = "import sys; sys.modules['torch'] = None; import tunewell.torch; tunewell.torch.audit"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'tunewell.torch.audit expected PyTorch to be installed: pip install "tunewell[torch]"' in done.stderr


def test_the_package_is_imported_without_pytorch():
    code = "import sys, tunewell.torch; assert 'torch' not in sys.modules; print(*dir(tunewell.torch))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"Watcher", "audit", "fix", "recalibrate", "watching"} <= {*done.stdout.split()}
