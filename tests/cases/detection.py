"""Detection: boxes, and the scores of a detector."""

import itertools

import numpy as np
from mpmath import atan2, exp, inf, log, mp, mpf, pi

from cases.table import PROBABILITY, Case, K, softplus

# ---------------------------------------------------------------------------------------------------------------- boxes


def _sides(box):
    return [max(mpf(box[k + 2]) - mpf(box[k]), mpf(0)) for k in (0, 1)]


def _area(box):
    return mp.fprod(_sides(box))


def _common(p, t, low, high):
    return [low(mpf(a), mpf(b)) for a, b in zip(p[:2], t[:2], strict=True)] + [
        high(mpf(a), mpf(b)) for a, b in zip(p[2:], t[2:], strict=True)
    ]


def _union(p, t):
    return _area(p) + _area(t) - _area(_common(p, t, max, min))


def iou(p, t):
    union = _union(p, t)
    return 1 - _area(_common(p, t, max, min)) / union if union else mpf(list(p) != list(t))


def giou(p, t):
    hull = _area(_common(p, t, min, max))
    return iou(p, t) + ((hull - _union(p, t)) / hull if hull else 0)


def diou(p, t):
    apart = sum(((mpf(p[k]) + mpf(p[k + 2]) - mpf(t[k]) - mpf(t[k + 2])) / 2) ** 2 for k in (0, 1))
    diagonal = sum(side**2 for side in _sides(_common(p, t, min, max)))
    return iou(p, t) + (apart / diagonal if diagonal else 0)


def ciou(p, t, hold_trade_off=False):
    assert not hold_trade_off  # which is not the gradient of the value
    v = 4 / pi**2 * (atan2(*_sides(t)) - atan2(*_sides(p))) ** 2
    return diou(p, t) + (v**2 / (iou(p, t) + v) if v else 0)


def eiou(p, t):
    hull = _sides(_common(p, t, min, max))
    growth = [(mpf(p[k + 2]) - mpf(p[k])) - (mpf(t[k + 2]) - mpf(t[k])) for k in (0, 1)]
    return diou(p, t) + sum((g / h) ** 2 for g, h in zip(growth, hull, strict=True) if h)


def _boxes(rng, n):
    low = rng.uniform(0, 2, (2, n, 2))
    return tuple(np.concatenate([low, low + rng.uniform(0.5, 2, low.shape)], -1))


_TRUE = [1.0, 1.0, 3.0, 4.0]
_BOX_CORNERS = (
    (_TRUE, _TRUE),
    ([0.0, 0.0, 2.0, 2.0], _TRUE),
    ([1.5, 1.25, 2.0, 3.0], _TRUE),  # inside
    ([0.0, 0.0, 5.0, 6.0], _TRUE),  # around
    ([1.0, 0.0, 3.0, 2.0], _TRUE),  # of one width
    ([4.0, 1.0, 6.0, 4.0], _TRUE),  # apart
    ([3.0, 1.0, 5.0, 4.0], _TRUE),  # beside it
    ([4.0, 6.0, 4.5, 7.0], _TRUE),
)


def _hard_boxes(ulp):
    near = [x * (1 + 8 * ulp * sign) for x, sign in zip(_TRUE, (1, -1, -1, 1), strict=True)]
    close = [1.001, 0.999, 3.0001, 4.001]
    shapes = (*(p for p, _ in _BOX_CORNERS[1:]), near, close, [1.0, 1.0, 3.0, 4.001], [1.5, 1.0, 1.5 + 1e-4, 4.0])
    for unit in (1.0, 1e20, 1e-17):  # at 1e-20 second derivatives leave the format
        yield from (([x * unit for x in p], [x * unit for x in _TRUE]) for p in shapes)
    yield [0.0, 0.0, 1e-6, 1e-6], [1e6, 1e6, 1e6 + 64, 1e6 + 64]
    yield [0.0, 0.0, 1e3, 1e-3], [0.0, 0.0, 1e-3, 1e3]
    yield [2.0, 2.0, 1.5, 3.0], _TRUE  # the empty set
    yield [8.0, 2.0, 7.5, 3.0], _TRUE


# --------------------------------------------------------------------------------------------------------------- scores


def distribution_focal(logits, target):
    shares = [max(mpf(0), 1 - abs(j - mpf(target))) for j in range(len(logits))]
    if any(s and x == -inf for s, x in zip(shares, logits, strict=True)):
        return inf
    log_z = log(sum(exp(mpf(x)) for x in logits))
    return sum(s * (log_z - mpf(x)) for s, x in zip(shares, logits, strict=True) if s)


