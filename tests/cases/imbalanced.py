"""Softmax cross entropies for rare classes and easy examples."""

import itertools

import numpy as np
from mpmath import exp, inf, log, mpf

from cases.softmax import LOGITS, logits_and_distribution
from cases.table import Case, hard_rows, hard_targets, logits_and_label


def log_softmax(x):
    largest = max(x)
    log_z = largest + log(sum(exp(mpf(xj) - largest) for xj in x))
    return [mpf(xj) - log_z for xj in x]


def softmax_focal(x, label, gamma=2.0):
    log_p = log_softmax(x)
    if log_p[label] == -inf:
        return inf
    complement = sum(exp(log_pj) for j, log_pj in enumerate(log_p) if j != label)
    return -(complement ** mpf(gamma)) * log_p[label] if complement else mpf(0)


def poly_cross_entropy(x, t, epsilon=2.0):
    terms = ((mpf(tj), log_pj) for tj, log_pj in zip(t, log_softmax(x), strict=True))
    return sum(tj * (-log_pj + mpf(epsilon) * (1 - exp(log_pj))) for tj, log_pj in terms if tj)


def _terms_of_poly(x, t, epsilon):
    p = [exp(log_pj) for log_pj in log_softmax(x)]
    largest = mpf(0)
    for j, (pj, tj) in enumerate(zip(p, t, strict=True)):
        others = [(pi, ti) for i, (pi, ti) in enumerate(zip(p, t, strict=True)) if i != j]
        up, down = sum(ti for _, ti in others), sum(pi for pi, _ in others)
        of_poly = abs(mpf(epsilon)) * pj
        largest = max(largest, pj * up, tj * down, of_poly * sum(pi * ti for pi, ti in others), of_poly * tj * down)
    cost = poly_cross_entropy(x, t, 0)
    return (cost if epsilon < 0 else 0), (largest, cost if epsilon < 0 else 0)


_LABELLED = tuple((x, 4) for x in LOGITS) + tuple((x, 0) for x in LOGITS[:3])

CASES = (
    Case(
        "softmax_focal",
        logits_and_label,
        softmax_focal,
        options=({}, {"gamma": 0.0}, {"gamma": 0.5}),
        corners=_LABELLED,
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
        ulp=(4, 8),
    ),
    Case(
        "poly_cross_entropy",
        logits_and_distribution,
        poly_cross_entropy,
        options=({}, {"epsilon": -1.0}),
        corners=tuple((x, np.eye(5)[label].tolist()) for x, label in _LABELLED),
        hard=lambda ulp: itertools.product(hard_rows(ulp), hard_targets(ulp)),
        terms=_terms_of_poly,
        why="p and t may be near, and what an epsilon below 0 takes away may be near what is there",
    ),
)
