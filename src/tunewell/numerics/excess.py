"""The mean excess of a normal variable below a bound, in logarithms: what expected improvements are made of."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx

from tunewell.scales import Floats

LOG_ROOT_2PI = 0.5 * float(np.log(2.0 * np.pi))
_ROOT_HALF_PI = float(np.sqrt(np.pi / 2.0))
_ROOT2 = float(np.sqrt(2.0))


def log_mean_excess(z: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log ψ = log E[max(a - y, 0)] and its derivatives in μ and σ, each of the shape of ``z`` = (a - μ) / σ.

    ψ = σ h(z) with h(z) = φ(z) + z Φ(z) = max(z, 0) + h(-|z|), and dψ/dμ = -Φ(z), dψ/dσ = φ(z). With t = -|z| and the
    ratio R = Φ(t) / φ(t) = √(π/2) erfcx(-t/√2), h(t) = φ(t) (1 + t R); where that cancels, below -100, its series
    1/t² - 3/t⁴ + 15/t⁶. All of z < 0 is relative to φ (Ament et al. 2023, arXiv:2310.20708, eq. 9).
    """
    t = -np.abs(z)
    ratio = _ROOT_HALF_PI * erfcx(t / -_ROOT2)
    rest = 1.0 + t * ratio
    far = t < -100.0
    if far.any():
        inverse = t[far] ** -2.0
        rest[far] = inverse * (1.0 - 3.0 * inverse + 15.0 * inverse * inverse)
    half = -0.5 * t * t - LOG_ROOT_2PI
    density = np.exp(half)
    above = z > 0.0
    h = np.where(above, np.where(above, z, 0.0) + density * rest, rest)
    log_psi = np.log(std * h) + np.where(above, 0.0, half)
    h *= std
    return log_psi, np.where(above, density * ratio - 1.0, -ratio) / h, np.where(above, density, 1.0) / h