def _sigma(x):
    return mpf(x > 0) if abs(x) == inf else 1 / (1 + exp(-mpf(x)))


def _times(weight, value):
    return weight * value if weight else mpf(0)


def _cross_entropy(x, y):
    return _times(mpf(y), softplus(-x)) + _times(1 - mpf(y), softplus(x))


def _focal(x, gamma):
    return _sigma(-x) ** mpf(gamma) * softplus(-x)


def quality_focal(x, y, beta=2.0):
    error = mpf(y) * _sigma(-x) - (1 - mpf(y)) * _sigma(x)
    return _times(abs(error) ** mpf(beta), _cross_entropy(x, y))


def varifocal(x, y, alpha=0.75, gamma=2.0):
    return mpf(y) * _cross_entropy(x, y) if y > 0 else mpf(alpha) * _focal(-x, gamma)


def gaussian_focal(x, y, alpha=2.0, beta=4.0):
    return _focal(x, alpha) if y == 1 else (1 - mpf(y)) ** mpf(beta) * _focal(-x, alpha)


def _bins(rng, n):
    return rng.normal(size=(n, K)) * 2, rng.integers(0, K - 1, n) + rng.uniform(0.1, 0.9, n)


def _hard_bins(ulp):
    rows = (
        [0.0] * K,
        [1e-4, -1e-4, 0.0, 2e-4, 0.0],
        [0.0, 17.0, 17.5, -3.0, 1.0],
        [20.0, 0.0, 1e-3, 2e-3, -20.0],
        [1e4, -1e4, 0.0, 50.0, 51.0],
        [0.5, 1.0, 0.0, -np.inf, -np.inf],
    )
    yield from itertools.product(rows, (0.0, 0.3, 1.0, 1.75, 2 - 2 * ulp, 2.5, 4.0))


def _qualities(rng, n):
    return rng.normal(size=n) * 2, rng.uniform(0.05, 0.95, n)


def _qualities_or_none(rng, n):
    return rng.normal(size=n) * 2, rng.integers(0, 2, n)


def _hard_qualities(ulp):
    logits = (0.0, 1e-30, 1e-4, 0.1, 1.0, 5.0, 17.0, 20.0, 50.0, 80.0, 1e4, np.inf)
    yield from ((sign * x, y) for x in logits for sign in (1, -1) for y in (0.0, 1.0, 0.3, 0.5, 0.9981, ulp))
    yield from ((np.log(p / (1 - p)), p) for p in (1e-3, 0.3, 0.75, 0.99))


_QUALITY_CORNERS = ((50.0, 1.0), (-50.0, 0.0), (np.inf, 1.0), (-np.inf, 0.0), (np.inf, 0.5), (0.0, 0.5), (0.0, 1.0))
QUALITY = {1: PROBABILITY}

CASES = (
    *(
        Case(loss.__name__, _boxes, loss, corners=_BOX_CORNERS, hard=_hard_boxes)
        for loss in (iou, giou, diou, ciou, eiou)
    ),
    Case(
        "distribution_focal",
        _bins,
        distribution_focal,
        corners=(([0.0, 1.0, -np.inf, 0.0, 2.0], 0.0), ([1e4, -1e4, 0.0, 50.0, 3.0], 4.0)),
        domain={1: (0, K - 1)},
        hard=_hard_bins,
    ),
    Case(
        "quality_focal",
        _qualities,
        quality_focal,
        options=({}, {"beta": 1.5}, {"beta": 1.0}),
        corners=_QUALITY_CORNERS,
        domain=QUALITY,
        hard=_hard_qualities,
    ),
    Case(
        "varifocal",
        _qualities,
        varifocal,
        options=({}, {"gamma": 1.5}),
        corners=_QUALITY_CORNERS,
        domain=QUALITY,
        hard=_hard_qualities,
    ),
    Case("varifocal", _qualities_or_none, varifocal, options=({"alpha": 0.5},), differentiable=(0,)),
    Case(
        "gaussian_focal",
        _qualities,
        gaussian_focal,
        options=({}, {"alpha": 1.0, "beta": 0.5}),
        corners=_QUALITY_CORNERS,
        domain=QUALITY,
        hard=_hard_qualities,
    ),
)
