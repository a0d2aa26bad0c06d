"""The numerics, one function at a time: true at generic points, and at every corner what the docstring says."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from cases import binary, sparsemax
from cases.noisy import bi_tempered_cross_entropy, tempered_softmax
from cases.table import cosine, euclidean, softplus
from mpmath import mp, mpf

from jaxloss import numerics
from jaxloss.numerics import rows

INF, NAN = np.inf, np.nan
LARGEST = float(np.finfo(np.float32).max)
DIGITS = 120
STEP = mpf(10) ** -40


def dot(a, b):
    return mp.fsum(ai * bi for ai, bi in zip(a, b, strict=True))


def each(function):
    return lambda x: [function(xj) for xj in x]


def minus(a, b):
    return [ai - bi for ai, bi in zip(a, b, strict=True)]


def log_partition(x):
    return mp.log(mp.fsum(mp.exp(xj) for xj in x))


def kl(p, q):
    return mp.fsum(pj * mp.log(pj / qj) for pj, qj in zip(p, q, strict=True))


def softmax(x, temperature):
    return [mp.exp(xj / temperature - log_partition([xi / temperature for xi in x])) for xj in x]


def jensen_shannon_of(p, q):
    mean = [(pj + qj) / 2 for pj, qj in zip(p, q, strict=True)]
    return (kl(p, mean) + kl(q, mean)) / 2


def from_far(u, v, w):
    return euclidean(u, v) - euclidean(u, w)


# ------------------------------------------------------------------------------------------------------ generic points


class Formula(NamedTuple):
    """What a function is, in mpmath, and smooth points to try it at."""

    oracle: Callable[..., Any]
    points: Sequence[tuple[Any, ...]]


VECTORS = [
    ([1.0, -2.0, 0.5], [0.3, 0.7, 1.5]),
    ([1e-30, 2e-30, -1e-30], [3e-30, 1e-30, 2e-30]),
    ([1e17, 2e17, 1e16], [2e17, -1e17, 3e17]),
    ([1.0, 2.0, 3.0], [1.0001, 2.0001, 2.9998]),
]
LOGITS = [
    ([1.0, -2.0, 0.5],),
    ([20.3, 0.1, -1.0],),
    ([50.3, 0.1, -1.0],),
    ([80.7, 0.1, -1.0],),
    ([10001.0, 10002.5, 10000.0],),
    ([-10001.0, -10002.5, -10000.0],),
]
CLOSE_LOGITS = [
    ([0.3, 0.1, -1.5],),
    ([0.3, 0.7, 0.2],),
    ([1.4, 0.45, 0.75],),
    ([-0.4, 0.597, -9.0],),
    ([100.25, 99.3, 100.0],),
    ([1e30, 1.0, 0.0],),
]
PROBABILITIES = [(p, y) for p in (1e-30, 0.01, 0.3, 0.499, 0.501, 0.8, 0.9999) for y in (0.0, 0.25, 1.0)]

OF_LABEL = (
    *("label_surprisal", "label_complement", "label_power", "generalized_surprisal", "modulated_label_surprisal"),
    *("adjusted_surprisal", "label_margin", "margin_surprisal"),
)


def of_label(name):
    """Of the label 1, in every row."""
    return lambda x, *options: getattr(numerics, name)(x, jnp.ones(x.shape[:-1], jnp.int32), *options)


def of_p(formula):
    return lambda x, *options: formula(mp.exp(x[1] - log_partition(x)), *options)


# What takes a function, or an argument that has no slope, as one of numbers.
COMPOSED = {
    "of_error": numerics.of_error(numerics.half_square),
    "logistic_surprisal": lambda x, y, weight: numerics.logistic_surprisal(x, y, weight, 0 * weight),
    # Of the second class.
    "shortfall": lambda x, margin: numerics.shortfall(x, jnp.ones(margin.shape, jnp.int32), margin),
    "sparsemax_surprisal": lambda x: numerics.sparsemax_surprisal(x, jnp.ones(x.shape[:-1], jnp.int32)),
    "entmax15_surprisal": lambda x: numerics.entmax15_surprisal(x, jnp.ones(x.shape[:-1], jnp.int32)),
    **{name: of_label(name) for name in OF_LABEL},
    "tempered_surprisal": lambda x: numerics.tempered_surprisal(x, jnp.full(x.shape[:-1], 1.5, x.dtype)),
    # What the rounding of a margin took has no gradient: that of the margin is the whole one.
    "label_margin": lambda counts, largest: of_label("label_margin")(counts, largest)[0],
    "margin_surprisal": lambda x, margin, scale: of_label("margin_surprisal")(x, margin, jnp.zeros_like(margin), scale),
}
FORMULAS = {
    "sum_of_three": Formula(
        lambda a, b, c: a + b + c, [(1.0, 2.0, -0.1), (1e8, 0.25, -1e8), (0.1, 1e8, -1e8), (0.5, -0.7, 0.2)]
    ),
    "ratio": Formula(
        lambda n, d: n / d, [(3.0, -2.0), (1e-20, 1e-25), (1e20, 1e25), (1e-30, 3e-30), (0.7, 1e-19), (7.0, 1e19)]
    ),
    "reused": Formula(lambda x: x, [(3.0,), (-1e-30,), (1e30,)]),
    "absolute": Formula(abs, [(3.0,), (-3.0,), (1e-30,), (-1e30,)]),
    "safe_square": Formula(lambda x: x**2, [(3.0,), (-1e-10,), (1e15,)]),
    "safe_sqrt": Formula(mp.sqrt, [(3.0,), (1e-30,), (1e30,)]),
    "safe_norm": Formula(lambda x: euclidean(x, [0] * 3), [(v,) for v, _ in VECTORS]),
    "unit_vector": Formula(lambda x: [xj / euclidean(x, [0] * 3) for xj in x], [(v,) for v, _ in VECTORS[:3]]),
    "safe_log": Formula(mp.log, [(3.0,), (1e-30,), (1e30,), (0.999,)]),
    "safe_log1p": Formula(mp.log1p, [(3.0,), (1e-9,), (-1e-9,), (-0.4,), (-0.999,)]),
    "multiply_no_nan": Formula(lambda w, v: w * v, [(2.0, 3.0), (-0.3, 1e-10)]),
    "xlogy": Formula(lambda x, y: x * mp.log(y), [(2.0, 3.0), (1e-30, 1e-30), (0.5, 0.999)]),
    "xlog1py": Formula(lambda x, y: x * mp.log1p(y), [(2.0, 3.0), (1e-20, 1e-9), (0.5, -0.4)]),
    "rel_entr": Formula(
        lambda p, q: p * mp.log(p / q),
        [(0.3, 0.5), (0.3, 0.3001), (0.3, 0.30000001), (0.3, 0.1), (1e-30, 3e-30), (1.0, 1e-30), (1e-30, 1.0)],
    ),
    "relative_entropy": Formula(
        kl,
        [
            ([0.2, 0.3, 0.5], [0.6, 0.3, 0.1]),
            ([0.2001, 0.3, 0.4999], [0.2, 0.3, 0.5]),
            ([0.25 + 2**-20, 0.5 - 2**-19, 0.25 + 2**-20], [0.25, 0.5, 0.25]),
            ([0.02, 0.9, 0.08], [1e-20, 0.5, 0.5]),
        ],
    ),
    "kl_div": Formula(
        lambda p, q: p * mp.log(p / q) - p + q,
        [(0.3, 0.5), (0.3, 0.3001), (0.3, 0.30000001), (0.3, 0.1), (0.3, 0.91), (1e-30, 3e-30), (1e4, 1e-20)],
    ),
    "jensen_shannon": Formula(
        lambda p, q: (p * mp.log(2 * p / (p + q)) + q * mp.log(2 * q / (p + q))) / 2,
        [(0.3, 0.5), (0.3, 0.3001), (0.3, 0.30000001), (0.3, 0.1), (0.9, 0.01), (1e-30, 3e-30), (1.0, 1e-20)],
    ),
    "renyi": Formula(
        lambda p, q, a: mp.log(mp.fsum(x**a * y ** (1 - a) for x, y in zip(p, q, strict=True))) / (a - 1),
        [
            ([0.25, 0.25, 0.5], [0.6, 0.3, 0.1], 0.5),
            ([0.25, 0.5, 0.25], [0.2, 0.3, 0.5], 2.5),
            ([0.25, 0.25, 0.5], [0.2501, 0.25, 0.4999], 0.75),
            ([0.25, 0.5, 0.25], [0.05, 0.5, 0.45], 3.0),
        ],
    ),
    "hellinger": Formula(
        lambda p, q: euclidean(map(mp.sqrt, p), map(mp.sqrt, q)) / mp.sqrt(2),
        [
            ([0.2, 0.3, 0.5], [0.6, 0.3, 0.1]),
            ([0.2001, 0.3, 0.4999], [0.2, 0.3, 0.5]),
            ([0.02, 0.9, 0.08], [1e-20, 0.5, 0.5]),
        ],
    ),
    "gaussian_relative_entropy": Formula(
        lambda m, a, n, b: (b - a + (mp.exp(a) + (m - n) ** 2) / mp.exp(b) - 1) / 2,
        [(0.3, 1.0, -0.7, 0.4), (0.3, 1.0, 0.31, 1.01), (1e-4, -20.3, 0.0, 60.1), (1e-20, -60.1, 0.0, -60.2)],
    ),
    "relative_entropy_to_standard_normal": Formula(
        lambda m, v: (m**2 + mp.exp(v) - 1 - v) / 2,
        [
            (0.3, 1.0),
            (1e-4, -20.3),
            (1e-18, 1e-18),
            (0.0, 1e-4),
            (0.1, -0.999),
            (1.0, 1.999),
            (1.0, 2.001),
            (0.0, 89.1),
        ],
    ),
    "log1mexp": Formula(
        lambda x: mp.log(-mp.expm1(-x)), [(1e-20,), (1e-3,), (0.3,), (0.693,), (0.6932,), (2.0,), (50.0,)]
    ),
    "modulated_binary_surprisal": Formula(
        lambda p, y, gamma, a, b: -a * y * (1 - p) ** gamma * mp.log(p) - b * (1 - y) * p**gamma * mp.log(1 - p),
        [
            (p, y, gamma, 0.25, 0.75)
            for p in (1e-10, 0.25, 0.5, 0.875, 1 - 2**-20)
            for y in (0.0, 1.0)
            for gamma in (0.0, 0.5, 2.0)
        ],
    ),
    "modulated_surprisal": Formula(
        binary.modulated_surprisal,
        [
            *((x, gamma) for x in (0.3, -1.0, 17.1, -20.0, -80.0) for gamma in (0.0, 0.3, 2.0, 3.3)),
            *((x, 5.0) for x in np.random.default_rng(0).uniform(-1, 1, 200)),
        ],
    ),
    "focal_surprisal": Formula(
        lambda x, y, gamma, a, b: (
            a * y * binary.modulated_surprisal(x, gamma) + b * (1 - y) * binary.modulated_surprisal(-x, gamma)
        ),
        [
            (x, y, gamma, 0.25, 0.75)
            for x in (0.3, -1.0, 17.1, -20.0)
            for y, gamma in ((1.0, 2.0), (0.0, 0.3), (1.0, 0.0))
        ],
    ),
    "shifted_surprisal": Formula(
        binary.shifted_surprisal,
        [(x, gamma, m) for x in (0.3, -1.1, 17.1) for gamma, m in ((2.0, 0.0625), (0.5, 0.125), (0.0, 0.25))],
    ),
    "sigmoid": Formula(lambda x: 1 / (1 + mp.exp(-x)), [(x,) for x in (0.0, 1.0, -1.0, 20.0, -20.0, 80.0, -80.0)]),
    "softplus": Formula(softplus, [(x,) for x in (0.3, 1.0, -1.0, 20.0, -20.0, 80.0, -80.0, 1e4)]),
    "binary_surprisal": Formula(
        lambda p, y: -y * mp.log(p) - (1 - y) * mp.log1p(-p),
        [*PROBABILITIES, (0.3, 0.3001), (0.5, 0.50001), (0.499999, 0.500001)],
    ),
    "logistic_surprisal": Formula(
        lambda x, y, w: w * y * softplus(-x) + (1 - y) * softplus(x),
        [(x, y, w) for x in (0.3, -1.0, 20.0, -20.0, 80.0) for y, w in ((1.0, 1.0), (0.0, 1.0), (0.25, 3.0))]
        + [(1e-6, 0.5, 1.0), (-1e-20, 0.5, 1.0)],
    ),
    "softplus_difference": Formula(
        lambda a, b: softplus(a - b),
        [(0.3, 1.0), (-40.1, 39.9), (10000.5, 10000.25), (-10.3, 7.7), (80.7, 0.1), (1e-10, 1.0), (1e4, -1e4)],
    ),
    "logsumexp": Formula(log_partition, LOGITS),
    "surprisal": Formula(lambda x: [log_partition(x) - xj for xj in x], LOGITS),
    "uniform_surprisal": Formula(lambda x: log_partition(x) - mp.fsum(x) / 3, LOGITS),
    "expected_surprisal": Formula(
        lambda t, x: mp.fsum(tj * (log_partition(x) - xj) for tj, xj in zip(t, x, strict=True)),
        [(t, x) for (x,) in LOGITS for t in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25])],
    ),
    "signed_shortfall": Formula(
        lambda f, y, m: max(m - y * f, 0), [(0.3, 1.0, 1.0), (3.0, 1.0, 1.0), (-1e-30, -1.0, 0.5), (1e30, -1.0, 1.0)]
    ),
    "squared_signed_shortfall": Formula(
        lambda f, y, m: max(m - y * f, 0) ** 2, [(0.3, 1.0, 1.0), (3.0, 1.0, 1.0), (0.7, -1.0, 0.5), (1e15, -1.0, 1.0)]
    ),
    "shortfall": Formula(
        lambda x, margin: margin + max(x[0], x[2]) - x[1],
        [(x, 1.0) for (x,) in LOGITS] + [([0.3, 1.3, -1.0], 1.0), ([7.1, 0.1, 7.2], 1e-7)],
    ),
    "sparse_plus": Formula(lambda x: sparsemax.sparsemax(x, 0), [(x,) for x in (0.3, -0.3, -0.999, 0.999, 3.0, -3.0)]),
    "project_to_simplex": Formula(sparsemax.nearest_distribution, CLOSE_LOGITS),
    "sparsemax_surprisal": Formula(lambda x: sparsemax.multiclass_sparsemax(x, 1), CLOSE_LOGITS),
    "entmax15_probabilities": Formula(sparsemax.entmax15_distribution, CLOSE_LOGITS),
    "entmax15_surprisal": Formula(lambda x: sparsemax.entmax15(x, 1), [*CLOSE_LOGITS, ([0.3, 2.2999, -1.0],)]),
    "label_surprisal": Formula(of_p(lambda p: -mp.log(p)), LOGITS),
    "label_complement": Formula(of_p(lambda p: 1 - p), [*LOGITS, ([0.1, 20.3, -1.0],), ([0.1, 80.7, -1.0],)]),
    "label_power": Formula(of_p(lambda p, q: p**q), [(*x, q) for x in LOGITS for q in (0.7, 1.0)]),
    "generalized_surprisal": Formula(
        of_p(lambda p, q: (1 - p**q) / q), [(*x, q) for x in LOGITS for q in (0.7, 1.0, 1e-6)]
    ),
    "modulated_label_surprisal": Formula(
        of_p(lambda p, gamma: -((1 - p) ** gamma) * mp.log(p)), [(*x, gamma) for x in LOGITS for gamma in (0.5, 2.0)]
    ),
    "adjusted_surprisal": Formula(
        lambda x, w, b: log_partition([xj + w * bj for xj, bj in zip(x, b, strict=True)]) - x[1] - w * b[1],
        [(*x, 0.7, [-3.3, -0.1, -7.7]) for x in LOGITS],
    ),
    "margin_surprisal": Formula(
        lambda x, m, s: log_partition([s * (xj - m * (j == 1)) for j, xj in enumerate(x)]) - s * (x[1] - m),
        [(*x, 0.3, s) for x in LOGITS[:5] for s in (0.7, 4.3)],
    ),
    "label_margin": Formula(
        lambda n, largest: largest * (min(n) / n[1]) ** mpf("0.25"),
        [([300.0, 7e5, 11.0], 0.5), ([30.0, 17.0, 11.0], 3.0)],
    ),
    "interval_surprisal": Formula(
        lambda x, low, high: -mp.log(1 / (1 + mp.exp(x - high)) - 1 / (1 + mp.exp(x - low))),
        [(x, low, low + w) for x, low, w in itertools.product((0.3, 20.3, -50.1), (-1.0, 0.7), (1e-4, 2.0, 30.0))],
    ),
    "tempered_surprisal": Formula(
        lambda x: [-mp.log(pj) for pj in tempered_softmax(x, 1.5)], [([1.0, -2.0, 0.5],), ([4.3, 4.1, -1.0],)]
    ),
    "tempered_divergence": Formula(
        lambda y, x, t1, t2: bi_tempered_cross_entropy(x, y, t1, t2),
        [(y, [1.0, -2.0, 0.5], *t) for y in ([0.7, 0.2, 0.1], [0.05, 0.9, 0.05]) for t in ((0.8, 1.3), (0.5, 2.0))],
    ),
    "polynomial_surprisal": Formula(
        lambda t, x, w: mp.fsum(
            tj * (log_partition(x) - xj + w * (1 - mp.exp(xj - log_partition(x)))) for tj, xj in zip(t, x, strict=True)
        ),
        [
            ([0.2, 0.5, 0.3], [1.0, -2.0, 0.5], 2.0),
            ([0.0, 0.5, 0.5], [20.3, 0.1, -1.0], -1.5),
            ([0.1, 0.7, 0.2], [0.3, 0.7, 0.2], -1.0),
            ([1.0, 0.0, 0.0], [20.3, 0.1, -1.0], 0.0),
        ],
    ),
    "expected_complement": Formula(
        lambda t, x: mp.fsum(tj * (1 - mp.exp(xj - log_partition(x))) for tj, xj in zip(t, x, strict=True)),
        [(t, x) for (x,) in LOGITS for t in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25])],
    ),
    "softmax_relative_entropy": Formula(
        lambda x, z, t: kl(softmax(x, t), softmax(z, t)),
        [
            ([1.0, -2.0, 0.5], [0.3, 0.7, -1.5], 3.0),
            ([1.0, -2.0, 0.5], [1.0001, -2.0002, 0.5001], 0.7),
            ([20.3, 0.1, -1.0], [20.4, 0.3, -1.1], 1.0),
            ([10001.0, 10002.5, 10000.0], [-2.0, -0.500001, -3.0], 1.0),
            ([50.3, 0.1, -1.0], [0.1, 50.3, -1.0], 1.0),
        ],
    ),
    "softmax_jensen_shannon": Formula(
        lambda x, z: jensen_shannon_of(softmax(x, 1), softmax(z, 1)),
        [
            ([1.0, -2.0, 0.5], [0.3, 0.7, -1.5]),
            ([1.0, -2.0, 0.5], [1.0001, -2.0002, 0.5001]),
            ([20.3, 0.1, -1.0], [20.4, 0.3, -1.1]),
            ([10001.0, 10002.5, 10000.0], [-2.0, -0.500001, -3.0]),
            ([50.3, 0.1, -1.0], [0.1, 50.3, -1.0]),
        ],
    ),
    "euclidean_distance": Formula(euclidean, VECTORS),
    "squared_euclidean_distance": Formula(lambda u, v: euclidean(u, v) ** 2, [VECTORS[0], VECTORS[2], VECTORS[3]]),
    "cosine_distance": Formula(
        cosine,
        [
            *VECTORS,
            ([1.0, 2.0, 3.0], [-1.0001, -2.0001, -2.9998]),
            ([1.0, 2.0, 3.0], [7.000001, 14.000002, 20.999995]),
            ([1e-30, 2e-30, 3e-30], [1.0001e20, 2.0001e20, 2.9998e20]),
        ],
    ),
}


def huber(e, delta):
    return e**2 / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)


def tilt(e, level):
    return level if e < 0 else 1 - level


ERRORS = (0.1, -0.7, 1.3, -9.0, 1e-4, -1e-6, 1e4, -1e15)
FORMULAS |= {
    "of_error": Formula(lambda x, y: (x - y) ** 2 / 2, [(0.3, 0.2), (-1e-10, 3.0), (1e15, 1.0)]),
    "half_square": Formula(lambda e: e**2 / 2, [(e,) for e in ERRORS]),
    "positive_part": Formula(lambda e: max(e, 0), [(e,) for e in ERRORS]),
    "clipped_square": Formula(huber, [(e, delta) for e in ERRORS for delta in (0.3, 100.0)]),
    "smooth_absolute": Formula(lambda e, beta: huber(e, beta) / beta, [(e, b) for e in ERRORS for b in (0.3, 100.0)]),
    "log_cosh": Formula(
        lambda e: abs(e) - mp.log(2) + mp.log1p(mp.exp(-2 * abs(e))), [(0.3,), (-1.7,), *((e,) for e in ERRORS)]
    ),
    "hyperbola": Formula(
        lambda e, delta: delta**2 * (mp.sqrt(1 + (e / delta) ** 2) - 1), [(e, d) for e in ERRORS for d in (0.3, 100.0)]
    ),
    "tilted_absolute": Formula(lambda e, level: tilt(e, level) * abs(e), [(e, t) for e in ERRORS for t in (0.1, 0.7)]),
    "tilted_square": Formula(lambda e, level: tilt(e, level) * e**2, [(e, t) for e in ERRORS for t in (0.1, 0.7)]),
    "tilted_smooth_absolute": Formula(
        lambda e, level, beta: tilt(e, level) * huber(e, beta) / beta,
        [(e, t, b) for e in ERRORS for t in (0.1, 0.7) for b in (0.3, 20.0)],
    ),
}


def moments(x, focus):
    mean = mp.fsum(x) / len(x)
    return mp.fsum(xj**2 for xj in x) / len(x) - focus * mean**2


PAIRS = [(0.3, 0.5), (0.3, 0.3001), (20.0, 3.0), (1e-10, 3e-10), (1e30, 1e-30), (1e-30, 1e30), (1e-20, 2.0)]
FORMULAS |= {
    "log_ratio": Formula(lambda x, y: mp.log(x) - mp.log(y), PAIRS),
    "squared_log1p_ratio": Formula(
        lambda x, y: (mp.log1p(x) - mp.log1p(y)) ** 2, [*PAIRS[:4], (-0.9, 3.0), (-0.999, 1e30), (-0.3, -0.3001)]
    ),
    "relative_error": Formula(lambda x, y: abs(x / y - 1), [*PAIRS[:4], (-0.3, 2.0), (3.0, -1.0)]),
    "symmetric_relative_error": Formula(
        lambda x, y: 2 * abs(x - y) / (abs(x) + abs(y)), [*PAIRS[:4], (-0.3, -2.0), (1e30, 3e30)]
    ),
    "excess": Formula(
        lambda x, y, allowed: max(abs(x - y) - allowed, 0), [(1.3, 0.2, 0.1), (-1.0, 0.3, 2.0), (1.0, 1.25, 0.24999)]
    ),
    "second_moment": Formula(moments, [([0.3, -2.0, 1.0], 0.5), ([1.0, 1.1, 0.7], 0.0), ([-1.0, 3.0, 0.7], 1.0)]),
}


def barron(x, scale, alpha=-1):
    z, b = (x / scale) ** 2, abs(alpha - 2)
    return b / alpha * ((1 + z / b) ** (alpha / 2) - 1)


def influence(x, scale, alpha=-1):
    return x / scale**2 * (1 + (x / scale) ** 2 / abs(alpha - 2)) ** (alpha / 2 - 1)


def wing(x, width, curvature):
    e = abs(x)
    return width * mp.log1p(min(e, width) / curvature) + max(e - width, 0)


# Also where the square of the quotient is beyond float32.
WELLS = [(3.7, 0.3), (-0.7, 2.0), (0.1, 2.0), (1e-20, 1e-10), (-1e20, 1e25), (1e26, 1e20), (1e-30, 1e-34), (3e36, 1e36)]
WELLS += [(1e-20, 1e-25), (-1e12, 1e-7), (1e-10, 1e-34)]
DEEP_WELLS = [(x * c, c) for x in (9.3, -13.1, 15.7, 17.3) for c in (0.3, 1e-30, 1e-37)]
SHAPES = [(x, scale) for x in (3.7, -0.7, 0.1) for scale in (0.3, 2.0)]
FORMULAS |= {
    "difference": Formula(lambda x, y: [x - y, x - y], [(3.0, 1.0), (0.5, 2.0)]),
    "robust_cost": Formula(barron, SHAPES),
    "robust_influence": Formula(influence, [(0.1, 2.0), (0.1, 0.3), (3.7, 2.0)]),
    "biweight": Formula(
        lambda x, y, c: c**2 / 6 * (1 - (1 - min(((x - y) / c) ** 2, 1)) ** 3),
        [(0.3, 0.1, 1.0), (-1.3, 0.2, 4.685), (0.999, 0.0, 1.0)],
    ),
    "hyperbolic_well": Formula(lambda x, c: (x / c) ** 2 / (1 + mp.sqrt(1 + (x / c) ** 2)), WELLS[:-1]),
    "logarithmic_well": Formula(lambda x, c: mp.log1p((x / c) ** 2 / 2), [*WELLS, (-1e30, 1e-20)]),
    "rational_well": Formula(lambda x, c: 2 / (1 + (2 * c / x) ** 2), WELLS),
    "gaussian_well": Formula(lambda x, c: -mp.expm1(-((x / c) ** 2) / 2), [*WELLS, *DEEP_WELLS]),
    "logarithmic_hinge": Formula(
        lambda x, y, *options: wing(x - y, *options),
        [(0.3, 0.2, 10.0, 2.0), (-3.0, 1.5, 1.0, 0.5), (1e-10, 0.0, 1.0, 2.0), (1e10, 0.0, 1.0, 2.0)],
    ),
}
COMPOSED |= {
    "difference": lambda x, y: jnp.stack([numerics.difference(x, y)[0]] * 2),
    "robust_cost": lambda x, scale: numerics.robust_cost(x, jnp.zeros_like(x), -jnp.ones_like(x), scale),
    "robust_influence": lambda x, scale: numerics.robust_influence(x, jnp.zeros_like(x), -jnp.ones_like(x), scale),
    "gaussian_well": lambda x, c: numerics.gaussian_well(x, jnp.zeros_like(x), c),
}
VALUE, GRADIENT = 5, 6  # ulp of the largest entry, here of the slopes of one output in one argument


def test_every_function_is_here():
    public = {name for name, value in vars(numerics).items() if callable(value) and not name.startswith("_")}
    # Those of matrices, of numbers that are not real, and of many rows at once have tests of their own.
    elsewhere = {"one_hot", "pick", "interval_of", "Softmax", "cross_entropy"}
    elsewhere |= {"linear_softmax_sum", "linked_softmax", "split_cross_entropy"}
    assert public == set(FORMULAS) | elsewhere


def function_named(name):
    return COMPOSED.get(name, getattr(numerics, name))


def rounded(points, dtype):
    """The points as columns, and one by one in the digits that they have in the format."""
    columns = [np.array(column, dtype) for column in zip(*points, strict=True)]
    exact = [[jax.tree.map(mpf, array[number].tolist()) for array in columns] for number in range(len(points))]
    return columns, exact


def as_list(x):
    return x if isinstance(x, list) else [x]


def places(point):
    """Every number of every argument."""
    return [(k, j) for k, array in enumerate(point) for j in range(len(as_list(array)))]


def moved(point, steps):
    point = list(point)
    for (k, j), h in steps:
        array = point[k]
        point[k] = [*array[:j], array[j] + h, *array[j + 1 :]] if isinstance(array, list) else array + h
    return point


def width(point, place):
    return STEP * (max(map(abs, as_list(point[place[0]]))) or 1)


def true_value(name, point):
    return as_list(FORMULAS[name].oracle(*point))


def true_jacobian(name, point):
    """For each argument a row for each output."""
    blocks = []
    for k, array in enumerate(point):
        columns = []
        for place in [(k, j) for j in range(len(as_list(array)))]:
            h = width(point, place)
            above, below = (true_value(name, moved(point, [(place, step)])) for step in (h, -h))
            columns.append([x / (2 * h) for x in minus(above, below)])
        blocks.append(list(zip(*columns, strict=True)))
    return blocks


def true_hessian(name, point):
    """A matrix over the places for each output."""

    def entry(one, other):
        h, g = width(point, one), width(point, other)
        steps = [(a, b) for a in (1, -1) for b in (1, -1)]
        corners = [true_value(name, moved(point, [(one, a * h), (other, b * g)])) for a, b in steps]
        return [
            mp.fsum(a * b * x for (a, b), x in zip(steps, xs, strict=True)) / (4 * h * g)
            for xs in zip(*corners, strict=True)
        ]

    matrix = [[entry(one, other) for other in places(point)] for one in places(point)]
    return np.moveaxis(np.array(matrix, dtype=object), -1, 0).astype(float)


def ulps(got, true, dtype):
    """The largest error, in ulp of the largest entry; what is subnormal may be flushed."""
    info = np.finfo(dtype)
    assert not np.isnan(got).any(), got
    largest = max(*map(abs, true), mpf(float(info.tiny)))
    spacing = mpf(2) ** (mp.floor(mp.log(largest, 2)) - info.nmant)
    return float(max(abs(mpf(float(g)) - t) for g, t in zip(got, true, strict=True)) / spacing)


BOTH = (jax.jacrev, jax.jacfwd)


def derivatives(name, modes, *args):
    function, every = function_named(name), tuple(range(len(args)))
    return function(*args), [mode(function, every)(*args) for mode in modes]


formulas = pytest.mark.parametrize("name", list(FORMULAS))


@formulas
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.sampled(7)
def test_value_and_gradient(name, dtype):
    columns, exact = rounded(FORMULAS[name].points, dtype)
    with jax.enable_x64(dtype == np.float64):
        found = jax.jit(jax.vmap(functools.partial(derivatives, name, BOTH)))(*map(jnp.asarray, columns))
        eager = function_named(name)(*(jnp.asarray(column[0]) for column in columns))
    values, jacobians = jax.tree.map(np.asarray, found)
    assert values.dtype == eager.dtype == dtype
    np.testing.assert_allclose(eager, values[0], rtol=4 * np.finfo(dtype).eps, atol=0)

    values = values.reshape(len(exact), -1)
    for number, point in enumerate(exact):
        with mp.workdps(DIGITS):
            value, blocks = true_value(name, point), true_jacobian(name, point)
        assert ulps(values[number], value, dtype) <= VALUE, (point, values[number], value)
        for jacobian, (k, block) in itertools.product(jacobians, enumerate(blocks)):
            for got, true in zip(np.reshape(jacobian[k][number], (len(value), -1)), block, strict=True):
                assert ulps(got, true, dtype) <= GRADIENT, (point, k, got, [mp.nstr(t, 12) for t in true])


@formulas
@pytest.mark.sampled(6)
def test_second_order(name):
    columns, exact = rounded(FORMULAS[name].points[:2], np.float64)
    every = tuple(range(len(columns)))
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(jax.hessian(function_named(name), every)))(*map(jnp.asarray, columns))
    for number, point in enumerate(exact):
        with mp.workdps(DIGITS):
            true = true_hessian(name, point)
        sizes = [len(as_list(array)) for array in point]
        rows = [
            [np.reshape(block[number], (len(true), n, m)) for block, m in zip(blocks, sizes, strict=True)]
            for blocks, n in zip(found, sizes, strict=True)
        ]
        np.testing.assert_allclose(np.block(rows), true, rtol=1e-9, atol=1e-12 * (np.abs(true).max() + 1e-3))


def sigmoid_slope(x):
    return mp.exp(-x) / (1 + mp.exp(-x)) ** 2


@pytest.mark.parametrize(
    ("function", "true"),
    [
        (jax.grad(numerics.sigmoid), sigmoid_slope),
        (jax.grad(jax.grad(numerics.sigmoid)), functools.partial(mpmath.diff, sigmoid_slope)),
        (jax.grad(jax.grad(numerics.softplus)), sigmoid_slope),
        (jax.grad(jax.grad(lambda x: numerics.logsumexp(jnp.stack([x, jnp.zeros_like(x)])))), sigmoid_slope),
        (jax.grad(jax.grad(lambda x: numerics.surprisal(jnp.stack([x, jnp.zeros_like(x)]))[0])), sigmoid_slope),
        (jax.grad(jax.grad(lambda x: numerics.surprisal(jnp.stack([jnp.zeros_like(x), x]))[0])), sigmoid_slope),
    ],
    ids=["sigmoid'", "sigmoid''", "softplus''", "logsumexp''", "surprisal''", "surprisal'' of the other"],
)
@pytest.mark.parametrize("x", [-20.0, -3.0, 3.0, 20.0, 50.0])
def test_slopes_do_not_vanish_before_their_time(function, true, x):
    np.testing.assert_allclose(float(jax.jit(function)(x)), float(true(mpf(x))), rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- corners

LOG2 = float(mp.log(2))
ZEROS, ONES = [0.0, 0.0], [1.0, 2.0]
SHARE = 0.5**1.5  # of two equal logits, at the temperature 1.5

# Arguments, value, gradient in each argument: what the docstrings say.
CORNERS = {
    "clipped_square": [
        ((0.0, 1.0), 0, (0, 0)),
        ((-INF, 2.0), INF, (-2, LARGEST)),
    ],
    "smooth_absolute": [
        ((0.0, 0.0), 0, (0, 0)),
        ((-3.0, 0.0), 3, (-1, -0.5)),
        ((INF, 1.0), INF, (1, -0.5)),
    ],
    "log_cosh": [
        ((0.0,), 0, (0,)),
        ((-INF,), INF, (-1,)),
    ],
    "hyperbola": [
        ((0.0, 1.0), 0, (0, 0)),
        ((-INF, 2.0), INF, (-2, LARGEST)),
    ],
    "tilted_absolute": [
        ((0.0, 0.3), 0, (0, 0)),
        ((INF, 1.0), 0, (0, 0)),
        ((-INF, 0.5), INF, (-0.5, 0)),
    ],
    "tilted_square": [
        ((0.0, 0.3), 0, (0, 0)),
        ((INF, 1.0), 0, (0, 0)),
    ],
    "tilted_smooth_absolute": [
        ((0.0, 0.3, 0.0), 0, (0, 0, 0)),
        ((-2.0, 0.25, 0.0), 0.5, (-0.25, 2, -0.125)),
        ((INF, 1.0, 1.0), 0, (0, 0, 0)),
    ],
    "log_ratio": [
        ((0.0, 0.0), 0, (0, 0)),
        ((0.0, 1.0), -INF, (LARGEST, -1)),
        ((2.0, 0.0), INF, (0.5, -LARGEST)),
    ],
    "squared_log1p_ratio": [
        ((-1.0, -1.0), 0, (0, 0)),
        ((-1.0, 0.0), INF, (-LARGEST, LARGEST)),
        ((INF, 0.0), INF, (0, -LARGEST)),
    ],
    "relative_error": [
        ((0.0, 0.0), 0, (0, 0)),
        ((-1.0, 0.0), INF, (-LARGEST, -LARGEST)),
    ],
    "symmetric_relative_error": [
        ((0.0, 0.0), 0, (0, 0)),
        ((-1.0, 1.0), 2, (0, 0)),
        ((INF, -1.0), 2, (0, 0)),
    ],
    "excess": [
        ((1.5, 1.0, 0.5), 0, (0, 0, 0)),
        ((0.0, 0.0, 0.0), 0, (0, 0, 0)),
        ((INF, 1.0, 0.5), INF, (1, -1, -1)),
    ],
    "second_moment": [
        ((ZEROS, 0.5), 0, (ZEROS, 0)),
        (([INF, INF], 1.0), 0, (ZEROS, -LARGEST)),
    ],
    "robust_cost": [
        ((0.0, 2.0), 0, (0, 0)),
    ],
    "hyperbolic_well": [
        ((0.0, 2.0), 0, (0, 0)),
        ((-INF, 2.0), INF, (-0.5, 0)),
    ],
    "logarithmic_well": [
        ((0.0, 2.0), 0, (0, 0)),
        ((-INF, 2.0), INF, (0, -1)),
    ],
    "rational_well": [
        ((0.0, 2.0), 0, (0, 0)),
        ((-INF, 2.0), 2, (0, 0)),
    ],
    "gaussian_well": [
        ((0.0, 2.0), 0, (0, 0)),
        ((-INF, 2.0), 1, (0, 0)),
    ],
    "biweight": [
        ((2.0, 2.0, 1.0), 0, (0, 0, 0)),
        ((-1.0, 0.0, 1.0), 1 / 6, (0, 0, 1 / 3)),
    ],
    "logarithmic_hinge": [
        ((2.0, 2.0, 1.0, 2.0), 0, (0, 0, 0, 0)),
        ((-INF, 0.0, 1.0, 2.0), INF, (-1, 1, float(mp.log(1.5)) - 2 / 3, -1 / 6)),
    ],
    "half_square": [
        ((0.0,), 0, (0,)),
        ((-INF,), INF, (-INF,)),
    ],
    "positive_part": [
        ((0.0,), 0, (0,)),
        ((INF,), INF, (1,)),
        ((-INF,), 0, (0,)),
    ],
    "reused": [
        ((INF,), INF, (1,)),
        ((-INF,), -INF, (1,)),
    ],
    "sum_of_three": [
        ((INF, 1.0, -1e30), INF, (1, 1, 1)),
    ],
    "ratio": [
        ((3.0, 0.0), 0, (0, 0)),
        ((0.0, 0.0), 0, (0, 0)),
        ((1e30, 1e-30), INF, (1e30, -LARGEST)),
        ((1.0, INF), 0, (0, 0)),
    ],
    "absolute": [
        ((0.0,), 0, (0,)),
        ((-INF,), INF, (-1,)),
    ],
    "signed_shortfall": [
        ((1.0, 1.0, 1.0), 0, (-0.5, -0.5, 0.5)),
        ((INF, 1.0, 1.0), 0, (0, 0, 0)),
        ((INF, -1.0, 1.0), INF, (1, -LARGEST, 1)),
    ],
    "squared_signed_shortfall": [
        ((1.0, 1.0, 1.0), 0, (0, 0, 0)),
        ((INF, 1.0, 1.0), 0, (0, 0, 0)),
        ((INF, -1.0, 1.0), INF, (LARGEST, -LARGEST, LARGEST)),
    ],
    "shortfall": [
        (([1.0, -INF, 0.0], 1.0), INF, ([1, -1, 0], 1)),
        (([-INF, -INF, -INF], 1.0), INF, ([0, -1, 0], 1)),
        (([INF, INF, 0.0], 1.0), -INF, ([0, -1, 0], 1)),
        (([2.0, 0.0, 2.0], 1.0), 3, ([0.5, -1, 0.5], 1)),
    ],
    "sparse_plus": [
        ((-1.0,), 0, (0,)),
        ((-INF,), 0, (0,)),
        ((INF,), INF, (1,)),
    ],
    "sparsemax_surprisal": [
        (([0.0, 1.0, -INF],), 0, ([0, 0, 0],)),
        (([0.0, 0.0, 0.0],), 1 / 3, ([1 / 3, -2 / 3, 1 / 3],)),
        (([0.0, INF, 0.0],), 0, ([0, 0, 0],)),
        (([0.0, -INF, -3.0],), INF, ([1, -1, 0],)),
        (([-INF, -INF, -INF],), INF, ([0, -1, 0],)),
    ],
    "entmax15_surprisal": [
        (([0.0, 2.0, -INF],), 0, ([0, 0, 0],)),
        (([0.0, INF, 0.0],), 0, ([0, 0, 0],)),
        (([0.0, -INF, -3.0],), INF, ([1, -1, 0],)),
        (([-INF, -INF, -INF],), INF, ([0, -1, 0],)),
    ],
    "modulated_surprisal": [
        ((INF, 0.0), 0, (0, 0)),
        ((INF, 2.0), 0, (0, 0)),
        ((-INF, 0.0), INF, (-1, 0)),
        ((-INF, 2.0), INF, (-1, 0)),
        ((1000.0, 0.0), 0, (0, 0)),
        ((-1e4, 0.5), 1e4, (-1, 0)),
    ],
    "focal_surprisal": [
        ((INF, 1.0, 2.0, 1.0, 1.0), 0, (0, 0, 0, 0, 0)),
        ((INF, 0.0, 0.0, 1.0, 3.0), INF, (3, -LARGEST, 0, 0, LARGEST)),
        ((-INF, 1.0, 2.0, 3.0, 1.0), INF, (-3, LARGEST, 0, LARGEST, 0)),
    ],
    "shifted_surprisal": [
        ((-INF, 2.0, 0.0), 0, (0, 0, 0)),
        ((-INF, 0.0, 0.25), 0, (0, 0, 0)),
        ((-3.0, 0.0, 0.25), 0, (0, 0, 0)),
        ((INF, 2.0, 0.0), INF, (1, 0, -LARGEST)),
        ((INF, 0.0, 0.5), LOG2, (0, -(LOG2**2), -2)),
        ((1e4, 0.5, 0.0), 1e4, (1, 0, -LARGEST)),
    ],
    "safe_square": [
        ((0.0,), 0, (0,)),
        ((-INF,), INF, (-LARGEST,)),
    ],
    "safe_sqrt": [
        ((0.0,), 0, (0,)),
        ((INF,), INF, (0,)),
    ],
    "safe_norm": [
        ((ZEROS,), 0, (ZEROS,)),
        (([INF, 1.0],), INF, ([1, 0],)),
    ],
    "unit_vector": [
        ((ZEROS,), ZEROS, ([ZEROS, ZEROS],)),
        (([-INF, 1.0],), [-1, 0], ([ZEROS, ZEROS],)),
    ],
    "safe_log": [
        ((0.0,), -INF, (LARGEST,)),
        ((INF,), INF, (0,)),
    ],
    "safe_log1p": [
        ((-1.0,), -INF, (LARGEST,)),
    ],
    "multiply_no_nan": [
        ((0.0, INF), 0, (0, 0)),
        ((0.0, -INF), 0, (0, 0)),
        ((0.0, 3.0), 0, (3, 0)),
        ((2.0, INF), INF, (LARGEST, 2)),
    ],
    "xlogy": [
        ((0.0, 0.0), 0, (0, 0)),
        ((0.0, 2.0), 0, (LOG2, 0)),
        ((1.0, 0.0), -INF, (-LARGEST, LARGEST)),
    ],
    "xlog1py": [
        ((0.0, -1.0), 0, (0, 0)),
        ((1.0, -1.0), -INF, (-LARGEST, LARGEST)),
    ],
    "rel_entr": [
        ((0.0, 0.0), 0, (0, 0)),
        ((0.0, 0.5), 0, (0, 0)),
        ((1.0, 1.0), 0, (1, -1)),
        ((0.5, 0.0), INF, (LARGEST, -LARGEST)),
    ],
    "relative_entropy": [
        (([0.0, 1.0], [0.0, 1.0]), 0, ([0, 1], [0, -1])),
        (([0.0, 1.0], [0.5, 0.5]), LOG2, ([0, LOG2 + 1], [0, -2])),
        (([0.5, 0.5], [0.0, 1.0]), INF, ([LARGEST, 1 - LOG2], [-LARGEST, -0.5])),
    ],
    "kl_div": [
        ((0.0, 0.0), 0, (0, 1)),
        ((0.0, 0.5), 0.5, (0, 1)),
        ((1.0, 1.0), 0, (0, 0)),
        ((0.5, 0.0), INF, (LARGEST, -LARGEST)),
    ],
    "jensen_shannon": [
        ((0.0, 0.0), 0, (LOG2 / 2, LOG2 / 2)),
        ((0.0, 0.5), LOG2 / 4, (0, LOG2 / 2)),
        ((1.0, 1.0), 0, (0, 0)),
        ((1.0, 1e-37), LOG2 / 2, (LOG2 / 2, 0.5 * float(mp.log(2e-37)))),
    ],
    "renyi": [
        (([0.0, 1.0], [0.0, 1.0], 2.0), 0, ([0, 2], [0, -1], 0)),
        (([0.0, 1.0], [0.5, 0.5], 1.0), LOG2, ([0, LOG2 + 1], [0, -2], 0)),
        (([0.5, 0.5], [0.0, 1.0], 0.5), LOG2, ([0, -2], [0, -1], 4 * LOG2)),
        (([0.5, 0.5], [0.0, 1.0], 0.0), 0, (ZEROS, [-1, -1], LOG2)),
    ],
    "hellinger": [
        (([0.0, 1.0], [0.0, 1.0]), 0, (ZEROS, ZEROS)),
        (([0.0, 1.0], [0.0, 0.0]), 0.5**0.5, ([0.125**0.5, 0.125**0.5], [0.125**0.5, 0])),
        (([0.0, 1.0], [1.0, 0.0]), 1, ([0, 0.25], [0.25, 0])),
    ],
    "gaussian_relative_entropy": [
        ((1.0, -1e4, 1.0, -1e4), 0, (0, 0, 0, 0)),
        ((1.0, 1e4, 1.0, -1e4), INF, (0, LARGEST, 0, -LARGEST)),
        ((1.0, 0.0, 0.0, -1e4), INF, (LARGEST, LARGEST, -LARGEST, -LARGEST)),
    ],
    "relative_entropy_to_standard_normal": [
        ((0.0, 0.0), 0, (0, 0)),
        ((0.0, -INF), INF, (0, -0.5)),
        ((0.0, INF), INF, (0, LARGEST)),
        ((-INF, 0.0), INF, (-LARGEST, 0)),
    ],
    "log1mexp": [
        ((0.0,), -INF, (LARGEST,)),
        ((INF,), 0, (0,)),
    ],
    "modulated_binary_surprisal": [
        ((1.0, 1.0, 2.0, 0.5, 0.5), 0, (0, 0, 0, 0, 0)),
        ((1.0, 1.0, 0.5, 0.5, 0.5), 0, (0, 0, 0, 0, 0)),
        ((1.0, 1.0, 0.0, 0.5, 0.5), 0, (-0.5, 0, 0, 0, 0)),
        ((0.0, 1.0, 2.0, 1.0, 1.0), INF, (-LARGEST, LARGEST, 0, LARGEST, 0)),
        ((0.0, 0.0, 0.0, 1.0, 1.0), 0, (1, 0, 0, 0, 0)),
        ((1.0, 0.0, 2.0, 1.0, 1.0), INF, (LARGEST, -LARGEST, 0, 0, LARGEST)),
    ],
    "sigmoid": [
        ((INF,), 1, (0,)),
        ((-INF,), 0, (0,)),
    ],
    "softplus": [
        ((INF,), INF, (1,)),
        ((-INF,), 0, (0,)),
        ((0.0,), LOG2, (0.5,)),
    ],
    "binary_surprisal": [
        ((0.0, 0.0), 0, (1, 0)),
        ((1.0, 1.0), 0, (-1, 0)),
        ((0.0, 1.0), INF, (-LARGEST, LARGEST)),
        ((1.0, 0.0), INF, (LARGEST, -LARGEST)),
        ((0.0, 0.5), INF, (-LARGEST, LARGEST)),
        ((0.5, 0.5), LOG2, (0, 0)),
    ],
    "logistic_surprisal": [
        ((INF, 1.0, 1.0), 0, (0, 0, 0)),
        ((-INF, 0.0, 1.0), 0, (0, 0, 0)),
        ((-INF, 0.0, 0.0), 0, (0, 0, 0)),
        ((INF, 0.0, 1.0), INF, (1, -LARGEST, 0)),
        ((-INF, 1.0, 3.0), INF, (-3, LARGEST, LARGEST)),
        ((0.0, 0.5, 1.0), LOG2, (0, 0, LOG2 / 2)),
    ],
    "softplus_difference": [
        ((0.0, INF), 0, (0, 0)),
        ((INF, 0.0), INF, (1, -1)),
        ((LARGEST, -LARGEST), INF, (1, -1)),
    ],
    "logsumexp": [
        (([-INF, -INF],), -INF, (ZEROS,)),
        (([-INF, 0.0],), 0, ([0, 1],)),
        (([INF, 0.0],), INF, ([1, 0],)),
        (([LARGEST, -LARGEST],), LARGEST, ([1, 0],)),
    ],
    "surprisal": [
        (([-INF, 0.0],), [INF, 0], ([[-1, 1], [0, 0]],)),
        (([INF, 0.0],), [0, INF], ([[0, 0], [1, -1]],)),
        (([LARGEST, -LARGEST],), [0, INF], ([[0, 0], [1, -1]],)),
    ],
    "uniform_surprisal": [
        (([-INF, 0.0],), 0, (ZEROS,)),
        (([0.0, INF],), INF, ([-0.5, 0.5],)),
        (([INF, INF],), LOG2, (ZEROS,)),
        (([-INF, -INF],), 0, (ZEROS,)),
        (([LARGEST, -LARGEST],), LARGEST, ([0.5, -0.5],)),
    ],
    "expected_surprisal": [
        (([0.0, 1.0], [-INF, 0.0]), 0, (ZEROS, ZEROS)),
        (([1.0, 0.0], [-INF, 0.0]), INF, ([LARGEST, 0], [-1, 1])),
        (([1.0, 0.0], [INF, 0.0]), 0, (ZEROS, ZEROS)),
        (([1.0, 0.0], [LARGEST, -LARGEST]), 0, (ZEROS, ZEROS)),
        (([1.0, 0.0], [-INF, -INF]), INF, ([LARGEST, 0], [-1, 0])),
    ],
    "label_surprisal": [
        (([0.0, -INF],), INF, ([1, -1],)),
        (([0.0, INF],), 0, (ZEROS,)),
        (([INF, INF],), LOG2, ([0.5, -0.5],)),
        (([-INF, -INF],), INF, ([0, -1],)),
    ],
    "label_complement": [
        (([0.0, -INF],), 1, (ZEROS,)),
        (([-INF, 0.0],), 0, (ZEROS,)),
    ],
    "label_power": [
        (([0.0, -INF], 0.7), 0, (ZEROS, 0)),
        (([0.0, -INF], 0.0), 1, (ZEROS, -LARGEST)),
        (([LARGEST, -LARGEST], 1.0), 0, (ZEROS, 0)),
        (([-INF, 0.0], 0.7), 1, (ZEROS, 0)),
    ],
    "generalized_surprisal": [
        (([0.0, -INF], 0.5), 2, (ZEROS, -4)),
        (([0.0, -INF], 0.0), INF, ([1, -1], -LARGEST)),
        (([-INF, 0.0], 0.5), 0, (ZEROS, 0)),
    ],
    "modulated_label_surprisal": [
        (([0.0, -INF], 2.0), INF, ([1, -1], 0)),
        (([-INF, 0.0], 2.0), 0, (ZEROS, 0)),
        (([-INF, 0.0], 0.0), 0, (ZEROS, 0)),
    ],
    "adjusted_surprisal": [
        (([-INF, 0.0], 1.0, ZEROS), 0, (ZEROS, 0, ZEROS)),
        (([0.0, 0.0], 1.0, [0.0, -INF]), INF, ([1, -1], 0, [1, -1])),
        (([0.0, 0.0], 0.0, [0.0, -INF]), LOG2, ([0.5, -0.5], 0, ZEROS)),
    ],
    "margin_surprisal": [
        (([-INF, 0.0], 1.0, 2.0), 0, (ZEROS, 0, 0)),
        (([0.0, -INF], 1.0, 2.0), INF, ([2, -2], 2, 0)),
        (([1e30, 1e30], 0.0, 1.0), LOG2, ([0.5, -0.5], 0.5, 0)),
    ],
    "label_margin": [
        (([1.0, 1.0], 0.5), 0.5, ([0.0625, -0.0625], 1)),
    ],
    "interval_surprisal": [
        ((0.0, -INF, 0.0), LOG2, (0.5, 0, -0.5)),
        ((0.0, 0.0, INF), LOG2, (-0.5, 0.5, 0)),
        ((INF, 0.0, INF), 0, (0, 0, 0)),
        ((0.0, 1.0, 1.0), INF, (1 - 2 / (1 + np.exp(-1)), LARGEST, -LARGEST)),
        ((0.0, -INF, INF), 0, (0, 0, 0)),
    ],
    "tempered_surprisal": [
        (([0.0, 0.0],), [LOG2, LOG2], ([[-SHARE, SHARE], [SHARE, -SHARE]],)),
        (([-INF, 0.0],), [INF, 0], ([ZEROS, ZEROS],)),
    ],
    "tempered_divergence": [
        (([0.0, 1.0], [-INF, 0.0], 1.0, 1.0), 0, (ZEROS, ZEROS, 0, 0)),
    ],
    "polynomial_surprisal": [
        (([0.0, 1.0], [0.0, -INF], -1.0), INF, ([0, LARGEST], [1, -1], 1)),
        (([0.0, 1.0], [-INF, 0.0], -1.0), 0, (ZEROS, ZEROS, 0)),
    ],
    "expected_complement": [
        (([0.0, 1.0], [0.0, -INF]), 1, ([0, 0], ZEROS)),
        (([0.0, 1.0], [-INF, 0.0]), 0, (ZEROS, ZEROS)),
    ],
    "softmax_relative_entropy": [
        (([-INF, 0.0], [-INF, 0.0], 1.0), 0, (ZEROS, ZEROS, 0)),
        (([-INF, 0.0], [0.0, 0.0], 1.0), LOG2, (ZEROS, [0.5, -0.5], 0)),
        (([0.0, 0.0], [-INF, 0.0], 1.0), INF, (ZEROS, [-0.5, 0.5], 0)),
        (([1.0, -INF], [1.0, 0.0], 1e-7), 0, (ZEROS, ZEROS, 0)),
        (([0.0, 0.0], [0.0, INF], 1.0), INF, (ZEROS, [-0.5, 0.5], 0)),
        (([INF, 0.0], [INF, 0.0], 1.0), 0, (ZEROS, ZEROS, 0)),
        (([-INF, -INF], [0.0, 1.0], 1.0), 0, (ZEROS, ZEROS, 0)),
        (([0.0, 1.0], [-INF, -INF], 1.0), INF, (ZEROS, ZEROS, 0)),
        (([1e4, -1e4], [1e4, -1e4], 2.0), 0, (ZEROS, ZEROS, 0)),
        (([1e4, -1e4], [-1e4, 1e4], 2.0), 1e4, (ZEROS, [-0.5, 0.5], -5e3)),
    ],
    "softmax_jensen_shannon": [
        (([-INF, 0.0], [-INF, 0.0]), 0, (ZEROS, ZEROS)),
        (([-INF, -INF], [0.0, 1.0]), 0, (ZEROS, ZEROS)),
        (([0.0, 1.0], [-INF, -INF]), 0, (ZEROS, ZEROS)),
        (([1e4, -1e4], [-1e4, 1e4]), LOG2, (ZEROS, ZEROS)),
        (([-INF, 0.0], [0.0, -INF]), LOG2, (ZEROS, ZEROS)),
    ],
    "euclidean_distance": [
        ((ONES, ONES), 0, (ZEROS, ZEROS)),
    ],
    "squared_euclidean_distance": [
        ((ONES, ONES), 0, (ZEROS, ZEROS)),
    ],
    "cosine_distance": [
        ((ONES, ONES), 0, (ZEROS, ZEROS)),
        ((ONES, [-1.0, -2.0]), 2, (ZEROS, ZEROS)),
        ((ZEROS, ONES), 1, (ZEROS, ZEROS)),
        ((ZEROS, ZEROS), 1, (ZEROS, ZEROS)),
        (([0.0, 1.0], [INF, 1.0]), 1, ([-1, 0], ZEROS)),
    ],
}


# They have one at hand for a label that is no class, and a NaN is refused however it is made.
WITH_A_NAN = {"shortfall", "sparsemax_surprisal", "entmax15_surprisal", *OF_LABEL}


@pytest.mark.parametrize("name", list(CORNERS))
@pytest.mark.sampled(6)
def test_corners(name):
    # The same number of rows for all functions, which then share their compiled operations.
    rows = itertools.islice(itertools.cycle(CORNERS[name]), 10)
    args, values, gradients = zip(*rows, strict=True)
    values, *columns = (np.array(column, np.float32) for column in (values, *zip(*args, strict=True)))
    gradients = [np.array(column, np.float32) for column in zip(*gradients, strict=True)]
    arrays = list(map(jnp.asarray, columns))
    # Every operation by itself, so that no NaN can come and go inside a compiled function.
    with jax.debug_nans(name not in WITH_A_NAN), jax.disable_jit():
        one_by_one = jax.vmap(functools.partial(derivatives, name, BOTH[:1]))(*arrays)
    compiled = jax.jit(jax.vmap(functools.partial(derivatives, name, BOTH)))(*arrays)
    for found, jacobians in (one_by_one, compiled):
        np.testing.assert_allclose(found, values, rtol=1e-6)
        for jacobian, (k, gradient) in itertools.product(jacobians, enumerate(gradients)):
            np.testing.assert_allclose(jacobian[k], gradient, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ratio", (NAN, 0.5)),
        ("absolute", (NAN,)),
        ("safe_sqrt", (-1.0,)),
        ("safe_norm", ([NAN, INF],)),
        ("unit_vector", ([NAN, 1.0],)),
        ("safe_log", (-1.0,)),
        ("safe_log1p", (-2.0,)),
        ("multiply_no_nan", (0.0, NAN)),
        ("multiply_no_nan", (NAN, INF)),
        ("xlogy", (0.0, -1.0)),
        ("rel_entr", (0.0, NAN)),
        ("rel_entr", (0.0, -1.0)),
        ("rel_entr", (-0.1, 0.5)),
        ("relative_entropy", ([0.0, 1.0], [NAN, 1.0])),
        ("kl_div", (0.0, -1.0)),
        ("kl_div", (-0.1, 0.5)),
        ("jensen_shannon", (0.0, NAN)),
        ("jensen_shannon", (-0.1, 0.5)),
        ("renyi", ([0.0, 1.0], [NAN, 1.0], 2.0)),
        ("renyi", ([-0.1, 1.0], [0.5, 0.5], 2.0)),
        ("hellinger", ([0.0, -0.1], [0.5, 0.5])),
        ("log1mexp", (-1.0,)),
        ("binary_surprisal", (1.5, 1.0)),
        ("binary_surprisal", (-0.5, 0.0)),
        ("logistic_surprisal", (NAN, 1.0, 1.0)),
        ("logsumexp", ([NAN, INF],)),
        ("logsumexp", ([NAN, -INF],)),
        ("softmax_relative_entropy", ([0.0, 1.0], [NAN, 1.0], 1.0)),
        ("softmax_relative_entropy", ([NAN, -INF], [0.0, 1.0], 1.0)),
        ("softmax_jensen_shannon", ([0.0, 1.0], [NAN, 1.0])),
        ("surprisal", ([NAN, 1.0],)),
        ("uniform_surprisal", ([NAN, INF],)),
        ("expected_surprisal", ([0.0, 1.0], [NAN, 1.0])),
        ("signed_shortfall", (2.0, NAN, 1.0)),
        ("signed_shortfall", (2.0, 0.0, 1.0)),
        ("squared_signed_shortfall", (2.0, 0.5, 1.0)),
        ("label_surprisal", ([NAN, INF],)),
        ("shortfall", ([0.0, NAN, 0.0], 1.0)),
        ("shortfall", ([0.0, INF, NAN], 1.0)),
        ("modulated_surprisal", (NAN, 2.0)),
        ("focal_surprisal", (NAN, 1.0, 2.0, 1.0, 1.0)),
        ("shifted_surprisal", (NAN, 2.0, 0.25)),
        ("sparse_plus", (NAN,)),
        ("project_to_simplex", ([INF, NAN, 0.0],)),
        ("sparsemax_surprisal", ([0.0, 9.0, NAN],)),
        ("entmax15_surprisal", ([0.0, 9.0, NAN],)),
        ("label_surprisal", ([NAN, 1.0],)),
        ("label_power", ([NAN, 1.0], 0.0)),
        ("interval_surprisal", (NAN, 0.0, INF)),
        ("interval_surprisal", (0.0, 1.0, -1.0)),
        ("cosine_distance", ([NAN, 1.0], [1.0, 1.0])),
    ],
)
def test_no_nan_is_swallowed(name, args):
    assert np.isnan(function_named(name)(*(jnp.array(x, jnp.float32) for x in args))).all()


# --------------------------------------------------------------------------------------------------- one at a time


def test_slope_beside_a_root_that_is_not_taken():
    taken = jax.grad(lambda x: jnp.where(x < 1, x, numerics.safe_sqrt(x)))
    assert taken(0.0) == jax.jit(taken)(0.0) == 1


def test_impossible_logits_have_no_slope():
    def f(x):
        return numerics.logsumexp(jnp.stack([jnp.full_like(x, -INF), -INF + x]))

    assert f(1.0) == -INF
    assert jax.grad(f)(1.0) == jax.jacfwd(f)(1.0) == 0


def test_curvature_at_a_certain_probability():
    # Of (1 - p)^gamma log p at 1; of -log p at 1 and -log(1 - p) at 0.
    focal = jax.jit(jax.grad(jax.grad(lambda p, gamma: numerics.modulated_binary_surprisal(p, 1.0, gamma, 1.0, 1.0))))
    assert [float(focal(1.0, gamma)) for gamma in (0.0, 1.0, 2.0)] == [1, 2, 0]
    binary = jax.jit(jax.grad(jax.grad(numerics.binary_surprisal)))
    assert [float(binary(p, p)) for p in (0.0, 1.0)] == [1, 1]


@pytest.mark.parametrize("x", [1e-3, 0.5, 3.0, 20.0, 50.0, 80.0])
def test_curvature_of_log1mexp(x):
    curvature = jax.jit(jax.grad(jax.grad(numerics.log1mexp)))(x)
    np.testing.assert_allclose(float(curvature), float(-mp.exp(-mpf(x)) / mp.expm1(-mpf(x)) ** 2), rtol=3e-6)


@pytest.mark.parametrize("function", [numerics.safe_log, lambda x: numerics.safe_log1p(x - 1)], ids=["log", "log1p"])
def test_a_curvature_beyond_the_format_is_not_nan(function):
    for second in (jax.jacfwd(jax.grad(function)), jax.jacfwd(jax.jacfwd(function))):
        assert jax.jit(second)(1e-30) <= 0


@pytest.mark.parametrize("function", [numerics.surprisal, functools.partial(numerics.expected_surprisal, jnp.eye(3))])
def test_a_shift_of_all_logits_changes_nothing(function):
    logits = jnp.array([[1.0, 2.5, -3.0]] * 3)  # 1e4 more of each is still exact
    for shift in (1e4, -1e4):
        np.testing.assert_array_equal(function(logits + shift), function(logits))


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_nearly_equal_logits_have_nearly_equal_slopes(steps, rng):
    # Where rounding makes either of two the more probable; 0 targets are no reason to have no slope.
    logits = rng.uniform(-5, 5, (100_000, 2)).astype(np.float32)
    logits[:, 1] = logits[:, 0]
    for _ in range(steps):
        logits[:, 1] = np.nextafter(logits[:, 1], np.float32(-INF))
    slopes = jax.jit(jax.vmap(jax.grad(numerics.expected_surprisal, 1)))
    for target in ([1.0, 0.0], [0.0, 1.0]):
        targets = jnp.broadcast_to(jnp.array(target), logits.shape)
        np.testing.assert_allclose(slopes(targets, logits), 0.5 - targets, atol=2e-6)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("classes", [64, 100, 192, 257, 1000])
def test_many_classes_are_added_up_in_blocks(classes, scale, rng):
    logits = (scale * rng.normal(size=(40, classes))).astype(np.float32)
    logits[::7, : classes // 3] = -INF
    labels = rng.integers(classes // 3, classes, 40)
    labels[::2] = np.argmax(logits[::2], axis=-1)

    # In float64, all classes but the largest added up for themselves.
    rows = np.arange(40)
    gap = np.max(logits, axis=-1, keepdims=True).astype(np.float64) - logits
    weights = np.exp(-gap)
    weights[rows, np.argmax(logits, axis=-1)] = 0
    others = np.sum(weights, axis=-1)
    p = np.exp(-gap) / (1 + others)[:, None]
    p[rows, labels] = 0
    slope = p.copy()
    slope[rows, labels] = -np.sum(p, axis=-1)
    finite = np.isfinite(logits)
    mean_gap = np.sum(np.where(finite, gap, 0), axis=-1) / np.sum(finite, axis=-1)

    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(numerics.label_surprisal)))(logits, jnp.array(labels))
    close = functools.partial(np.testing.assert_allclose, atol=1e-36)
    close(value, gap[rows, labels] + np.log1p(others), rtol=3e-7)
    close(gradient, slope, rtol=6e-7)
    close(numerics.expected_surprisal(jax.nn.one_hot(labels, classes), logits), value, rtol=3e-7)
    close(numerics.uniform_surprisal(logits), mean_gap + np.log1p(others), rtol=6e-7)
    close(numerics.logsumexp(logits), np.max(logits, axis=-1) + np.log1p(others), rtol=3e-7)


@pytest.mark.parametrize("size", [0.0, 1e30, -1e30, LARGEST, -LARGEST])
def test_equal_logits_share(size):
    logits = jnp.full(3, size, jnp.float32)
    np.testing.assert_allclose(numerics.surprisal(logits), np.log(3), rtol=2e-7)
    np.testing.assert_allclose(jax.grad(numerics.logsumexp)(logits), 1 / 3, rtol=2e-7)


@pytest.mark.parametrize("margin", [20.0, 50.0, 80.0])
def test_gradient_of_a_confident_surprisal(margin):
    wrong = float(mp.exp(-margin) / (1 + mp.exp(-margin)))
    for gradient in (jax.grad, jax.jacfwd):
        slopes = jax.jit(gradient(lambda x: numerics.surprisal(x)[0]))(jnp.array([margin, 0.0]))
        np.testing.assert_allclose(slopes, [-wrong, wrong], rtol=3e-7)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int32, jnp.uint32])
def test_one_hot(dtype):
    labels = jnp.array([0, 2, 99], dtype)
    indicator = numerics.one_hot(labels, 300)
    assert indicator.shape == (3, 300)
    assert indicator.dtype == jnp.float32
    np.testing.assert_array_equal(indicator, np.eye(300)[np.asarray(labels)])


def test_one_hot_in_float64():
    with jax.enable_x64(True):
        assert numerics.one_hot(jnp.array(0), 2, jnp.float64).dtype == jnp.float64


@pytest.mark.parametrize("label", [-1, 3, -100, 2**31 - 1, -(2**31)])
def test_a_label_that_is_no_class(label):
    label = jnp.array(label, jnp.int32)
    assert np.isnan(numerics.one_hot(label, 3)).all()
    assert np.isnan(numerics.pick(jnp.arange(3.0), label))


def test_pick():
    values, labels = jnp.array([[1.0, NAN, -INF], [4.0, 5.0, INF]]), jnp.array([0, 2])
    np.testing.assert_array_equal(numerics.pick(values, labels), [1, INF])
    for gradient in (jax.jacrev, jax.jacfwd):
        slopes = jax.jit(gradient(lambda v: jnp.sum(numerics.pick(v, labels))))(values)
        np.testing.assert_array_equal(slopes, [[1, 0, 0], [0, 0, 1]])


def test_what_two_roundings_lose():
    a, b, c = np.float32([0.1, 1e8, -1e8])
    assert (a + b) + c == 0
    assert numerics.sum_of_three(a, b, c) == jax.jit(numerics.sum_of_three)(a, b, c) == a


def test_near_parallel_vectors_without_fused_products():
    # A compiler that fuses products into sums hides what their rounding costs, and not all do.
    columns, exact = rounded(FORMULAS["cosine_distance"].points[3:], np.float32)
    with jax.disable_jit():
        values = np.asarray(numerics.cosine_distance(*map(jnp.asarray, columns)))
    for value, point in zip(values, exact, strict=True):
        assert ulps([value], true_value("cosine_distance", point), np.float32) <= VALUE


def test_curvature_at_a_zero_vector():
    u, v = np.float32([[0, 0, 0], [1, -2, 3]])
    for blocks in jax.hessian(numerics.cosine_distance, (0, 1))(u, v):
        np.testing.assert_array_equal(blocks, np.zeros((2, 3, 3)))


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("length", [1, 63, 64, 200])
def test_sums_and_largest_of_rows(length, backend, monkeypatch, rng):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    a, b = rng.integers(0, 100, (2, 3, length)).astype(np.float32)
    total, product = rows.row_sums(lambda a, b: (a + b, a * b), a, b)
    np.testing.assert_array_equal(total, np.sum(a + b, axis=-1, keepdims=True))
    np.testing.assert_array_equal(product, np.sum(a * b, axis=-1, keepdims=True))
    for x, largest in zip((a, b), rows.row_largest(a, b), strict=True):
        np.testing.assert_array_equal(largest, np.max(x, axis=-1, keepdims=True))


@pytest.mark.parametrize("name", [name for name, formula in FORMULAS.items() if isinstance(formula.points[0][0], list)])
def test_leading_axes(name):
    columns, _ = rounded(FORMULAS[name].points[:2], np.float32)
    mapped = jax.vmap(function_named(name))(*columns)
    np.testing.assert_allclose(function_named(name)(*columns), mapped, rtol=1e-6)
