"""Classes that have an order."""

import itertools

import numpy as np
from mpmath import exp, inf, log, mpf

from cases.table import Case, K


def sigmoid(x):
    return mpf(0) if x == -inf else 1 / (1 + exp(-mpf(x)))


def ordinal_cross_entropy(f, label, thresholds):
    ends = [-inf, *thresholds, inf]
    # Of the two tails the small one, or the difference is lost in any number of digits.
    low, high = (mpf(end) - mpf(f) if abs(end) < inf else end for end in (ends[label], ends[label + 1]))
    p = sigmoid(high) - sigmoid(low) if low + high < 0 else sigmoid(-low) - sigmoid(-high)
    return -log(p) if p else inf


def prediction_label_and_thresholds(rng, n):
    thresholds = np.sort(rng.normal(size=(n, K - 1)) * 2) + np.linspace(0, 1, K - 1)
    return rng.normal(size=n) * 3, (np.arange(n) + K - 2) % K, thresholds


def _hard(ulp):
    for thresholds in ([-1.0, 0.0, 1.0, 2.5], [-1e-4, 0.0, 1e-4, 80.0], [0.0, 1e-30, 1.0, 1 + 2 * ulp]):
        yield from itertools.product(
            (0.0, 0.5, -0.5, 1e-10, 17.3, -20.3, 50.1, -80.7, 100.0, -1e4, 1e4), (0, 1, 3, 4), [thresholds]
        )
    for f in (0.0, 5.0, 1e4):
        yield from ((f, label, [-np.inf, f - 1, f + 1, np.inf]) for label in (0, 1, 2, 3))
    yield from ((1e30, label, [-1e30, 0.0, 1e30, 2e30]) for label in range(K))


CASES = (
    Case(
        "ordinal_cross_entropy",
        prediction_label_and_thresholds,
        ordinal_cross_entropy,
        corners=(
            (20.0, 0, [-1.0, 0.0, 1.0, 2.0]),
            (20.0, 2, [-1.0, 0.0, 1.0, 2.0]),
            (0.0, 2, [-1.0, 0.0, 0.0, 2.0]),
            (1e4, 4, [-1.0, 0.0, 1.0, 2.0]),
        ),
        differentiable=(0, 2),
        hard=_hard,
    ),
)
