"""A training as people write it, sound in all its parts, each of which a test may replace by a faulty one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from networks_small import (
    Attention,
    Autoencoder,
    Dense,
    Encoder,
    Grouped,
    Heads,
    Mixer,
    PreActivation,
    Recurrent,
    ResNet,
    Shared,
    UNet,
    mlp,
    vgg,
)
from torch import nn

from tunewell.torch import audit, watching


def rows(n=16, classes=4):
    return torch.randn(n, 12), torch.randint(classes, (n,))


def images(n=16, size=8):
    return torch.randn(n, 1, size, size), torch.randint(4, (n,))


def masks(n=4):
    return torch.randn(n, 1, 8, 8), torch.randint(3, (n, 8, 8))


def sequences(n=16):
    return torch.randint(20, (n, 8)), torch.randint(4, (n,))


def texts(n=16):
    tokens = torch.randint(20, (n, 9))
    return tokens[:, :-1], tokens[:, 1:]


def classify(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def next_token(model, batch):
    return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


def groups(model, decay=0.0):
    """Norms and biases apart from what decays."""
    flat = [p for p in model.parameters() if p.dim() <= 1]
    return [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": decay},
        *([{"params": flat, "weight_decay": 0.0}] if flat else []),
    ]


@dataclass
class Setup:
    """A model and its training; ``step`` and ``evaluate`` are the bodies of the two loops."""

    model: nn.Module
    batch: Any = field(default_factory=rows)
    loss_of: Callable[[Any, Any], torch.Tensor] = classify
    optimizer: Any = None
    step: Callable[[Setup, Any], None] | None = None
    evaluate: Callable[[Setup, Any], None] | None = None

    def __post_init__(self):
        if self.optimizer is None:
            self.optimizer = torch.optim.SGD(groups(self.model, 1e-4), 0.05, momentum=0.9)
        self.step, self.evaluate = self.step or usual_step, self.evaluate or usual_evaluation


def usual_step(setup, batch):
    setup.optimizer.zero_grad()
    setup.loss_of(setup.model, batch).backward()
    setup.optimizer.step()


def usual_evaluation(setup, batch):
    setup.model.eval()
    with torch.no_grad():
        setup.loss_of(setup.model, batch)
    setup.model.train()


def watched(setup, steps=3):
    """Watch the setup's own loop: some steps and an evaluation of two batches."""
    with watching(setup.model) as watch:
        for _ in range(steps):
            setup.step(setup, setup.batch)
        for _ in range(2):
            setup.evaluate(setup, setup.batch)
    return watch.findings()


def audited(setup, **more):
    """Audit the setup with two of its own training steps and its evaluation."""
    return audit(
        setup.model,
        setup.optimizer,
        batch=setup.batch,
        loss_of=setup.loss_of,
        train_step=lambda batch: setup.step(setup, batch),
        evaluate=lambda: setup.evaluate(setup, setup.batch),
        **more,
    )


def codes(findings):
    return {finding.code for finding in findings}


# --- sound trainings --------------------------------------------------------------------------------------------------


def two_heads(model, batch):
    out = model(*batch[0])
    return F.cross_entropy(out["kind"], batch[1]) + 0.1 * out["size"].square().mean()


def reconstruct(model, batch):
    return F.mse_loss(model.decode(model.encode(batch[0])), batch[0])


def pixels_and_bits(model, batch):
    return F.binary_cross_entropy_with_logits(model(batch[0])[:, 0], (batch[1] > 1).float())


def with_half_nll(model, batch):
    return F.nll_loss(F.log_softmax(model(batch[0]).bfloat16(), 1).float(), batch[1])


def with_nll(model, batch):
    return F.nll_loss(F.log_softmax(model(batch[0]), 1), batch[1])


def adam(model, **options):
    return torch.optim.AdamW(groups(model, 0.01), 1e-3, **options)


def twins(model, batch):
    """Two views of a batch, two calls and one loss, as in contrastive learning."""
    first, second = model(batch[0]), model(batch[0] + 0.1 * torch.randn_like(batch[0]))
    return F.cross_entropy(first @ second.T, torch.arange(len(first)))


