"""An audit says nothing about sound trainings, whichever way it looks at them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from training_setups import SOUND, Setup, audited, images, vgg, watched  # noqa: E402

from tunewell.torch import audit  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_training_has_no_finding(name):
    setup = SOUND[name]()
    assert audit(setup.model, setup.optimizer) == []
    assert audited(setup) == []
    assert watched(setup) == []
    assert audited(setup) == []  # also in the middle of it


@pytest.mark.parametrize("name", [name for name in SOUND if "against" not in name and "autoencoder" not in name])
def test_a_sound_model_has_no_finding_from_one_batch(name):
    setup = SOUND[name]()
    assert audit(setup.model, setup.optimizer, batch=setup.batch, loss_of=setup.loss_of) == []
    watched(setup)
    assert audit(setup.model, setup.optimizer, batch=setup.batch, loss_of=setup.loss_of) == []


def test_a_trained_model_and_its_loader_have_no_finding():
    setup = Setup(vgg(), images())
    loader = DataLoader(TensorDataset(*images(100)), 16, shuffle=True)
    for _ in range(4):
        for batch in loader:
            setup.step(setup, batch)
    assert audited(setup, loader=loader) == []
