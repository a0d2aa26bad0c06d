"""A row of the table of cases, and what the rows of several families share.

The oracles are the formulas, in as many digits as mpmath is told to take. They see one item, as Python numbers and
lists, and know nothing of JAX.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mpmath import inf, log, mp, mpf, sqrt

mp.dps = 50

Item = Sequence[Any]
K = 5  # classes
D = 4  # dimensions of an embedding
NEAR_ONE = 1 - 2**-24
PROBABILITY = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A loss, seen from outside.

    Attributes:
        draw: Arrays for n ordinary items, away from kinks, from a generator.
        oracle: The value of one item; a list of numbers where an array has a core axis.
        options: Sets of options to sweep; the first is the default.
        corners: Items at which value and gradient are easily wrong.
        differentiable: The positions of the arrays that have a gradient.
        shared: The positions of the arrays that all items share, drawn without an axis of items.
        domain: The ends of the domain of an array, by its position: a slope is taken on the inner side alone.
        hard: The items on which law 13 is judged, from half the spacing of the format at 1.
        every_slope: Whether the slopes in the options are judged in every set of options. Where a set is at an edge of
            the options, or beside a special value, only those of the first set are.
        relative_to_item: The positions of the arrays whose gradient is judged relative to the value, or the largest
            component in all arrays: it is a difference of terms of that size, which nearly cancel at some items.
        sorts: Whether it sorts along a core axis, which it then takes unsharded.
        variant: What tells it from other cases of the loss with the same options.
    """

    name: str
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]
    oracle: Callable[..., Any]
    options: tuple[Mapping[str, Any], ...] = ({},)
    corners: tuple[Item, ...] = ()
    differentiable: tuple[int, ...] = (0, 1)
    shared: tuple[int, ...] = ()
    domain: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    hard: Callable[[float], Iterable[Item]] = lambda _: ()
    every_slope: bool = True
    relative_to_item: tuple[int, ...] = ()
    sorts: bool = False
    variant: str = ""

    @property
    def masked(self) -> bool:
        """Whether the optional mask of the loss is given."""
        return any(array.dtype == bool for array in self.draw(np.random.default_rng(0), 1))


# ------------------------------------------------------------------------------------------------------------- oracles


def xlogy(x: Any, y: Any) -> Any:
    return mpf(0) if x == 0 else (-inf if y == 0 else mpf(x) * log(mpf(y)))


def softplus(x):
    if x == inf or x == -inf:
        return max(x, mpf(0))
    return max(x, 0) + mp.log1p(mp.exp(-abs(x)))


def rel_entr(p, q):
    return mpf(0) if p == 0 else inf if q == 0 else mpf(p) * log(mpf(p) / mpf(q))


def euclidean(u, v):
    return sqrt(sum((mpf(ui) - mpf(vi)) ** 2 for ui, vi in zip(u, v, strict=True)))


def cosine(u, v):
    lengths = sqrt(sum(mpf(ui) ** 2 for ui in u) * sum(mpf(vi) ** 2 for vi in v))
    return 1 - (sum(mpf(ui) * mpf(vi) for ui, vi in zip(u, v, strict=True)) / lengths if lengths else 0)


# ------------------------------------------------------------------------------------------------------ ordinary items


def errors(rng, n):
    return rng.normal(size=n) * 2, rng.normal(size=n)


def unit(rng, n):
    return rng.uniform(0.05, 0.95, n), rng.integers(0, 2, n).astype(float)


def two_probabilities(rng, n):
    return rng.uniform(0.05, 0.95, n), rng.uniform(0.05, 0.95, n)


def two_distributions(rng, n):
    return rng.dirichlet(np.ones(K), n) * 0.9 + 0.02, rng.dirichlet(np.ones(K), n)


def distribution_and_label(rng, n):
    return rng.dirichlet(np.ones(K), n) * 0.9 + 0.02, rng.integers(0, K, n)


def logits_and_label(rng, n):
    return rng.normal(size=(n, K)) * 3, rng.integers(0, K, n)


