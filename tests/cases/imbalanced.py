"""Softmax cross entropies for rare classes and easy examples."""

import itertools

import numpy as np
from mpmath import exp, inf, log, log1p, mpf

from cases.softmax import LOGITS, logits_and_distribution
from cases.table import Case, hard_rows, hard_targets, logits_and_label


def log_softmax(x):
    largest = max(x)
    log_z = largest + log(sum(exp(mpf(xj) - largest) for xj in x))
    return [mpf(xj) - log_z for xj in x]


def surprisal(x, label):
    """One of 1e-220 as well, of whose digits a logarithm of a partition function shows few."""
    others = sum(exp(xj - x[label]) for j, xj in enumerate(x) if j != label) if x[label] > -inf else inf
    return log1p(others)


def softmax_focal(x, label, gamma=2.0):
    log_p = log_softmax(x)
    if log_p[label] == -inf:
        return inf
    complement = sum(exp(log_pj) for j, log_pj in enumerate(log_p) if j != label)
    return -(complement ** mpf(gamma)) * log_p[label] if complement else mpf(0)


def poly_cross_entropy(x, t, epsilon=2.0):
    terms = ((mpf(tj), log_pj) for tj, log_pj in zip(t, log_softmax(x), strict=True))
    return sum(tj * (-log_pj + mpf(epsilon) * (1 - exp(log_pj))) for tj, log_pj in terms if tj)


def logit_adjusted_cross_entropy(x, label, log_prior=None, temperature=1.0):
    return surprisal(
        [xj + mpf(temperature) * mpf(pj) for xj, pj in zip(x, log_prior or [0] * len(x), strict=True)], label
    )


def ldam(x, label, class_counts=None, max_margin=0.5, scale=30.0):
    n = [mpf(nj) for nj in class_counts or [1] * len(x)]
    margin = mpf(max_margin) * (min(n) / n[label]) ** mpf("0.25")
    return surprisal([mpf(scale) * (xj - margin * (j == label)) for j, xj in enumerate(x)], label)


_LABELLED = tuple((x, 4) for x in LOGITS) + tuple((x, 0) for x in LOGITS[:3])

# As short in binary as a logarithm of a frequency is not, so that they are the same in every format.
_PRIOR = (-0.25, -2.125, -3.625, -7.015625, -4.75)

CASES = (
    Case(
        "softmax_focal",
        logits_and_label,
        softmax_focal,
        options=({}, {"gamma": 0.0}, {"gamma": 0.5}),
        corners=_LABELLED,
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
    Case(
        "poly_cross_entropy",
        logits_and_distribution,
        poly_cross_entropy,
        options=({}, {"epsilon": -1.0}),
        corners=tuple((x, np.eye(5)[label].tolist()) for x, label in _LABELLED),
        hard=lambda ulp: itertools.product(hard_rows(ulp), hard_targets(ulp)),
    ),
    Case(
        "logit_adjusted_cross_entropy",
        logits_and_label,
        logit_adjusted_cross_entropy,
        options=({"log_prior": _PRIOR}, {"log_prior": _PRIOR, "temperature": 0.3}),
        # With a margin of 80 more a part of the sum is subnormal, which may be flushed to 0.
        corners=tuple(item for item in _LABELLED if item[0][0] != 80),
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
    Case(
        "ldam",
        logits_and_label,
        ldam,
        options=({"class_counts": (5000.0, 100.0, 1200.0, 7.0, 350.0)},),
        corners=_LABELLED,
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
)
