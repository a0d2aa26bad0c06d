"""Classification into two classes."""

import numpy as np
from mpmath import exp, inf, isfinite, log, mp, mpf

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


def _term_of_focal_alpha(x, y):
    """The larger of the two costs, whose difference the slope is."""
    shares = (mpf(y), x), (1 - mpf(y), -x)
    return max((share * modulated_surprisal(z, 0.5) for share, z in shares if isfinite(z)), default=0)


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


def _terms_of_sigmoid(x, y, positive_weight, label_smoothing):
    w, s = mpf(positive_weight), mpf(label_smoothing)
    sigmoid = 1 / (1 + exp(-mpf(x)))
    positive, negative = (1 - s) * mpf(y) + s / 2, (1 - s) * (1 - mpf(y)) + s / 2
    return 0, (max(w * positive * (1 - sigmoid), negative * sigmoid), abs(w - 1) * softplus(-abs(mpf(x))))


def _terms_of_sigmoid_focal(x, y, gamma, alpha=None):
    slopes, values = [0], [0]
    for z, of_target, share in ((mpf(x), mpf(y), alpha), (-mpf(x), 1 - mpf(y), alpha and 1 - mpf(alpha))):
        if isfinite(z):
            share, value = 1 if share is None else share, modulated_surprisal(z, gamma)
            sigmoid = 1 / (1 + exp(-z))
            steep = gamma * sigmoid * value + exp(-gamma * softplus(z)) * (1 - sigmoid)
            slopes.append(share * of_target * steep)
            values.append(share * value)
    # Beside a logit of 0 the two are equally steep, and their difference has a form of its own.
    return 0, (max(slopes) if abs(x) > 1e-9 else 0, 0 if alpha is None else max(values))


def _hard_mixtures(ulp):
    yield from hard_logits(ulp)
    yield from ((x, 0.5) for x in (7e-11, -1.2e-8, 4e-9, -1e-12, 1e-5))
    yield from ((x, y) for x in (0.0, -2e-29) for y in (0.49768373, 0.50231))


def _terms_of_shifted(x, gamma, shift):
    """Value, slopes in the logit, in gamma and in the shift, and by how much value and slopes magnify what p - m lost.

    The value goes with a power of p - m that is higher by 1 than that of a slope, unless rounding decides whether there
    is a slope.
    """
    sigmoid = 1 / (1 + exp(-mpf(x)))
    value, p, gamma, shift = shifted_surprisal(x, gamma, shift), sigmoid - mpf(shift), mpf(gamma), mpf(shift)
    if p <= 0 or not isfinite(value):
        return 0, 0, 0, 0, 0, 0
    steep = gamma * value / p + p**gamma / (1 / (1 + exp(mpf(x))) + shift)
    of_value, of_slope = ((gamma + more) * shift / p for more in (1, p < shift * mpf(2) ** -20))
    return value, steep * sigmoid / (1 + exp(mpf(x))), -value * log(p), steep, of_value, of_slope


def _terms_of_asymmetric(x, y, gamma_negative, gamma_positive, shift):
    value, slope, _, _, magnified, slope_magnified = _terms_of_shifted(x, gamma_negative, shift)
    _, (slope_of_positive, _) = _terms_of_sigmoid_focal(x, y=1, gamma=mpf(gamma_positive))
    cost_of_positive = modulated_surprisal(x, gamma_positive)
    slopes = y * slope_of_positive, (1 - mpf(y)) * slope * (1 + slope_magnified)
    values = cost_of_positive if isfinite(cost_of_positive) else 0, value * (1 + magnified)
    return (1 - mpf(y)) * value * magnified, (max(slopes), max(values))


def _slope_of_shifted(x, y, number):
    terms = _terms_of_shifted(x, 4.0, float(np.float32(0.05)))
    return (1 - mpf(y)) * terms[number] * (1 + terms[4])


def _hard_shifted(ulp):
    yield from hard_logits(ulp)
    yield from ((x, 0.0) for x in (0.021237094, 0.02776565, 8.695946e-4, 0.28, 0.5764189))
    # Where exp(-x), or half of it, is below the format, but not value and slope.
    yield from ((x, y) for x in (61.5, 86.9, 87.592316, 89.546913, 90.5) for y in (0.0, 1.0))
    # Where the sigmoid is near the shift.
    yield from ((x, y) for x in (-2.944439, -2.9444, -2.94, -2.9, -2.5, -2.945, -3.0) for y in (0.0, 1.0, 0.3))


def _terms_of_focal(p, y, alpha, gamma):
    parts = []
    for q, share in ((mpf(p), mpf(y) * alpha), (1 - mpf(p), (1 - mpf(y)) * (1 - mpf(alpha)))):
        if share and 0 < q < 1:
            slope = (1 - q) ** gamma / q - gamma * (1 - q) ** (gamma - 1) * log(q)
            parts.append((share * slope, -((1 - q) ** gamma) * log(q)))
    return 0, [max(part, default=0) for part in zip(*parts, strict=True)] or (0, 0)


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
        terms=_terms_of_sigmoid,
        why="sigmoid(x) may be near its target",
    ),
    Case(
        "binary_focal",
        unit,
        binary_focal,
        options=({}, {"gamma": 0.0}, {"gamma": 0.5, "alpha": 0.75}),
        corners=tuple(_SURE),
        domain={0: PROBABILITY},
        hard=hard_probabilities,
        terms=_terms_of_focal,
        option_terms={"alpha": lambda p, _: max((abs(log(mpf(q))) for q in (p, 1 - p) if q), default=0)},
        why="what pulls down and what pulls up may balance at a soft target",
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
        terms=_terms_of_sigmoid_focal,
        option_terms={"alpha": _term_of_focal_alpha},
        why="what pulls down and what pulls up may balance at a soft target, and costs of unequal weight anywhere",
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
        terms=_terms_of_asymmetric,
        option_terms={
            "gamma_negative": lambda x, y: _slope_of_shifted(x, y, 2),
            "shift": lambda x, y: _slope_of_shifted(x, y, 3),
        },
        every_slope=False,
        why="p - m cancels where they are near, and the fourth power counts each rounding of p four times; with a "
        "gamma of 0 the cost jumps there, and without a shift a slope in it is one-sided",
    ),
)
