"""Rules about a training loop: modes, gradients, steps, and what the loss is fed with."""

from __future__ import annotations

from collections.abc import Iterator

from tunewell.lint.finding import Finding
from tunewell.torch.auditing.evidence import Evidence
from tunewell.torch.auditing.parts import batch_norms, joined, listed
from tunewell.torch.auditing.record import Call
from tunewell.torch.auditing.watching import STEPS
from tunewell.torch.optimizers import held_by


def modes_in_evaluation(given: Evidence) -> Iterator[Finding]:
    """Point out training mode, or dropout, while the model is evaluated."""
    calls = given.record.evaluation
    norms = batch_norms(given.model)
    in_training = [call for call in calls if call.model_training and _stochastic(given, call)]
    parts = sorted({name for call in calls if not call.model_training for name in call.training_parts})
    if in_training:
        yield Finding(
            "training-mode-in-evaluation",
            None,
            f"the model is evaluated in training mode: {listed(_stochastic(given, in_training[0]))} act as in training",
            "call model.eval() before evaluating, and model.train() after it",
        )
    elif stay := [name for name in parts if name in norms]:
        yield Finding(
            "training-mode-in-evaluation",
            joined(stay),
            f"{listed(stay)} stay in training mode although the model is in evaluation mode",
            "let train() of the model pass the mode on to all its layers",
        )
    if in_training:
        return
    numbers = {call.number for call in calls if not call.model_training}
    seen = [(module, name) for call, module, name in given.record.unconditional if call in numbers]
    if fixed := sorted({module for module, name in seen if name == "batch_norm" and module not in parts}):
        yield Finding(
            "training-mode-in-evaluation",
            joined(fixed) or None,
            f"a functional batch_norm{_inside(fixed)} uses the batch's statistics in evaluation, too",
            "pass training=self.training",
        )
    dropping = sorted({*(n for n in parts if n not in norms), *(m for m, name in seen if name != "batch_norm")})
    if dropping:
        function = next((name for _, name in seen if name != "batch_norm"), "dropout")
        yield Finding(
            "dropout-in-evaluation",
            joined(dropping) or None,
            f"{function}{_inside(dropping)} drops units although the model is in evaluation mode",
            "use nn.Dropout, or pass dropout_p=p if self.training else 0.0"
            if function == "scaled_dot_product_attention"
            else "use nn.Dropout, or pass training=self.training",
        )


def _stochastic(given: Evidence, call: Call) -> list[str]:
    """Return what behaves as in training during a call."""
    functional = {module or name for number, module, name in given.record.unconditional if number == call.number}
    return sorted(call.training_parts | functional)


def _inside(modules: list[str]) -> str:
    return f" in {listed(modules)}" if any(modules) else ""


def gradients_in_evaluation(given: Evidence) -> Iterator[Finding]:
    """Point out gradients that are kept in evaluation for nobody."""
    if any(call.declared_evaluation and call.grad_enabled and not call.backpropagated for call in given.record.calls):
        yield Finding(
            "gradients-in-evaluation",
            None,
            "the evaluation keeps activations for gradients that nobody asks for, which costs memory and time",
            "evaluate under torch.no_grad()",
            "advice",
        )


def eval_mode_in_training(given: Evidence) -> Iterator[Finding]:
    """Point out steps that were taken with the whole model in evaluation mode."""
    groups: dict[int, list[Call]] = {}
    for call in given.record.training:
        if call.steps_before < len(given.record.steps):
            groups.setdefault(call.steps_before, []).append(call)
    n = sum(all(call.eval_parts and not call.model_training for call in calls) for calls in groups.values())
    if n:
        yield Finding(
            "eval-mode-in-training",
            None,
            f"{n} of {len(groups)} steps were taken in evaluation mode: batch norm does not normalise by the batch or "
            f"update its statistics, and dropout is off",
            "call model.train() before training, and again after every evaluation",
        )


# --- gradients and steps ----------------------------------------------------------------------------------------------


def zero_grad(given: Evidence) -> Iterator[Finding]:
    """Point out gradients that are added to those of a step before."""
    stale = [*dict.fromkeys(name for step in given.record.steps for name in sorted(step.stale))]
    if stale:
        yield Finding(
            "forgotten-zero-grad",
            joined(stale),
            f"the gradients of {listed(stale)} were added to those that a step had already used",
            "call optimizer.zero_grad() between one step and the next backward",
        )


