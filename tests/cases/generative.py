"""Generative: the errors of a denoiser, a velocity and a score. A value is one of d, of which the sum is judged."""

import itertools

import numpy as np
from mpmath import exp, inf, mpf, sqrt

from cases.table import Case, D


def _sigmoid(x):
    return mpf(x > 0) if abs(x) == inf else 1 / (1 + exp(-mpf(x)))


def _limit(function, log_snr):
    """The function, at an infinite argument as far out as tells the limit."""
    if abs(log_snr) < inf:
        return function(mpf(log_snr))
    far = function(mpf(1e6) if log_snr > 0 else mpf(-1e6))
    return inf if far > 1e300 else mpf(0) if far < 1e-300 else far


def diffusion(prediction, data, noise, log_snr, predicts="noise", weighting=None, gamma=5.0, sigma_data=0.5):
    alpha, sigma = sqrt(_sigmoid(log_snr)), sqrt(_sigmoid(-log_snr))
    gamma, variance = mpf(gamma), mpf(sigma_data) ** 2
    weight_of = {
        "noise": lambda _: 1,
        "data": lambda snr: 1 / snr,
        "v": lambda snr: 1 + 1 / snr,
        "min_snr": lambda snr: min(1, gamma / snr),
        "truncated_snr": lambda snr: max(1, 1 / snr),
        "edm": lambda snr: 1 + 1 / (snr * variance),
    }
    noise_error_of = {
        "noise": lambda _: 1,
        "data": lambda x: exp(x),
        "v": lambda x: 1 / (1 + exp(-x)),
        "velocity": lambda x: 1 / (1 + exp(-x / 2)) ** 2,
    }[predicts]
    factor = 1 if weighting is None else _limit(lambda x: weight_of[weighting](exp(x)) * noise_error_of(x), log_snr)
    total = mpf(0)
    for y, x, e in zip(prediction, data, noise, strict=True):
        target = {
            "noise": e,
            "data": x,
            "v": alpha * mpf(e) - sigma * mpf(x),
            "velocity": mpf(e) - mpf(x),
        }[predicts]
        square = (mpf(y) - mpf(target)) ** 2
        total += square * factor if square else 0
    return total


def flow_matching(velocity, start, end):
    return (mpf(velocity) - (mpf(end) - mpf(start))) ** 2


def denoising_score_matching(score, noise, sigma):
    return sum((mpf(sigma) * mpf(s) + mpf(e)) ** 2 for s, e in zip(score, noise, strict=True))


def denoised(rng, n):
    return *(rng.normal(size=(n, D)) for _ in range(3)), rng.uniform(-4, 4, n)


def three_samples(rng, n):
    return tuple(rng.normal(size=n) * 2 for _ in range(3))


def scored(rng, n):
    return rng.normal(size=(n, D)), rng.normal(size=(n, D)), rng.uniform(0.1, 2, n)


def _noise_levels(_):
    one = [0.3, -0.7, 1.5, 0.0], [0.5, 1.0, -0.25, 0.0], [-1.0, 0.2, 0.4, 0.0]
    yield from ((*one, x) for x in (0.1, 1e-4, 1.3, -1.3, 1.7, 9.3, -9.3, 20.3, -20.3, 60.1, -60.1, np.inf, -np.inf))
    yield from (([y] * 4, [0.0] * 4, [0.0] * 4, 0.5) for y in (0.0, 1e-15, 1e4, 1e15))


def _velocities(ulp):
    sizes = (0.0, 1e-15, 0.1, 1.0, 1e4, 1e15)
    yield from itertools.product((*sizes, -1.0, 1 + 2 * ulp), sizes, (0.0, 1.0, -0.5))


def _scores(_):
    yield from (
        ([0.8, -2.0, s, 0.0], [-1.0, 0.2, 0.4, 0.0], sigma) for s in (0.0, 1e4) for sigma in (0.0, 1e-4, 0.5, 1e3)
    )


_COMBINED = (
    {},
    {"weighting": "min_snr"},
    *({"predicts": "data", "weighting": w} for w in ("noise", "truncated_snr")),
    *({"predicts": "v", "weighting": w} for w in (None, "min_snr", "data")),
    *({"predicts": "velocity", "weighting": w} for w in (None, "edm", "v")),
)

CASES = (
    Case(
        "diffusion",
        denoised,
        diffusion,
        options=_COMBINED,
        corners=(
            ([0.1] * D, [0.5] * D, [0.1] * D, -np.inf),
            ([0.1] * D, [0.1] * D, [0.1] * D, np.inf),
            ([0.1] * D, [0.5] * D, [-1.0] * D, 20.0),
        ),
        differentiable=(0, 1, 2, 3),
        hard=_noise_levels,
        relative_to_item=(3,),
    ),
    Case(
        "flow_matching",
        three_samples,
        flow_matching,
        corners=((1.5, -1.0, 0.5), (0.0, 0.0, 0.0), (1e15, 0.0, 1.0)),
        differentiable=(0, 1, 2),
        hard=_velocities,
    ),
    Case(
        "denoising_score_matching",
        scored,
        denoising_score_matching,
        corners=(([0.5] * D, [-1.0] * D, 2.0), ([0.5] * D, [-1.0] * D, 0.0)),
        differentiable=(0, 1, 2),
        hard=_scores,
    ),
)
