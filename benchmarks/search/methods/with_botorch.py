"""BoTorch's qLogNEHVI (Daulton et al. 2021, Ament et al. 2023) as its tutorials write it, for several objectives.

One Gaussian process per objective on the unit cube; a category takes one coordinate for each of its choices, and the
largest wins. The first 2 (d + 1) configurations come from a Sobol sequence.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import SumMarginalLogLikelihood

from benchmarks.search.methods import Search, Task
from tunewell.space import Choice


class NoisyHypervolume:
    """The loop of BoTorch's tutorial on noisy, several objectives."""

    def __init__(self, task: Task) -> None:
        warnings.simplefilter("ignore")  # of its numerics, about jitter and scaling
        torch.manual_seed(task.seed)
        torch.set_default_dtype(torch.float64)
        self._space, self._batch = task.space, task.batch
        self._reference = -torch.tensor(task.reference)
        widths = [p.count if isinstance(p, Choice) and not p.ordered else 1 for p in task.space.values()]
        self._ends = np.cumsum([0, *map(int, widths)]).tolist()
        self._initial = 2 * (len(task.space) + 1)
        self._sobol = torch.quasirandom.SobolEngine(self._ends[-1], scramble=True, seed=task.seed)
        self._asked: list[np.ndarray] = []
        self._told: dict[int, tuple[float, ...]] = {}

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Maximise the acquisition function given what is known and what is pending."""
        point = self._sobol.draw(1)[0] if len(self._asked) < self._initial else self._suggest()
        config = self._decode(point.numpy())
        self._asked.append(self._encode(config))
        return len(self._asked) - 1, config

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """Keep the losses."""
        self._told[ticket] = losses

    def recommend(self) -> dict[str, Any] | None:
        """Return nothing: the front of what was observed counts."""
        return None

    def _suggest(self) -> torch.Tensor:
        known = torch.tensor(np.array([self._asked[k] for k in self._told]))
        values = -torch.tensor(np.array(list(self._told.values())))
        waiting = [x for k, x in enumerate(self._asked) if k not in self._told]
        models = [SingleTaskGP(known, y[:, None], outcome_transform=Standardize(m=1)) for y in values.T]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=self._reference,
            X_baseline=known,
            prune_baseline=True,
            sampler=SobolQMCNormalSampler(sample_shape=torch.Size([128])),
            X_pending=torch.tensor(np.array(waiting)) if waiting else None,
        )
        d = self._ends[-1]
        bounds = torch.stack([torch.zeros(d), torch.ones(d)])
        options = {"batch_limit": 5, "maxiter": 200}
        found, _ = optimize_acqf(acquisition, bounds, q=1, num_restarts=10, raw_samples=512, options=options)
        return found[0].detach()

    def _decode(self, point: np.ndarray) -> dict[str, Any]:
        unit = [
            (int(np.argmax(point[a:b])) + 0.5) / (b - a) if b - a > 1 else float(point[a])
            for a, b in zip(self._ends, self._ends[1:], strict=False)
        ]
        return self._space.decode_one(unit)

    def _encode(self, config: dict[str, Any]) -> np.ndarray:
        unit = self._space.encode([config])[0]
        point = np.zeros(self._ends[-1])
        for u, a, b in zip(unit, self._ends, self._ends[1:], strict=False):
            point[a + int(u * (b - a)) if b - a > 1 else a] = 1.0 if b - a > 1 else u
        return point


def begin(task: Task) -> Search:
    """Start a search."""
    return NoisyHypervolume(task)
