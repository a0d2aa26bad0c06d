"""Softmax losses for labels of which some are wrong."""

import itertools

import numpy as np
from mpmath import exp, inf, log, mp, mpf

from cases.imbalanced import log_softmax
from cases.softmax import LOGITS, logits_and_distribution
from cases.table import Case, hard_rows, hard_targets, logits_and_label


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


def tempered_softmax(x, t):
    """From the tangents of the norm of which the probabilities are powers, which never go too far."""
    tau, largest = mpf(t) - 1, max(x)
    if tau == 0:
        return [exp(log_pj) for log_pj in log_softmax(x)]
    gaps = [largest - mpf(xj) for xj in x if xj > -inf]
    c, change = mpf(1), mpf(1)
    while abs(change) > mpf(10) ** (-2 * mp.dps // 3):  # and the next one is beyond all digits
        bases = [max(c + tau * gap, 0) for gap in gaps]
        p = [base ** (-1 / tau) if base else mpf(0) for base in bases]
        total, slope = sum(p), sum(pj / base for pj, base in zip(p, bases, strict=True) if pj)
        change = (total ** (1 + tau) - total) / slope
        c += change
    bases = [c + tau * (largest - mpf(xj)) if xj > -inf else -inf * tau for xj in x]
    return [base ** (-1 / tau) if 0 < base < inf else mpf(0) for base in bases]


def bi_tempered_cross_entropy(x, y, t1=0.8, t2=1.2):
    delta = 1 - mpf(t1)
    total = mpf(0)
    for pj, yj in zip(tempered_softmax(x, t2), y, strict=True):
        yj = mpf(yj)
        if yj and not pj and not delta:
            return inf
        logs = ((yj**delta - pj**delta) / delta if delta else log(yj / pj)) if yj else 0
        total += yj * logs - (yj ** (1 + delta) - pj ** (1 + delta)) / (1 + delta)
    return total


def _moderate_rows(ulp):
    # Where p is 1e-60 the slope in a target of 0 is finite, but no quotient of differences shows it.
    yield from (row for row in hard_rows(ulp) if max(row) < 1e30)


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
    Case(
        "bi_tempered_cross_entropy",
        logits_and_distribution,
        bi_tempered_cross_entropy,
        options=({}, {"t1": 1.0, "t2": 1.0}, {"t1": 0.5, "t2": 4.0}),
        corners=tuple((x, np.eye(5)[label].tolist()) for x, label in _LABELLED if max(x) < 1e30),
        domain={1: (0, np.inf)},
        hard=lambda ulp: itertools.product(_moderate_rows(ulp), list(hard_targets(ulp))[::2]),
    ),
)
