"""Classification by distributions that may be sparse."""

import itertools

import numpy as np
from mpmath import inf, mpf, sqrt

from cases.table import Case, K, hard_rows


def sparsemax(x, label):
    s = -mpf(x) if label == 1 else mpf(x)
    return mpf(0) if s <= -1 else s if s >= 1 else (s + 1) ** 2 / 4


def _by_sort(x, threshold):
    """The largest prefix of the sorted finite entries whose threshold leaves all of it above."""
    x = sorted((mpf(xj) for xj in x if xj > -inf), reverse=True)
    tau = max(x)
    for n in range(1, len(x) + 1):
        candidate = threshold(x[:n])
        if candidate is not None and candidate <= x[n - 1]:
            tau = candidate
    return tau


def nearest_distribution(x):
    tau = _by_sort(x, lambda top: (sum(top) - 1) / len(top))
    return [max(mpf(xj) - tau, mpf(0)) if xj > -inf else mpf(0) for xj in x]


def entmax15_distribution(x):
    def threshold(top):
        n, mean = len(top), sum(top) / len(top)
        left = 1 - sum((xj - mean) ** 2 for xj in top)
        return mean - sqrt(left / n) if left >= 0 else None

    halves = [mpf(xj) / 2 if xj > -inf else -inf for xj in x]
    tau = _by_sort(halves, threshold)
    return [max(h - tau, mpf(0)) ** 2 if h > -inf else mpf(0) for h in halves]


def _expected(p, x):
    return sum(pj * mpf(xj) for pj, xj in zip(p, x, strict=True) if pj)


def multiclass_sparsemax(x, label):
    p = nearest_distribution(x)
    return _expected(p, x) - sum(pj**2 for pj in p) / 2 + mpf(1) / 2 - mpf(x[label])


def entmax15(x, label):
    p = entmax15_distribution(x)
    return _expected(p, x) + mpf(4) / 3 * sum(pj - pj * sqrt(pj) for pj in p) - mpf(x[label])


def logit_and_bit(rng, n):
    return rng.normal(size=n), rng.integers(0, 2, n)


def close_logits_and_label(rng, n):
    return rng.normal(size=(n, K)), rng.integers(0, K, n)


def _hard_logits(ulp):
    sizes = (0.0, 1e-30, 1e-4, 0.3, 1 - ulp, 1.0, 1 + 2 * ulp, 0.9999, 1.0001, 20.0, 1e4, 1e30, np.inf)
    return itertools.product((sign * size for size in sizes for sign in (1, -1)), (0, 1))


def _hard_rows(lead):
    def rows(ulp):
        yield from itertools.product(hard_rows(ulp), (0, 2, 4))
        # The label leads by what makes it sure, or nearly.
        for factor in (1.0, 1 - ulp, 1 - 4 * ulp, 1 - 1e-4, 0.97, 1.0001):
            for second in (0.0, 0.3, -1.7, 100.0):
                yield [second + lead * factor, second, second - 1e-3, second - 1, -np.inf], 0
        yield [0.5, 0.5 - ulp, -0.5 + 2 * ulp, -0.5, -0.5 - ulp], 1
        yield [1e30, 0.0, -1e30, 3.0, 1.0], 1

    return rows


_ROWS = (
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [20.0, 0.0, 0.0, 0.0, 0.0],
    [1e4, -1e4, 0.0, 0.0, 0.0],
    [-np.inf, 0.0, 0.0, -np.inf, 1.0],
    [1e30, 1e30, -1e30, 0.0, 1e30],
)

CASES = (
    Case(
        "sparsemax",
        logit_and_bit,
        sparsemax,
        corners=tuple(itertools.product((0.0, 1.0, -1.0, 1e4, -1e4, np.inf), (0, 1))),
        differentiable=(0,),
        hard=_hard_logits,
    ),
    Case(
        "multiclass_sparsemax",
        close_logits_and_label,
        multiclass_sparsemax,
        corners=tuple(itertools.product(_ROWS, (1, 4))),
        differentiable=(0,),
        hard=_hard_rows(1),
    ),
    Case(
        "entmax15",
        close_logits_and_label,
        entmax15,
        corners=tuple(itertools.product(_ROWS, (1, 4))),
        differentiable=(0,),
        hard=_hard_rows(2),
    ),
)
