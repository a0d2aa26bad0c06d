"""Embedding: distances between vectors."""

import itertools

from mpmath import mpf

from cases.table import Case, D, cosine, euclidean


def triplet(a, p, n, margin=0.2, distance="euclidean"):
    named = {"euclidean": euclidean, "squared_euclidean": lambda u, v: euclidean(u, v) ** 2, "cosine": cosine}
    measure = named[distance]
    return max(measure(a, p) - measure(a, n) + mpf(margin), mpf(0))


def triplet_from_distances(positive, negative, margin=0.2):
    return max(mpf(positive) - mpf(negative) + mpf(margin), mpf(0))


def triplets(rng, n):
    return tuple(rng.normal(size=(n, D)) for _ in range(3))


def distances(rng, n):
    return rng.uniform(0.1, 2, n), rng.uniform(0.1, 2, n)


def _vectors(ulp):
    one, two, other = [1.0, 2.0, -1.0, 0.5], [1.1, 1.8, -1.3, 0.2], [-0.3, 0.7, 2.0, 1.5]
    for size in (1e-30, 1e-19, 1e-4, 1.0, 1e4, 1e18):
        a, p, n = ([size * x for x in v] for v in (one, two, other))
        yield a, p, n
        yield a, n, p
    yield one, [1e-30 * x for x in two], [1e18 * x for x in other]
    for apart in (ulp, 1e-6, 1e-4, 1e-2):
        beside = [x * (1 + k * apart) for k, x in enumerate(one, 1)]
        opposite = [-3 * x for x in beside]
        yield one, beside, other
        yield one, other, beside
        yield one, opposite, beside
        yield one, beside, opposite
        yield one, [5 * x for x in beside], [x / 7 for x in beside]
    yield one, [-x for x in one], [3 * x for x in one]
    yield one, [0.0] * 4, two
    yield [0.0] * 4, one, two
    yield [0.0] * 4, [1e30, 0.0, 0.0, 0.0], [0.0, 3e30, 0.0, 0.0]
    yield [0.0] * 4, [0.0, 3e30, 0.0, 0.0], [1e30, 0.0, 0.0, 0.0]


def _distances(ulp):
    sizes = (0.0, 1e-30, 1e-4, 0.2, 0.3 - ulp, 0.5, 1e4, 1e8, 1e30)
    yield from itertools.product(sizes, repeat=2)
    yield from ((0.5 * (1 + 2 * k * ulp), 0.7) for k in (-2, -1, 0, 1, 2))


_ONE = [1.0, 2.0, -1.0, 0.5]

CASES = (
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
        hard=_vectors,
    ),
    Case(
        "triplet_from_distances",
        distances,
        triplet_from_distances,
        options=({}, {"margin": 0.0}),
        corners=((0.5, 1.0), (0.0, 0.0), (1e30, 0.0), (0.0, 1e30)),
        hard=_distances,
        every_slope=False,
    ),
)
