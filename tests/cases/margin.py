"""Classification by a margin."""

import itertools

import numpy as np
from mpmath import inf, mpf

from cases.table import Case, hard_rows, logits_and_label


def hinge(f, y):
    return max(mpf(0), 1 - mpf(y) * mpf(f))


def squared_hinge(f, y):
    return hinge(f, y) ** 2


def perceptron(f, y):
    return max(mpf(0), -mpf(y) * mpf(f))


def multiclass_hinge(x, label):
    return max([mpf(0), *(1 + mpf(xj) - mpf(x[label]) for j, xj in enumerate(x) if j != label and xj > -inf)])


def multiclass_perceptron(x, label):
    return max([mpf(0), *(mpf(xj) - mpf(x[label]) for j, xj in enumerate(x) if j != label and xj > -inf)])


def score_and_sign(rng, n):
    return rng.normal(size=n) * 2, rng.choice([-1.0, 1.0], n)


def hard_scores(ulp):
    sizes = (0.0, 1e-30, 1e-20, 1e-4, 0.3, 1 - ulp, 1.0, 1 + 2 * ulp, 1.0001, 20.0, 1e4, 1e10, 1e18, 1e30, np.inf)
    return itertools.product((sign * size for size in sizes for sign in (1, -1)), (-1.0, 1.0))


def hard_labelled_rows(ulp):
    yield from itertools.product(hard_rows(ulp), (0, 2, 4))
    # The label leads by nearly 1.
    for lead in (1.0, 1 - ulp, 1 + 2 * ulp, 0.9999, 1.0001):
        for second in (0.0, 0.3, -1.7, 100.0):
            yield [second + lead, second, -1.0, second - 1, -np.inf], 0


_SCORES = ((0.0, 1.0), (1.0, 1.0), (-1.0, -1.0), (1e4, -1.0), (-1e4, -1.0), (1e-30, -1.0))
_ROWS = (
    ([0.0, 0.0, 0.0, 0.0, 0.0], 2),
    ([1.0, 0.0, 0.0, -np.inf, 0.0], 0),
    ([1e4, -1e4, 0.0, 0.0, 0.0], 1),
    ([1e30, 1e30, 0.0, 0.0, 0.0], 0),
)

CASES = (
    Case("hinge", score_and_sign, hinge, corners=_SCORES, hard=hard_scores),
    Case("squared_hinge", score_and_sign, squared_hinge, corners=_SCORES, hard=hard_scores),
    Case("perceptron", score_and_sign, perceptron, corners=_SCORES, hard=hard_scores),
    *(
        Case(
            oracle.__name__,
            logits_and_label,
            oracle,
            corners=_ROWS,
            differentiable=(0,),
            hard=hard_labelled_rows,
        )
        for oracle in (multiclass_hinge, multiclass_perceptron)
    ),
)