def with_targets_of_its_own(model, batch):
    """Pseudo-labels: a call without gradients within the step."""
    with torch.no_grad():
        target = model(batch[0]).argmax(1)
    return F.cross_entropy(model(batch[0]), target)


def late_zero_grad(setup, batch):
    loss = setup.loss_of(setup.model, batch)
    setup.model.zero_grad(set_to_none=False)
    loss.backward()
    nn.utils.clip_grad_norm_(setup.model.parameters(), 1.0)
    setup.optimizer.step()


def accumulating(setup, batch):
    for _ in range(2):
        (setup.loss_of(setup.model, batch) / 2).backward()
    setup.optimizer.step()
    setup.optimizer.zero_grad()


def with_closure(setup, batch):
    def closure():
        setup.optimizer.zero_grad()
        loss = setup.loss_of(setup.model, batch)
        loss.backward()
        return loss

    setup.optimizer.step(closure)


def mixed_precision(setup, batch):
    setup.optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = setup.loss_of(setup.model, batch)
    loss.backward()
    setup.optimizer.step()


def inference_mode(setup, batch):
    setup.model.eval()
    with torch.inference_mode():
        setup.model(batch[0])
    setup.model.train()


def embedded():
    """A bag of words, whose embedding has sparse gradients."""
    model = nn.Sequential(nn.EmbeddingBag(20, 8, sparse=True), nn.Linear(8, 4))
    return Setup(model, sequences(), optimizer=torch.optim.SGD(model.parameters(), 0.1))


def fine_tuned():
    """A frozen body that has trained before, its norms in evaluation mode, and a new head."""
    model = ResNet()
    model(images()[0])
    for part in (model.stem, model.norm, model.layers):
        part.requires_grad_(False)

    def step(setup, batch):
        setup.model.train()
        for part in (setup.model.norm, setup.model.layers):
            part.eval()
        usual_step(setup, batch)

    def evaluate(setup, batch):
        usual_evaluation(setup, batch)
        setup.model.norm.eval()
        setup.model.layers.eval()

    setup = Setup(model, images(), optimizer=torch.optim.Adam(model.head.parameters()), step=step, evaluate=evaluate)
    model.norm.eval()
    model.layers.eval()
    return setup


def adversarial():
    """Two networks that train each other."""
    generator, judge = mlp(True, sizes=(12, 16, 12)), mlp(sizes=(12, 16, 1))
    model = nn.ModuleDict({"generator": generator, "judge": judge})
    optimizers = [torch.optim.Adam(generator.parameters(), 1e-3), torch.optim.Adam(judge.parameters(), 1e-3)]
    one, zero = torch.ones(16, 1), torch.zeros(16, 1)

    def step(setup, batch):
        with torch.no_grad():
            fake = generator(batch[0])
        optimizers[1].zero_grad()
        loss = F.binary_cross_entropy_with_logits(judge(batch[0]), one)
        (loss + F.binary_cross_entropy_with_logits(judge(fake), zero)).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        F.binary_cross_entropy_with_logits(judge(generator(batch[0])), one).backward()
        optimizers[0].step()

    def evaluate(setup, batch):
        model.eval()
        with torch.no_grad():
            judge(generator(batch[0]))
        model.train()

    return Setup(model, rows(), optimizer=optimizers, step=step, evaluate=evaluate)


class Following(nn.Module):
    """A network and a slower copy of it that gives the targets, with batch statistics of its own, as in BYOL."""

    def __init__(self):
        super().__init__()
        self.online, self.target, self.predict = mlp(True), mlp(True), nn.Linear(4, 4)
        self.target.requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            target = self.target(x)
        return self.predict(self.online(x)), target