def steps_missing(given: Evidence) -> Iterator[Finding]:
    """Point out loops without backward or without step."""
    record = given.record
    if not given.looped or not any(p.requires_grad for p in given.model.parameters()):
        return
    tried = [call for call in record.calls if call.grad_enabled and not call.declared_evaluation]
    if not record.got_gradient and (record.steps or (given.optimizers and len(tried) > 1)):
        yield Finding(
            "no-backward",
            None,
            f"no gradient reached the model in {len(tried)} calls, so it does not learn",
            "call loss.backward() before optimizer.step(), on a loss that was not detached",
        )
    elif record.got_gradient and given.optimizers and not record.steps and len(record.training) > 1:
        yield Finding(
            "no-step",
            None,
            f"gradients were computed in {len(record.training)} calls and no optimizer took a step",
            "call optimizer.step() after loss.backward()",
        )


def gradients_missing(given: Evidence) -> Iterator[Finding]:
    """Point out parameters that no gradient reaches, and gradients that are zero or not finite."""
    record = given.record
    if not record.got_gradient:
        return
    names = [n for n, p in given.model.named_parameters() if p.requires_grad and n not in record.got_gradient]
    if names:
        yield Finding(
            "no-gradient",
            joined(names),
            f"{len(names)} parameters ({listed(names)}) got no gradient: the loss does not depend on them, or a tensor "
            f"was detached on the way",
            "use them, remove them, or set requires_grad=False",
        )
    moved = {name for step in record.steps for name in step.moved}
    broken = {name for step in record.steps for name in step.broken} if record.steps else record.broken
    held, weights = held_by(given.optimizers), dict(given.model.named_parameters())
    mine = [name for name in sorted(record.got_gradient) if name in weights and id(weights[name]) in held]
    still = [name for name in mine if name not in moved | record.useless.keys()]
    if len(record.steps) > 1 and still:
        yield Finding(
            "zero-gradient",
            joined(still),
            f"the gradients of {listed(still)} were exactly zero in all {min(len(record.steps), STEPS)} steps",
            "look for units that are always off, or weights that start at zero on both sides",
        )
    if broken:
        yield Finding(
            "non-finite-gradient",
            joined(sorted(broken)),
            f"the gradients of {listed(sorted(broken))} hold NaN or infinity",
            "look for a division by zero, a log of zero or an overflow in the loss; lower the learning rate or clip",
        )


# --- what the loss is fed with ----------------------------------------------------------------------------------------

_PROBABILITIES = (
    "softmax-before-cross-entropy",
    "cross_entropy gets probabilities and applies softmax once more, which flattens the loss and its gradients",
    "pass the logits, without softmax",
    "warning",
)
_TWICE = (
    "log-softmax-before-cross-entropy",
    "cross_entropy gets log-probabilities and applies log-softmax once more, which changes nothing and costs time",
    "pass the logits, or use nll_loss",
    "advice",
)
_RANGE = (
    "sigmoid-before-cross-entropy",
    "cross_entropy gets the output of a sigmoid, so no class can be more than e times as likely as another",
    "pass the logits, without sigmoid",
    "warning",
)
_CLIPPED = (
    "relu-before-cross-entropy",
    "cross_entropy gets the output of a ReLU, so a class cannot be less likely than the least evidence",
    "pass the logits, without ReLU",
    "warning",
)
_LOGITS = (
    "sigmoid-before-logits-loss",
    "binary_cross_entropy_with_logits gets probabilities and applies the sigmoid once more",
    "pass the logits, or use binary_cross_entropy",
    "warning",
)
_NOT_LOGS = (
    "nll-loss-without-log-softmax",
    "nll_loss gets numbers that are no log-probabilities, so the loss has no lower end",
    "use cross_entropy, or apply log_softmax first",
    "warning",
)


def losses(given: Evidence) -> Iterator[Finding]:
    """Point out losses that get something else than they are made for."""
    said: dict[str, Finding] = {}
    for seen in given.record.losses:
        found = None
        if seen.loss == "cross_entropy":
            if seen.made_by == "softmax" or seen.sums_to_one:
                found = _PROBABILITIES
            elif seen.made_by == "log-softmax" or seen.is_log:
                found = _TWICE
            else:
                found = {"sigmoid": _RANGE, "ReLU": _CLIPPED}.get(seen.made_by or "")
        elif seen.loss == "binary_cross_entropy_with_logits" and seen.made_by in ("sigmoid", "softmax"):
            found = _LOGITS
        elif seen.loss == "nll_loss" and seen.is_log is False:
            found = _NOT_LOGS
        if found:
            code, message, fix, severity = found
            said[code] = Finding(code, None, message, fix, "advice" if severity == "advice" else "warning")
    yield from said.values()


RULES = (
    modes_in_evaluation, eval_mode_in_training, zero_grad, steps_missing, gradients_missing, losses,
    gradients_in_evaluation,
)  # fmt: skip
