"""Softmax losses for labels of which some are wrong."""

import itertools

from mpmath import exp, inf, mpf

from cases.imbalanced import log_softmax
from cases.softmax import LOGITS
from cases.table import Case, hard_rows, logits_and_label


def generalized_cross_entropy(x, label, q=0.7):
    log_p, q = log_softmax(x)[label], mpf(q)
    return (1 - exp(q * log_p)) / q if q else -log_p


def symmetric_cross_entropy(x, label, alpha=0.1, beta=1.0, log_zero=-4.0):
    log_p = log_softmax(x)
    log_t = [0 if j == label else mpf(log_zero) for j in range(len(x))]
    exchanged = -sum(exp(log_pj) * log_tj for log_pj, log_tj in zip(log_p, log_t, strict=True))
    cross_entropy = -log_p[label]
    if cross_entropy == inf:
        return inf if alpha else mpf(beta) * exchanged
    return mpf(alpha) * cross_entropy + mpf(beta) * exchanged


_LABELLED = tuple((x, 4) for x in LOGITS) + tuple((x, 0) for x in LOGITS[:3])

CASES = (
    Case(
        "generalized_cross_entropy",
        logits_and_label,
        generalized_cross_entropy,
        options=({}, {"q": 0.0}, {"q": 1e-6}),
        corners=_LABELLED,
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
    Case(
        "symmetric_cross_entropy",
        logits_and_label,
        symmetric_cross_entropy,
        options=({}, {"alpha": 0.0, "log_zero": -2.0}),
        corners=_LABELLED,
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
)