def following():
    def step(setup, batch):
        usual_step(setup, batch)
        online, target = setup.model.online.parameters(), setup.model.target.parameters()
        with torch.no_grad():
            for slow, fast in zip(target, online, strict=True):
                slow.lerp_(fast, 0.05)

    model = Following()
    trained = [*model.online.parameters(), *model.predict.parameters()]
    return Setup(
        model, loss_of=lambda m, batch: F.mse_loss(*m(batch[0])), optimizer=torch.optim.Adam(trained), step=step
    )


def two_backward_passes(setup, batch):
    """Two losses of one forward pass, each with a backward pass of its own."""
    setup.optimizer.zero_grad()
    out = setup.model(batch[0])
    F.cross_entropy(out, batch[1]).backward(retain_graph=True)
    out.square().mean().backward()
    setup.optimizer.step()


def by_parts():
    model = Autoencoder()

    def evaluate(setup, batch):
        model.eval()
        with torch.no_grad():
            reconstruct(model, batch)
        model.train()

    return Setup(model, loss_of=reconstruct, evaluate=evaluate)


def tied():
    model = Attention()
    return Setup(model, texts(), next_token, adam(model))


def two_inputs():
    model = Heads()
    return Setup(model, ((torch.randn(16, 12), torch.randn(16, 12)), torch.randint(4, (16,))), two_heads)


SOUND: dict[str, Callable[[], Setup]] = {
    "an MLP": lambda: Setup(mlp()),
    "an MLP with batch norm and dropout": lambda: Setup(mlp(True, 0.2)),
    "a VGG": lambda: Setup(vgg(), images()),
    "a ResNet, norms registered out of order": lambda: Setup(ResNet(), images()),
    "a ResNet whose branches start at zero": lambda: Setup(ResNet(zero_init=True), images()),
    "a pre-activation ResNet with biases that matter": lambda: Setup(PreActivation(), images()),
    "a U-Net of functional calls": lambda: Setup(UNet(), masks()),
    "a U-Net with a logits loss": lambda: Setup(UNet(), masks(), pixels_and_bits, evaluate=usual_evaluation),
    "a transformer with tied weights": tied,
    "PyTorch's own transformer": lambda: Setup(m := Encoder(), sequences(), optimizer=adam(m)),
    "a GRU": lambda: Setup(Recurrent(), sequences()),
    "an LSTM of two layers with dropout": lambda: Setup(Recurrent(nn.LSTM, 0.2, 2), sequences()),
    "shared convolution, norms apart": lambda: Setup(Shared(), images()),
    "a shared bias that one use needs": lambda: Setup(Shared(bias=True, leaks=True), images()),
    "GroupNorm with biases": lambda: Setup(Grouped(), images(4)),
    "a mixer with a norm after a transpose": lambda: Setup(Mixer(), images()),
    "concatenation past the norm": lambda: Setup(Dense(), images()),
    "two inputs, a dict of outputs": two_inputs,
    "an autoencoder called by its parts": by_parts,
    "a bag of words with sparse gradients": embedded,
    "a frozen body with a new head": fine_tuned,
    "two networks against each other": adversarial,
    "a slower copy that gives the targets": following,
    "two backward passes after one forward pass": lambda: Setup(vgg(), images(), step=two_backward_passes),
    "two views of each batch": lambda: Setup(mlp(True), loss_of=twins),
    "targets without gradients in each step": lambda: Setup(vgg(), images(), with_targets_of_its_own),
    "log-softmax and NLL": lambda: Setup(mlp(), loss_of=with_nll),
    "log-softmax in half precision and NLL": lambda: Setup(mlp(), loss_of=with_half_nll),
    "zero_grad between loss and backward, clipping": lambda: Setup(vgg(), images(), step=late_zero_grad),
    "gradients accumulated on purpose": lambda: Setup(mlp(), step=accumulating),
    "LBFGS with a closure": lambda: Setup(
        m := mlp(), optimizer=torch.optim.LBFGS(m.parameters(), 0.1), step=with_closure
    ),
    "bfloat16 autocast": lambda: Setup(vgg(), images(), step=mixed_precision),
    "inference mode": lambda: Setup(vgg(), images(), evaluate=inference_mode),
}