# ---------------------------------------------------------------------------------------------------------- hard items


def hard_errors(ulp):
    sizes = (0.0, 1e-30, 1e-20, 1e-10, 1e-4, 0.1, 0.3, 1 - ulp, 1.0, 1 + 2 * ulp, 3.0, 1e4, 1e10, 1e18, 2e19, 1e30)
    yield from ((sign * size, 0.0) for size in sizes for sign in (1, -1))
    yield from ((value + error, value) for value in (1.0, -1e4, 1e8) for error in (1e-4, 1e-3, 0.25, 8.0))
    yield from ((1e30, 1e30), (1e30, -1e30), (1e30, 1e30 * (1 - ulp)), (1e-20, 1.1e-20))


def hard_probabilities(ulp):
    ends = (0.0, 1e-30, 1e-10, 1e-3, 0.3, 0.5 * (1 - ulp), 0.5, 0.5 * (1 + 2 * ulp), 0.75, 1 - 1e-3, 1 - ulp, 1.0)
    yield from itertools.product(ends, (0.0, 1.0, 1e-4, 0.3, 0.5, 1 - ulp))
    for p in (1e-30, 1e-3, 0.3, 0.5, 0.75):
        yield from ((near, p) for near in (p * (1 - ulp), p, p * (1 + 2 * ulp), p * 0.999, p * 1.01))


def hard_logits(ulp):
    sizes = (0.0, 1e-30, 1e-10, 1e-4, 0.1, 1.0, 5.0, 17.0, 20.0, 50.0, 80.0, 1e4, np.inf)
    yield from ((sign * x, y) for x in sizes for sign in (1, -1) for y in (0.0, 1.0, 0.3, 0.5, ulp))
    yield from ((np.log(p / (1 - p)), p) for p in (1e-3, 0.3, 0.75, 0.99))


def hard_rows(ulp):
    yield [0.0] * 5
    yield [1e-4, -1e-4, 0.0, 2e-4, 0.0]
    yield from ([margin, 0.0, -1.0, 0.5, 0.25] for margin in (1.0, 5.0, 10.0, 17.0, 20.3, 50.1, 80.7, 100.0, 1e4))
    yield from ([margin, -np.inf, -np.inf, -np.inf, 0.0] for margin in (0.0, 20.0, -20.0, 1e4, -1e4))
    yield [10001.0, 10002.0, 10003.0, 9999.5, 1e4]
    yield [-10001.0, -10002.0, -10003.0, -9999.5, -1e4]
    yield [1e30, 1e30, 1e30, -1e30, -np.inf]
    yield [1e30, 1e30 * (1 - ulp), 0.0, 0.0, 0.0]
    yield [-np.inf, -np.inf, 3.0, -np.inf, -np.inf]


def hard_targets(ulp):
    yield [1.0, 0.0, 0.0, 0.0, 0.0]
    yield [0.0, 0.0, 0.0, 0.0, 1.0]
    yield [0.2] * 5
    yield [0.9, 0.0, 0.1, 0.0, 0.0]
    yield [1 - ulp, 1e-30, 0.0, 0.0, ulp]


def hard_distributions(ulp):
    yield [0.2] * 5
    yield [1.0, 0.0, 0.0, 0.0, 0.0]
    yield [0.0, 1.0, 0.0, 0.0, 0.0]
    yield [1 - ulp, 1e-30, 0.0, 0.0, ulp]
    yield [1e-30, 3e-30, 1e-10, 0.5, 0.5]
    yield [0.7, 0.2, 0.1, 0.0, 0.0]
    yield [0.7 * (1 + 2 * ulp), 0.2 * (1 - ulp), 0.1, 0.0, 0.0]
    yield [0.6999, 0.2001, 0.1, 0.0, 0.0]
    yield [0.1, 0.3, 0.2, 0.25, 0.15]
    yield [0.9197606, 2.8198e-5, 0.0801781, 3.30761e-5, 0.0]
    yield [0.9196911, 2.7951e-5, 0.0802478, 3.31048e-5, 0.0]
