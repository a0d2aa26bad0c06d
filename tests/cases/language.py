"""Language: the head of a model, the softmax cross entropy of what it gives, and tokens that are not to be said."""

import itertools

import numpy as np
from mpmath import inf, log1p, mp, mpf

from cases.softmax import LOGITS, softmax_cross_entropy_with_integer_labels
from cases.table import Case, K, hard_rows, logits_and_label

WIDTH = 6


def logits_of(h, kernel, bias, softcap):
    x = [sum(mpf(hi) * mpf(row[j]) for hi, row in zip(h, kernel, strict=True)) + mpf(bias[j]) for j in range(len(bias))]
    return x if softcap is None else [mpf(softcap) * mp.tanh(xj / mpf(softcap)) for xj in x]


def linear_softmax_cross_entropy(h, label, kernel, bias, mask=None, softcap=None, **options):
    return softmax_cross_entropy_with_integer_labels(
        logits_of(h, kernel, bias, softcap), label, mask, **_known(options)
    )


def _known(options):
    return {name: options[name] for name in ("label_smoothing", "z_loss") if name in options}


def unlikelihood(x, label):
    others = sum(mp.exp(mpf(xj) - mpf(max(x))) for j, xj in enumerate(x) if j != label)
    return log1p(mp.exp(mpf(x[label]) - mpf(max(x))) / others) if others else inf


def head(rng, n):
    kernel, bias = rng.normal(size=(WIDTH, K)), rng.normal(size=K)
    return rng.normal(size=(n, WIDTH)), rng.integers(0, K, n), kernel, bias


def masked_head(rng, n):
    mask = np.arange(K) != 1
    hidden, labels, kernel, bias = head(rng, n)
    return hidden, np.where(labels == 1, 0, labels), kernel, bias, mask


def _hard(_):
    identity = [[float(i == j) for j in range(K)] for i in range(WIDTH)]
    tall = [[100.0 * x for x in row] for row in identity]
    zero, bias = [0.0] * K, [0.5, -0.25, 0.0, 1e-4, -1.0]
    for row in ([0.0] * 5, [20.3, 0.0, -1.0, 0.5, 0.25], [80.7, 0.0, -1.0, 0.5, 0.25], [1e4, 0.0, 0.0, 0.0, 0.0]):
        for label in (0, 4):
            yield [*row, 0.0], label, identity, zero
            yield [*row, 0.0], label, identity, bias
    yield [1.0, 0.9, 0.5, 0.1, 0.0, 3.0], 0, tall, zero
    yield [1.0, 0.9, 0.5, 0.1, 0.0, 3.0], 1, tall, bias
    yield [0.0] * WIDTH, 2, identity, [0.0, 0.0, -1e4, 0.0, 0.0]


CASES = (
    Case(
        "linear_softmax_cross_entropy",
        head,
        linear_softmax_cross_entropy,
        options=(
            {},
            {"label_smoothing": 0.1, "strategy": "small"},
            {"z_loss": 1e-2, "softcap": 5.0},
        ),
        corners=(([0.0] * WIDTH, 0, [[0.0] * K] * WIDTH, [0.0] * K),),
        differentiable=(0, 2, 3),
        shared=(2, 3),
        hard=_hard,
    ),
    Case(
        "linear_softmax_cross_entropy",
        masked_head,
        linear_softmax_cross_entropy,
        options=({}, {"label_smoothing": 0.1}),
        differentiable=(0, 2, 3),
        shared=(2, 3, 4),
    ),
    Case(
        "unlikelihood",
        logits_and_label,
        unlikelihood,
        corners=tuple((x, 4) for x in LOGITS) + tuple((x, 0) for x in LOGITS[:3]),
        differentiable=(0,),
        hard=lambda ulp: itertools.product(hard_rows(ulp), (0, 2, 4)),
    ),
)
