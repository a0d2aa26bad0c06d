"""Embedding: distances between vectors."""

import itertools

from mpmath import cos, mp, mpf, pi, sin, sqrt

from cases.table import Case, D, cosine, euclidean

DISTANCES = {"euclidean": euclidean, "squared_euclidean": lambda u, v: euclidean(u, v) ** 2, "cosine": cosine}


def contrastive(u, v, label, margin=1.0, distance="euclidean"):
    d = DISTANCES[distance](u, v)
    return (d if label else max(mpf(margin) - d, mpf(0))) ** 2 / 2


def cosine_embedding(u, v, target, margin=0.0):
    return cosine(u, v) if target > 0 else max(1 - cosine(u, v) - mpf(margin), mpf(0))


def _surprisal(x, label, kernel, scale, margin_of):
    """Of the label among the scaled cosines with all columns of the kernel, its own one with a margin."""
    cosines = [1 - cosine(x, column) for column in zip(*kernel, strict=True)]
    own = margin_of(cosines[label])
    return mp.log1p(sum(mp.exp(mpf(scale) * (c - own)) for j, c in enumerate(cosines) if j != label))


def arcface(x, label, kernel, scale=64.0, margin=0.5):
    m = mpf(margin)

    def with_angle(c):
        beyond = c < cos(pi - m)
        return c - m * sin(m) if beyond else c * cos(m) - sqrt(max(1 - c**2, 0)) * sin(m)

    return _surprisal(x, label, kernel, scale, with_angle)


def cosface(x, label, kernel, scale=64.0, margin=0.35):
    return _surprisal(x, label, kernel, scale, lambda c: c - mpf(margin))


def triplet(a, p, n, margin=0.2, distance="euclidean"):
    measure = DISTANCES[distance]
    return max(measure(a, p) - measure(a, n) + mpf(margin), mpf(0))


def triplet_from_distances(positive, negative, margin=0.2):
    return max(mpf(positive) - mpf(negative) + mpf(margin), mpf(0))


def pairs_and_bit(rng, n):
    return rng.normal(size=(n, D)) / 2, rng.normal(size=(n, D)) / 2, rng.integers(0, 2, n)


def pairs_and_sign(rng, n):
    return *pairs_and_bit(rng, n)[:2], rng.choice([-1.0, 1.0], n)


def head(rng, n):
    return rng.normal(size=(n, 3)), rng.integers(0, 3, n), rng.normal(size=(3, 3))


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


def _pairs(ulp):
    one, two = [1.0, 2.0, -1.0, 0.5], [1.1, 1.8, -1.3, 0.2]
    for size in (1e-19, 1e-4, 1.0, 0.1, 1e4, 1e15):
        yield [size * x for x in one], [size * x for x in two]
    for apart in (ulp, 1e-6, 1e-3):
        yield one, [x * (1 + k * apart) for k, x in enumerate(one, 1)]
    yield one, [-x for x in one]
    yield one, [0.0] * 4


def _pairs_and_bit(ulp):
    yield from ((*pair, bit) for pair in _pairs(ulp) for bit in (0, 1))


def _pairs_and_sign(ulp):
    yield from ((*pair, sign) for pair in _pairs(ulp) for sign in (-1.0, 1.0))


_COLUMNS = [[1.0, 0.2, -0.5], [0.0, 1.0, 0.8], [0.1, -0.3, 0.4]]


def _heads(_):
    for x in ([1.0, 0.5, 0.2], [-1.0, 0.05, 0.0], [1e-4, 2e-4, -1e-4], [-0.9, 1.1, 0.7], [1e15, -1e15, 1e14]):
        yield from ((x, label, _COLUMNS) for label in (0, 2))
    yield [1.0, 0.2, 0.1], 0, [[1e-10 * c for c in row] for row in _COLUMNS]


def _distances(ulp):
    sizes = (0.0, 1e-30, 1e-4, 0.2, 0.3 - ulp, 0.5, 1e4, 1e8, 1e30)
    yield from itertools.product(sizes, repeat=2)
    yield from ((0.5 * (1 + 2 * k * ulp), 0.7) for k in (-2, -1, 0, 1, 2))


_ONE = [1.0, 2.0, -1.0, 0.5]

CASES = (
    Case(
        "contrastive",
        pairs_and_bit,
        contrastive,
        options=({}, {"margin": 0.2}, {"distance": "cosine"}),
        corners=((_ONE, _ONE, 0), (_ONE, _ONE, 1), ([0.0] * 4, [0.0] * 4, 0), (_ONE, [0.0] * 4, 1)),
        hard=_pairs_and_bit,
    ),
    Case(
        "cosine_embedding",
        pairs_and_sign,
        cosine_embedding,
        options=({}, {"margin": 0.3}),
        corners=((_ONE, _ONE, -1.0), (_ONE, _ONE, 1.0), ([0.0] * 4, _ONE, -1.0), ([0.0] * 4, [0.0] * 4, 1.0)),
        differentiable=(0, 1, 2),
        hard=_pairs_and_sign,
    ),
    *(
        Case(
            oracle.__name__,
            head,
            oracle,
            options=({}, {"scale": 4.0, "margin": 0.2}),
            corners=(
                ([0.0] * 3, 1, _COLUMNS),
                ([1.0, 0.0, 0.1], 0, _COLUMNS),  # theta is 0
                ([-1.0, 0.0, -0.1], 0, _COLUMNS),  # and pi
            ),
            differentiable=(0, 2),
            shared=(2,),
            hard=_heads,
        )
        for oracle in (arcface, cosface)
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
