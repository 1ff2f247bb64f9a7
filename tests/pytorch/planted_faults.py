"""Trainings with one fault each: what was planted in what, and the codes that have to be found, no more, no fewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from networks_small import Attention, Encoder, Grouped, Hidden, Loose, Mixer, Recurrent, ResNet, Shared, UNet, mlp, vgg
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset
from training_setups import (
    Setup,
    adam,
    audited,
    classify,
    images,
    masks,
    next_token,
    rows,
    sequences,
    texts,
    usual_step,
    watched,
)

from tunewell.torch import audit


@dataclass(frozen=True)
class Planted:
    """A fault in a network, how it is looked for, and the codes that must be found."""

    network: str
    fault: str
    codes: frozenset[str]
    find: Callable[[], list[Any]]
    by: str


CASES: list[Planted] = []


def planted(network, fault, *codes, by="watching"):
    def keep(build):
        look = {"model": _model, "batch": _batch, "step": audited, "watching": watched, "given": lambda found: found}[
            by
        ]
        CASES.append(Planted(network, fault, frozenset(codes), lambda: look(build()), by))
        return build

    return keep


def _model(setup):
    return audit(setup.model, setup.optimizer)


def _batch(setup):
    return audit(setup.model, setup.optimizer, batch=setup.batch, loss_of=setup.loss_of)


# --- batch norm: biases, decay, options -------------------------------------------------------------------------------


@planted("VGG", "biases before batch norm", "useless-bias", by="batch")
def _():
    return Setup(vgg(bias=True), images())


@planted("ResNet", "biases before norms registered out of order", "useless-bias", by="step")
def _():
    return Setup(ResNet(bias=True), images())


@planted("U-Net", "a functional convolution's bias before a functional norm", "useless-bias", by="batch")
def _():
    return Setup(UNet(bias=True), masks())


@planted("mixer", "a linear layer's bias before a norm behind a transpose", "useless-bias")
def _():
    return Setup(Mixer(bias=True), images())


@planted("shared convolution", "a bias before the norms of both its uses", "useless-bias", by="batch")
def _():
    return Setup(Shared(bias=True), images())


@planted("style network", "a bias before instance norm", "useless-bias", by="batch")
def _():
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.InstanceNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))
    return Setup(model, images())


@planted("1-d convolution", "a bias before batch norm behind pooling", "useless-bias", by="step")
def _():
    model = nn.Sequential(
        nn.Unflatten(1, (1, 64)), nn.Conv1d(1, 6, 5), nn.MaxPool1d(2), nn.BatchNorm1d(6), nn.ReLU(), nn.Flatten(),
        nn.Linear(180, 4),
    )  # fmt: skip
    x, y = images()
    return Setup(model, (x.flatten(1), y))


@planted("ResNet", "all parameters under weight decay", "decay-on-norms", by="model")
def _():
    model = ResNet()
    return Setup(model, images(), optimizer=torch.optim.SGD(model.parameters(), 0.1, weight_decay=5e-4))


@planted("transformer", "layer norms and biases under weight decay", "decay-on-norms")
def _():
    model = Attention()
    return Setup(model, texts(), next_token, torch.optim.AdamW(model.parameters(), 1e-3))


@planted("GroupNorm network", "group norms under weight decay", "decay-on-norms", by="step")
def _():
    model = Grouped()
    return Setup(model, images(4), optimizer=torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-4))


@planted("VGG", "momentum 0.99 copied from another library", "batch-norm-momentum", by="model")
def _():
    return Setup(vgg(momentum=0.99), images())


@planted("VGG", "momentum 0: statistics never move", "batch-norm-momentum", by="batch")
def _():
    return Setup(vgg(momentum=0.0), images())


@planted("VGG", "momentum None", "cumulative-statistics", by="model")
def _():
    return Setup(vgg(momentum=None), images())


@planted("VGG", "eps 1e-8", "batch-norm-epsilon", by="model")
def _():
    return Setup(vgg(eps=1e-8), images())


@planted("ResNet", "eps 0.1", "batch-norm-epsilon", by="step")
def _():
    model = ResNet()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.1
    return Setup(model, images())


# --- batch norm: statistics and batches -------------------------------------------------------------------------------


@planted("VGG", "track_running_stats=False", "no-running-statistics", by="step")
def _():
    return Setup(vgg(tracked=False), images())


@planted("VGG", "trained and then loaded without statistics", "never-updated-statistics", by="model")
def _():
    setup = Setup(vgg(), images())
    usual_step(setup, setup.batch)
    for part in setup.model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
    return setup


@planted("VGG", "running statistics of an earlier checkpoint", "stale-statistics", by="given")
def _():
    setup = Setup(vgg(dropout=0.0), images(64))
    early = {}
    for n in range(60):
        usual_step(setup, setup.batch)
        if n == 1:
            early = {name: buffer.clone() for name, buffer in setup.model.named_buffers()}
    setup.model.load_state_dict(early, strict=False)
    loader = DataLoader(TensorDataset(*setup.batch), 16)
    return audit(setup.model, setup.optimizer, loader=loader, loss_of=classify)


@planted("ResNet", "averaged weights, statistics of the last ones", "statistics-of-other-weights", by="given")
def _():
    setup = Setup(ResNet(), images())
    average = AveragedModel(setup.model)
    for _ in range(3):
        usual_step(setup, setup.batch)
        average.update_parameters(setup.model)
    return audit(setup.model, setup.optimizer, averaged=average)


@planted("MLP", "a moving average without its statistics", "statistics-of-other-weights", by="given")
def _():
    setup, average = Setup(mlp(True)), mlp(True)
    average.load_state_dict(setup.model.state_dict())
    for _ in range(3):
        usual_step(setup, setup.batch)
        for mean, p in zip(average.parameters(), setup.model.parameters(), strict=True):
            mean.data.lerp_(p.data, 0.1)
    return audit(setup.model, setup.optimizer, averaged=average)


@planted("MLP", "batches of 4", "tiny-batch", by="batch")
def _():
    return Setup(mlp(True), rows(4))


@planted("VGG", "one sample on maps of one pixel", "tiny-batch", by="batch")
def _():
    model = nn.Sequential(nn.Conv2d(1, 6, 8, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6, 4))
    return Setup(model, images(1))


@planted("MLP", "a last batch of one", "tiny-last-batch", by="given")
def _():
    setup = Setup(mlp(True))
    return audit(setup.model, setup.optimizer, loader=DataLoader(TensorDataset(*rows(33)), 16), loss_of=classify)


@planted("MLP", "a last batch of one in a list of batches", "tiny-last-batch", by="given")
def _():
    setup = Setup(mlp(True))
    batches = list(DataLoader(TensorDataset(*rows(33)), 16))
    return audit(setup.model, setup.optimizer, loader=batches, loss_of=classify)


@planted("MLP", "a last batch of one by a sampler of batches", "tiny-last-batch", by="given")
def _():
    setup, data = Setup(mlp(True)), TensorDataset(*rows(33))
    sampler = BatchSampler(SequentialSampler(data), 16, False)
    return audit(setup.model, setup.optimizer, loader=DataLoader(data, batch_sampler=sampler), loss_of=classify)


@planted("ResNet", "gradients accumulated over four micro-batches", "batch-norm-under-accumulation")
def _():
    def step(setup, batch):
        setup.optimizer.zero_grad()
        for _ in range(4):
            (setup.loss_of(setup.model, batch) / 4).backward()
        setup.optimizer.step()

    return Setup(ResNet(), images(), step=step)


@planted("ResNet", "two processes", "unsynchronised-batch-norm", by="given")
def _():
    setup = Setup(ResNet(), images())
    return audited(setup, world_size=2)


@planted("ResNet", "activation checkpointing over batch norm", "statistics-updated-twice")
def _():
    model = ResNet()
    plain = model.layers.forward
    model.layers.forward = lambda x: checkpoint(plain, x, use_reentrant=False)
    return Setup(model, images())


@planted("shared convolution", "one norm for two scales", "shared-batch-norm", by="step")
def _():
    return Setup(Shared(one_norm=True), images())


@planted("ResNet", "a frozen body whose norms go on moving", "frozen-batch-norm-moves")
def _():
    model = ResNet()
    for part in (model.stem, model.norm, model.layers):
        part.requires_grad_(False)
    return Setup(model, images(), optimizer=torch.optim.Adam(model.head.parameters()))


# --- modes ------------------------------------------------------------------------------------------------------------


def in_training_mode(setup, batch):
    with torch.no_grad():
        setup.loss_of(setup.model, batch)


def stays_in_eval_mode(setup, batch):
    setup.model.eval()
    with torch.no_grad():
        setup.loss_of(setup.model, batch)


@planted("VGG", "no model.eval() before evaluating", "training-mode-in-evaluation")
def _():
    return Setup(vgg(), images(), evaluate=in_training_mode)


@planted("transformer", "no model.eval() before evaluating", "training-mode-in-evaluation", by="step")
def _():
    model = Encoder()
    return Setup(model, sequences(), optimizer=adam(model), evaluate=in_training_mode)


@planted("LSTM", "no model.eval(), gradients left on", "training-mode-in-evaluation")
def _():
    def evaluate(setup, batch):
        setup.loss_of(setup.model, batch)

    return Setup(Recurrent(nn.LSTM, 0.2, 2), sequences(), evaluate=evaluate)


@planted("VGG", "no model.train() after the first evaluation", "eval-mode-in-training")
def _():
    def step(setup, batch):
        usual_step(setup, batch)
        setup.model.eval()

    return Setup(vgg(), images(), step=step)


@planted("MLP", "model.eval() before training", "eval-mode-in-training", by="step")
def _():
    def step(setup, batch):
        setup.model.eval()
        usual_step(setup, batch)

    return Setup(mlp(True, 0.2), step=step)


@planted("transformer", "attention drops at evaluation", "dropout-in-evaluation", by="batch")
def _():
    model = Attention(careless=True)
    return Setup(model, texts(), next_token, adam(model))


class Careless(nn.Module):
    def __init__(self, norm=False):
        super().__init__()
        self.first, self.last = nn.Linear(12, 16, bias=not norm), nn.Linear(16, 4)
        self.norm = norm
        self.register_buffer("mean", torch.zeros(16))
        self.register_buffer("var", torch.ones(16))

    def forward(self, x):
        x = self.first(x)
        x = F.batch_norm(x, self.mean, self.var, training=True) if self.norm else F.dropout(x, 0.3)
        return self.last(F.relu(x))


@planted("MLP", "F.dropout(x, 0.3) without training=", "dropout-in-evaluation")
def _():
    return Setup(Careless())


@planted("MLP", "F.batch_norm with training=True throughout", "training-mode-in-evaluation", by="step")
def _():
    return Setup(Careless(norm=True))


@planted("VGG", "evaluation keeps gradients", "gradients-in-evaluation", by="step")
def _():
    def evaluate(setup, batch):
        setup.model.eval()
        setup.loss_of(setup.model, batch)
        setup.model.train()

    return Setup(vgg(), images(), evaluate=evaluate)


# --- gradients and steps ----------------------------------------------------------------------------------------------


def without_zero_grad(setup, batch):
    setup.loss_of(setup.model, batch).backward()
    setup.optimizer.step()


@planted("MLP", "no zero_grad", "forgotten-zero-grad")
def _():
    return Setup(mlp(), step=without_zero_grad)


@planted("transformer", "no zero_grad", "forgotten-zero-grad", by="step")
def _():
    model = Attention()
    return Setup(model, texts(), next_token, adam(model), step=without_zero_grad)


@planted("GRU", "zero_grad between backward and step", "zero-gradient")
def _():
    def step(setup, batch):
        setup.loss_of(setup.model, batch).backward()
        setup.optimizer.zero_grad(set_to_none=False)
        setup.optimizer.step()

    return Setup(Recurrent(), sequences(), step=step)


@planted("MLP", "no backward", "no-backward", by="step")
def _():
    def step(setup, batch):
        setup.optimizer.zero_grad()
        setup.loss_of(setup.model, batch)
        setup.optimizer.step()

    return Setup(mlp(), step=step)


@planted("GRU", "a detached loss", "no-backward", by="step")
def _():
    def step(setup, batch):
        setup.optimizer.zero_grad()
        loss = setup.loss_of(setup.model, batch).detach().requires_grad_()
        loss.backward()
        setup.optimizer.step()

    return Setup(Recurrent(), sequences(), step=step)


@planted("VGG", "no step", "no-step", by="step")
def _():
    def step(setup, batch):
        setup.optimizer.zero_grad()
        setup.loss_of(setup.model, batch).backward()

    return Setup(vgg(), images(), step=step)


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(12, 16), nn.Linear(16, 4)

    def forward(self, x):
        return self.last(F.relu(self.first(x)).detach())


@planted("MLP", "a detach() in the middle", "no-gradient", by="batch")
def _():
    return Setup(Detached())


@planted("transformer", "a layer that nothing uses", "no-gradient", by="step")
def _():
    model = Encoder()
    model.spare = nn.Linear(16, 4)
    return Setup(model, sequences(), optimizer=adam(model))


@planted("MLP", "a layer of dead units", "zero-gradient")
def _():
    model = mlp()
    with torch.no_grad():
        model[0].bias -= 100.0
    return Setup(model)


@planted("U-Net", "a NaN in the loss", "non-finite-gradient", by="step")
def _():
    return Setup(UNet(), masks(), lambda model, batch: (model(batch[0]) - model(batch[0])).norm() ** 0.5)


# --- losses -----------------------------------------------------------------------------------------------------------


@planted("VGG", "softmax before cross-entropy", "softmax-before-cross-entropy", by="batch")
def _():
    return Setup(nn.Sequential(vgg(), nn.Softmax(1)), images())


@planted("U-Net", "softmax by hand before cross-entropy", "softmax-before-cross-entropy", by="step")
def _():
    def loss_of(model, batch):
        powers = model(batch[0]).exp()
        return F.cross_entropy(powers / powers.sum(1, keepdim=True), batch[1])

    return Setup(UNet(), masks(), loss_of)


@planted("GRU", "log-softmax before cross-entropy", "log-softmax-before-cross-entropy")
def _():
    return Setup(nn.Sequential(Recurrent(), nn.LogSoftmax(1)), sequences())


@planted("MLP", "sigmoid before cross-entropy", "sigmoid-before-cross-entropy", by="batch")
def _():
    return Setup(nn.Sequential(mlp(), nn.Sigmoid()))


@planted("VGG", "ReLU before cross-entropy", "relu-before-cross-entropy", by="batch")
def _():
    return Setup(nn.Sequential(vgg(), nn.ReLU()), images())


@planted("MLP", "sigmoid before a loss of logits", "sigmoid-before-logits-loss")
def _():
    def loss_of(model, batch):
        return F.binary_cross_entropy_with_logits(model(batch[0])[:, 0], (batch[1] > 1).float())

    return Setup(nn.Sequential(mlp(), nn.Sigmoid()), loss_of=loss_of)


@planted("transformer", "nll_loss of logits", "nll-loss-without-log-softmax", by="step")
def _():
    model = Encoder()
    return Setup(model, sequences(), lambda m, batch: F.nll_loss(m(batch[0]), batch[1]), adam(model))


# --- who trains what --------------------------------------------------------------------------------------------------


@planted("VGG", "frozen layers in the optimizer", "frozen-in-optimizer", by="model")
def _():
    setup = Setup(vgg(), images())
    setup.model[0].requires_grad_(False)
    return setup


@planted("GRU", "only the head in the optimizer", "not-in-optimizer", by="model")
def _():
    model = Recurrent()
    return Setup(model, sequences(), optimizer=torch.optim.Adam(model.head.parameters()))


@planted("ResNet", "a head replaced after the optimizer was made", "stale-optimizer")
def _():
    setup = Setup(ResNet(), images())
    setup.model.head = nn.Linear(8, 4)
    return setup


@planted("MLP", "an optimizer of another copy of the model", "stale-optimizer", by="model")
def _():
    return Setup(mlp(), optimizer=torch.optim.Adam(mlp().parameters()))


@planted("MLP", "one parameter in two optimizers", "duplicate-in-optimizer", by="model")
def _():
    model = mlp()
    optimizers = [torch.optim.SGD(model.parameters(), 0.1), torch.optim.SGD([model[0].weight], 0.1)]
    return Setup(model, optimizer=optimizers)


@planted("MLP", "layers in a plain list", "unregistered-module", by="step")
def _():
    model = Hidden()
    return Setup(model, optimizer=torch.optim.SGD([model.scale], 0.1))


@planted("MLP", "a weight that is no parameter", "unregistered-parameter", by="model")
def _():
    model = Loose()
    return Setup(model, optimizer=torch.optim.SGD(model.parameters(), 0.1))
