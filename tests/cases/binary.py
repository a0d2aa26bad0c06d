"""Classification into two classes."""

import numpy as np
from mpmath import exp, inf, log, mp, mpf

from cases.table import NEAR_ONE, PROBABILITY, Case, hard_logits, hard_probabilities, softplus, unit, xlogy


def binary_cross_entropy(p, y):
    p, y = mpf(p), mpf(y)
    return -xlogy(y, p) - xlogy(1 - y, 1 - p)


def sigmoid_binary_cross_entropy(x, y, positive_weight=1.0, label_smoothing=0.0):
    s, w = mpf(label_smoothing), mpf(positive_weight)
    y = (1 - s) * mpf(y) + s / 2
    cost_of_positive = softplus(-mpf(x))
    cost_of_negative = softplus(mpf(x))
    return (w * y * cost_of_positive if y else mpf(0)) + ((1 - y) * cost_of_negative if y != 1 else mpf(0))


def binary_focal(p, y, alpha=0.25, gamma=2.0):
    p, y, alpha, gamma = mpf(p), mpf(y), mpf(alpha), mpf(gamma)
    positive = (1 - p) ** gamma * xlogy(1, p) if p != 1 else mpf(0)
    negative = p**gamma * xlogy(1, 1 - p) if p != 0 else mpf(0)
    return -(alpha * y * positive if y else 0) - ((1 - alpha) * (1 - y) * negative if y != 1 else 0)


def modulated_surprisal(x, gamma):
    x = mpf(x)
    return mpf(0) if x == inf else inf if x == -inf else exp(-mpf(gamma) * softplus(x)) * softplus(-x)


def sigmoid_focal(x, y, alpha=None, gamma=2.0):
    positive, negative = (1, 1) if alpha is None else (mpf(alpha), 1 - mpf(alpha))
    positive, negative = positive * mpf(y), negative * (1 - mpf(y))
    cost = positive * modulated_surprisal(x, gamma) if positive else mpf(0)
    return cost + (negative * modulated_surprisal(-x, gamma) if negative else 0)


def shifted_surprisal(x, gamma, shift):
    x, shift = mpf(x), mpf(shift)
    p, complement = 1 / (1 + exp(-x)) - shift, 1 / (1 + exp(x)) + shift
    if p <= 0 or complement == 0:
        return mpf(0) if p <= 0 else inf
    return -(p ** mpf(gamma)) * (mp.log1p(-p) if p < 0.5 else log(complement))


def asymmetric(x, y, gamma_negative=4.0, gamma_positive=1.0, shift=0.05):
    cost = mpf(y) * modulated_surprisal(x, gamma_positive) if y else mpf(0)
    return cost + ((1 - mpf(y)) * shifted_surprisal(x, gamma_negative, shift) if y != 1 else 0)


def odds(rng, n):
    return rng.normal(size=n) * 3, rng.integers(0, 2, n).astype(float)


def _hard_mixtures(ulp):
    yield from hard_logits(ulp)
    yield from ((x, 0.5) for x in (7e-11, -1.2e-8, 4e-9, -1e-12, 1e-5))
    yield from ((x, y) for x in (0.0, -2e-29) for y in (0.49768373, 0.50231))


def _hard_shifted(ulp):
    yield from hard_logits(ulp)
    yield from ((x, 0.0) for x in (0.021237094, 0.02776565, 8.695946e-4, 0.28, 0.5764189))
    # Where exp(-x), or half of it, is below the format, but not value and slope.
    yield from ((x, y) for x in (61.5, 86.9, 87.592316, 89.546913, 90.5) for y in (0.0, 1.0))
    # Where the sigmoid is near the shift.
    yield from ((x, y) for x in (-2.944439, -2.9444, -2.94, -2.9, -2.5, -2.945, -3.0) for y in (0.0, 1.0, 0.3))


_SURE = [(p, y) for p in (0.0, 1.0, 1e-30, NEAR_ONE) for y in (0.0, 1.0)]

CASES = (
    Case(
        "binary_cross_entropy",
        unit,
        binary_cross_entropy,
        corners=(*_SURE, (0.3, 0.3), (0.5, 0.25)),
        domain={0: PROBABILITY},
        hard=hard_probabilities,
    ),
    Case(
        "sigmoid_binary_cross_entropy",
        odds,
        sigmoid_binary_cross_entropy,
        options=({}, {"positive_weight": 3.0}, {"label_smoothing": 0.1}),
        corners=(
            *((x, y) for x in (0.0, 20.0, -20.0, 80.0, 1e4, -1e4) for y in (0.0, 1.0)),
            *((np.inf, 1.0), (-np.inf, 0.0), (np.inf, 0.0)),
        ),
        hard=hard_logits,
    ),
    Case(
        "binary_focal",
        unit,
        binary_focal,
        options=({}, {"gamma": 0.0}, {"gamma": 0.5, "alpha": 0.75}),
        corners=tuple(_SURE),
        domain={0: PROBABILITY},
        hard=hard_probabilities,
    ),
    Case(
        "sigmoid_focal",
        odds,
        sigmoid_focal,
        options=({}, {"gamma": 0.0}, {"alpha": 0.25, "gamma": 0.5}),
        corners=(
            *((x, y) for x in (0.0, 20.0, -20.0, 80.0, 1000.0, -1e4) for y in (0.0, 1.0)),
            *((np.inf, 1.0), (-np.inf, 0.0), (np.inf, 0.0)),
        ),
        hard=_hard_mixtures,
    ),
    Case(
        "asymmetric",
        odds,
        asymmetric,
        options=({}, {"gamma_negative": 0.0, "gamma_positive": 0.0}, {"gamma_negative": 1.5, "shift": 0.0}),
        corners=(
            *((x, y) for x in (0.0, 20.0, -20.0, 80.0, 1000.0, -1e4) for y in (0.0, 1.0)),
            *((np.inf, 1.0), (-np.inf, 0.0), (np.inf, 0.0)),
        ),
        hard=_hard_shifted,
        relative_to_item=(1,),
        every_slope=False,
    ),
)
