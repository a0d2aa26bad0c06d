"""Classification into many classes, from probabilities and from logits."""

import itertools

import numpy as np
from mpmath import inf, log, mp, mpf

from cases.table import (
    NEAR_ONE,
    PROBABILITY,
    Case,
    K,
    distribution_and_label,
    hard_distributions,
    hard_rows,
    hard_targets,
    logits_and_label,
    two_distributions,
    xlogy,
)


def categorical_cross_entropy(p, t):
    return -sum(xlogy(mpf(tj), mpf(pj)) for pj, tj in zip(p, t, strict=True))


def sparse_categorical_cross_entropy(p, label):
    return -xlogy(mpf(1), mpf(p[label]))


def softmax_cross_entropy(x, t, class_mask=None, label_smoothing=0.0, z_loss=0.0):
    x = [mpf(xj) if class_mask is None or class_mask[j] else -inf for j, xj in enumerate(x)]
    s, possible = mpf(label_smoothing), sum(xj > -inf for xj in x)
    t = [(1 - s) * mpf(tj) + (s / possible if xj > -inf else 0) for tj, xj in zip(t, x, strict=True)]
    largest = max(x)
    log_z = largest + log(sum(mp.exp(xj - largest) for xj in x))
    return sum(tj * (log_z - xj) for tj, xj in zip(t, x, strict=True) if tj) + mpf(z_loss) * log_z**2


def softmax_cross_entropy_with_integer_labels(x, label, class_mask=None, label_smoothing=0.0, z_loss=0.0):
    one_hot = [int(j == label) for j in range(len(x))]
    return softmax_cross_entropy(x, one_hot, class_mask, label_smoothing, z_loss)


def logits_and_distribution(rng, n):
    return rng.normal(size=(n, K)) * 3, rng.dirichlet(np.ones(K), n)


def with_mask(draw):
    def masked(rng, n):
        arrays = draw(rng, n)
        mask = rng.random((n, K)) < 0.7
        if arrays[1].ndim == 1:
            mask[np.arange(n), arrays[1]] = True
        else:
            mask[:, 0] = True
        targets = arrays[1] if arrays[1].ndim == 1 else arrays[1] * mask
        return arrays[0], targets, mask

    return masked


LOGITS = (
    [1e4, -1e4, 0.0, 0.0, 0.0],
    [20.0, 0.0, 0.0, 0.0, 0.0],
    [80.0, 0.0, -5.0, 0.0, 0.0],
    [-np.inf, 0.0, 0.0, -np.inf, 1.0],
    [1e4, 1e4, 1e4, 1e4, 1e4],
    [1e30, 1e30, -1e30, 0.0, 1e30],
)
_SMOOTHED = ({}, {"label_smoothing": 0.1}, {"z_loss": 1e-2}, {"label_smoothing": 0.3, "z_loss": 1e-4})


CASES = (
    Case(
        "categorical_cross_entropy",
        two_distributions,
        categorical_cross_entropy,
        corners=(
            ([1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
            ([0.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
            ([1 - 2**-24, 1e-30, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
        ),
        domain={0: PROBABILITY},
        hard=lambda ulp: itertools.product(hard_distributions(ulp), repeat=2),
    ),
    Case(
        "sparse_categorical_cross_entropy",
        distribution_and_label,
        sparse_categorical_cross_entropy,
        corners=(
            ([1.0, 0.0, 0.0, 0.0, 0.0], 0),
            ([1.0, 0.0, 0.0, 0.0, 0.0], 1),
            ([NEAR_ONE, 1e-30, 0.0, 0.0, 0.0], 1),
        ),
        differentiable=(0,),
        domain={0: PROBABILITY},
        hard=lambda ulp: itertools.product(hard_distributions(ulp), (0, 1, 4)),
    ),
    Case(
        "softmax_cross_entropy",
        logits_and_distribution,
        softmax_cross_entropy,
        options=_SMOOTHED,
        corners=(
            *((x, [0.0, 0.0, 0.0, 0.0, 1.0]) for x in LOGITS),
            *((x, [1.0, 0.0, 0.0, 0.0, 0.0]) for x in LOGITS[:3]),
        ),
        hard=lambda ulp: itertools.product(hard_rows(ulp), hard_targets(ulp)),
    ),
    Case(
        "softmax_cross_entropy",
        with_mask(logits_and_distribution),
        softmax_cross_entropy,
        options=_SMOOTHED[:2],
        corners=(([1e4, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0], [False, True, True, False, False]),),
    ),
    Case(
        "softmax_cross_entropy_with_integer_labels",
        logits_and_label,
        softmax_cross_entropy_with_integer_labels,
        options=_SMOOTHED,
        corners=tuple((x, 4) for x in LOGITS) + tuple((x, 0) for x in LOGITS[:3]),
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
    Case(
        "softmax_cross_entropy_with_integer_labels",
        with_mask(logits_and_label),
        softmax_cross_entropy_with_integer_labels,
        options=_SMOOTHED[:2],
        corners=(([1e4, 0.0, 0.0, 0.0, 0.0], 1, [False, True, True, False, False]),),
        differentiable=(0,),
    ),
)
