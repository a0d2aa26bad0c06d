"""One row a loss: how to draw its items, what the formula says of one, and where its corners are.

The oracles are the formulas in 50 digits. They see one item, as Python numbers and lists, and know nothing of JAX.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mpmath import inf, log, mp, mpf, sqrt

mp.dps = 50

Item = Sequence[Any]


@dataclass(frozen=True, eq=False)
class Case:
    """A loss, seen from outside.

    Attributes:
        draw: Arrays for n ordinary items, away from kinks, from a generator.
        oracle: The value of one item, in 50 digits; a list of numbers where an array has a core axis.
        options: Sets of options to sweep; the first is the default.
        corners: Items at which value and gradient are easily wrong.
        differentiable: The positions of the arrays that have a gradient.
        kinked: Whether the second derivative jumps somewhere.
    """

    name: str
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]
    oracle: Callable[..., Any]
    options: tuple[Mapping[str, Any], ...] = ({},)
    corners: tuple[Item, ...] = ()
    differentiable: tuple[int, ...] = (0, 1)
    probabilities: tuple[int, ...] = field(default=())


def xlogy(x: Any, y: Any) -> Any:
    return mpf(0) if x == 0 else (-inf if y == 0 else mpf(x) * log(mpf(y)))


# ------------------------------------------------------------------------------------------------------------- oracles


def squared_error(prediction, target):
    return (mpf(prediction) - mpf(target)) ** 2


def absolute_error(prediction, target):
    return abs(mpf(prediction) - mpf(target))


def huber(prediction, target, delta=1.0):
    e, delta = abs(mpf(prediction) - mpf(target)), mpf(delta)
    return e**2 / 2 if e <= delta else delta * e - delta**2 / 2


def binary_cross_entropy(p, y):
    p, y = mpf(p), mpf(y)
    return -xlogy(y, p) - xlogy(1 - y, 1 - p)


def sigmoid_binary_cross_entropy(x, y, positive_weight=1.0, label_smoothing=0.0):
    s, w = mpf(label_smoothing), mpf(positive_weight)
    y = (1 - s) * mpf(y) + s / 2
    cost_of_positive = softplus(-mpf(x))
    cost_of_negative = softplus(mpf(x))
    return (w * y * cost_of_positive if y else mpf(0)) + ((1 - y) * cost_of_negative if y != 1 else mpf(0))


def softplus(x):
    if x == inf or x == -inf:
        return max(x, mpf(0))
    return max(x, 0) + mp.log1p(mp.exp(-abs(x)))


def binary_focal(p, y, alpha=0.25, gamma=2.0):
    p, y, alpha, gamma = mpf(p), mpf(y), mpf(alpha), mpf(gamma)
    positive = (1 - p) ** gamma * xlogy(1, p) if p != 1 else mpf(0)
    negative = p**gamma * xlogy(1, 1 - p) if p != 0 else mpf(0)
    return -(alpha * y * positive if y else 0) - ((1 - alpha) * (1 - y) * negative if y != 1 else 0)


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


def kl_divergence(p, q):
    return sum(rel_entr(pj, qj) for pj, qj in zip(p, q, strict=True))


def rel_entr(p, q):
    return mpf(0) if p == 0 else inf if q == 0 else mpf(p) * log(mpf(p) / mpf(q))


def gan_discriminator(real, fake):
    return -(xlogy(mpf(1), mpf(real)) + xlogy(mpf(1), 1 - mpf(fake))) / 2


def triplet(a, p, n, margin=0.2, distance="euclidean"):
    named = {"euclidean": euclidean, "squared_euclidean": lambda u, v: euclidean(u, v) ** 2, "cosine": cosine}
    measure = named[distance]
    return max(measure(a, p) - measure(a, n) + mpf(margin), mpf(0))


def euclidean(u, v):
    return sqrt(sum((mpf(ui) - mpf(vi)) ** 2 for ui, vi in zip(u, v, strict=True)))


def cosine(u, v):
    lengths = sqrt(sum(mpf(ui) ** 2 for ui in u) * sum(mpf(vi) ** 2 for vi in v))
    return 1 - (sum(mpf(ui) * mpf(vi) for ui, vi in zip(u, v, strict=True)) / lengths if lengths else 0)


def triplet_from_distances(positive, negative, margin=0.2):
    return max(mpf(positive) - mpf(negative) + mpf(margin), mpf(0))


# --------------------------------------------------------------------------------------------------------------- draws

K = 5  # classes
D = 4  # dimensions of an embedding


def errors(rng, n):
    return rng.normal(size=n) * 2, rng.normal(size=n)


def unit(rng, n):
    return rng.uniform(0.05, 0.95, n), rng.integers(0, 2, n).astype(float)


def odds(rng, n):
    return rng.normal(size=n) * 3, rng.integers(0, 2, n).astype(float)


def two_distributions(rng, n):
    return rng.dirichlet(np.ones(K), n) * 0.9 + 0.02, rng.dirichlet(np.ones(K), n)


def distribution_and_label(rng, n):
    return rng.dirichlet(np.ones(K), n) * 0.9 + 0.02, rng.integers(0, K, n)


def logits_and_distribution(rng, n):
    return rng.normal(size=(n, K)) * 3, rng.dirichlet(np.ones(K), n)


def logits_and_label(rng, n):
    return rng.normal(size=(n, K)) * 3, rng.integers(0, K, n)


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


def two_probabilities(rng, n):
    return rng.uniform(0.05, 0.95, n), rng.uniform(0.05, 0.95, n)


def triplets(rng, n):
    return tuple(rng.normal(size=(n, D)) for _ in range(3))


def distances(rng, n):
    return rng.uniform(0.1, 2, n), rng.uniform(0.1, 2, n)


# --------------------------------------------------------------------------------------------------------------- table

_NEAR_ONE = 1 - 2**-24
_SURE = [(p, y) for p in (0.0, 1.0, 1e-30, _NEAR_ONE) for y in (0.0, 1.0)]
_LOGITS = (
    [1e4, -1e4, 0.0, 0.0, 0.0],
    [20.0, 0.0, 0.0, 0.0, 0.0],
    [80.0, 0.0, -5.0, 0.0, 0.0],
    [-np.inf, 0.0, 0.0, -np.inf, 1.0],
    [1e4, 1e4, 1e4, 1e4, 1e4],
    [1e30, 1e30, -1e30, 0.0, 1e30],
)
_SMOOTHED = ({}, {"label_smoothing": 0.1}, {"z_loss": 1e-2}, {"label_smoothing": 0.3, "z_loss": 1e-4})
_ONE = [1.0, 2.0, -1.0, 0.5]

CASES = (
    Case(
        "squared_error",
        errors,
        squared_error,
        corners=((0.0, 0.0), (1.0, 1.0), (1e-15, 0.0), (1e15, 0.0), (1.0, _NEAR_ONE)),
    ),
    Case(
        "absolute_error",
        errors,
        absolute_error,
        corners=((0.0, 0.0), (1.0, 1.0), (1e-30, 0.0), (1e30, 0.0), (-1e30, 0.0)),
    ),
    Case(
        "huber",
        errors,
        huber,
        options=({}, {"delta": 0.3}, {"delta": 100.0}),
        corners=((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (1e-15, 0.0), (1e18, 0.0), (-1e30, 0.0), (1.0, 1 - 2**-24)),
    ),
    Case(
        "binary_cross_entropy",
        unit,
        binary_cross_entropy,
        corners=(*_SURE, (0.3, 0.3), (0.5, 0.25)),
        probabilities=(0,),
    ),
    Case(
        "sigmoid_binary_cross_entropy",
        odds,
        sigmoid_binary_cross_entropy,
        options=({}, {"positive_weight": 3.0}, {"label_smoothing": 0.1}),
        corners=(
            *((x, y) for x in (0.0, 20.0, -20.0, 80.0, 1e4, -1e4) for y in (0.0, 1.0)),
            *((np.inf, 1.0), (-np.inf, 0.0), (np.inf, 0.0)),
        ),
    ),
    Case(
        "binary_focal",
        unit,
        binary_focal,
        options=({}, {"gamma": 0.0}, {"gamma": 0.5, "alpha": 0.75}),
        corners=tuple(_SURE),
        probabilities=(0,),
    ),
    Case(
        "categorical_cross_entropy",
        two_distributions,
        categorical_cross_entropy,
        corners=(
            ([1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
            ([0.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
            ([1 - 2**-24, 1e-30, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
        ),
        probabilities=(0,),
    ),
    Case(
        "sparse_categorical_cross_entropy",
        distribution_and_label,
        sparse_categorical_cross_entropy,
        corners=(
            ([1.0, 0.0, 0.0, 0.0, 0.0], 0),
            ([1.0, 0.0, 0.0, 0.0, 0.0], 1),
            ([_NEAR_ONE, 1e-30, 0.0, 0.0, 0.0], 1),
        ),
        differentiable=(0,),
        probabilities=(0,),
    ),
    Case(
        "softmax_cross_entropy",
        logits_and_distribution,
        softmax_cross_entropy,
        options=_SMOOTHED,
        corners=(
            *((x, [0.0, 0.0, 0.0, 0.0, 1.0]) for x in _LOGITS),
            *((x, [1.0, 0.0, 0.0, 0.0, 0.0]) for x in _LOGITS[:3]),
        ),
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
        corners=tuple((x, 4) for x in _LOGITS) + tuple((x, 0) for x in _LOGITS[:3]),
        differentiable=(0,),
    ),
    Case(
        "softmax_cross_entropy_with_integer_labels",
        with_mask(logits_and_label),
        softmax_cross_entropy_with_integer_labels,
        options=_SMOOTHED[:2],
        corners=(([1e4, 0.0, 0.0, 0.0, 0.0], 1, [False, True, True, False, False]),),
        differentiable=(0,),
    ),
    Case(
        "kl_divergence",
        two_distributions,
        kl_divergence,
        corners=(
            ([0.0, 0.4, 0.6, 0.0, 0.0], [0.0, 0.5, 0.3, 0.2, 0.0]),
            ([0.2] * 5, [0.2] * 5),
            ([0.5, 0.5, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
            ([1e-30, 1.0, 0.0, 0.0, 0.0], [1.0, 1e-30, 0.0, 0.0, 0.0]),
        ),
        probabilities=(0, 1),
    ),
    Case(
        "gan_discriminator",
        two_probabilities,
        gan_discriminator,
        corners=((1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1 - 2**-24, 1e-30), (1e-30, 1 - 2**-24)),
        probabilities=(0, 1),
    ),
    Case(
        "triplet",
        triplets,
        triplet,
        options=({}, {"margin": 1.0}, {"distance": "squared_euclidean"}, {"distance": "cosine", "margin": 0.5}),
        corners=(
            (_ONE, _ONE, [0.0] * 4),
            (_ONE, _ONE, _ONE),
            ([0.0] * 4, [0.0] * 4, [0.0] * 4),
            (_ONE, [0.0] * 4, _ONE),
            ([1e-30] * 4, [0.0] * 4, [0.0] * 4),
            ([1e18] * 4, [-1e18] * 4, [1e18] * 4),
        ),
        differentiable=(0, 1, 2),
    ),
    Case(
        "triplet_from_distances",
        distances,
        triplet_from_distances,
        options=({}, {"margin": 0.0}),
        corners=((0.5, 1.0), (0.0, 0.0), (1e30, 0.0), (0.0, 1e30)),
    ),
)
