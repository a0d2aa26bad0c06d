"""Regression: functions of the error."""

import itertools

import numpy as np
from mpmath import cosh, inf, log, log1p, mpf, sqrt

from cases.table import NEAR_ONE, Case, D, cosine, errors, hard_errors

N = 6  # pixels of an image


def squared_error(prediction, target):
    return (mpf(prediction) - mpf(target)) ** 2


def absolute_error(prediction, target):
    return abs(mpf(prediction) - mpf(target))


def huber(prediction, target, delta=1.0):
    e, delta = abs(mpf(prediction) - mpf(target)), mpf(delta)
    return e**2 / 2 if e <= delta else delta * e - delta**2 / 2


def smooth_l1(prediction, target, beta=1.0):
    return huber(prediction, target, beta) / mpf(beta) if beta else absolute_error(prediction, target)


def log_cosh(prediction, target):
    e = abs(mpf(prediction) - mpf(target))
    # Beyond 500 the cosine is half the exponential, to 400 digits.
    return log(cosh(e)) if e < 500 else e - log(2)


def pseudo_huber(prediction, target, delta=1.0):
    e, delta = mpf(prediction) - mpf(target), mpf(delta)
    return delta**2 * (sqrt(1 + (e / delta) ** 2) - 1)


def squared_log_error(prediction, target):
    if prediction == target:
        return mpf(0)
    if -1 in (prediction, target):
        return inf
    return (log1p(mpf(prediction)) - log1p(mpf(target))) ** 2


def scaled_absolute_error(prediction, target, scale):
    error = abs(mpf(prediction) - mpf(target))
    return (error / mpf(scale) if scale else inf) if error else mpf(0)


def pinball(prediction, target, quantile=0.5):
    u, quantile = mpf(target) - mpf(prediction), mpf(quantile)
    return max(quantile * u, (quantile - 1) * u)


def expectile(prediction, target, level=0.5):
    return abs(mpf(level) - int(target < prediction)) * squared_error(prediction, target)


def quantile_huber(prediction, target, quantile=0.5, delta=1.0):
    return abs(mpf(quantile) - int(target < prediction)) * smooth_l1(prediction, target, delta)


def absolute_percentage_error(prediction, target):
    if prediction == target:
        return mpf(0)
    return abs((mpf(prediction) - mpf(target)) / mpf(target)) if target else inf


def symmetric_absolute_percentage_error(prediction, target):
    p, t = mpf(prediction), mpf(target)
    return 2 * abs(p - t) / (abs(p) + abs(t)) if p != t else mpf(0)


def epsilon_insensitive(prediction, target, epsilon=0.1):
    return max(absolute_error(prediction, target) - mpf(epsilon), mpf(0))


def squared_epsilon_insensitive(prediction, target, epsilon=0.1):
    return epsilon_insensitive(prediction, target, epsilon) ** 2


def scale_invariant_log_error(prediction, target, pixel_mask=None, variance_focus=0.5):
    pixels = list(zip(prediction, target, pixel_mask or [True] * len(target), strict=True))
    if not all(p and t for p, t, counts in pixels if counts):
        return inf
    d = [log(mpf(p)) - log(mpf(t)) for p, t, counts in pixels if counts]
    if not d:
        return mpf(0)
    return sum(dj**2 for dj in d) / len(d) - mpf(variance_focus) * (sum(d) / len(d)) ** 2


def sizes(rng, n):
    return rng.gamma(2.0, size=n), rng.gamma(2.0, size=n)


def errors_and_scale(rng, n):
    return rng.normal(size=n) * 2, rng.normal(size=n), rng.gamma(2.0, size=n) + 0.1


def hard_errors_and_scales(ulp):
    sizes = (0.0, 1e-30, 1e-10, 0.3, 1 + 2 * ulp, 1e10, 1e30)
    yield from ((sign * e, 0.0, s) for e in sizes for sign in (1, -1) for s in (0.0, 1e-20, 0.3, 1.0, 1e20))


def two_vectors(rng, n):
    return rng.normal(size=(n, D)), rng.normal(size=(n, D))


def two_images(rng, n):
    return rng.gamma(2.0, size=(n, N)) + 0.1, rng.gamma(2.0, size=(n, N)) + 0.1


def two_images_with_holes(rng, n):
    mask = rng.random((n, N)) < 0.7
    mask[:, 0] = True
    prediction, target = two_images(rng, n)
    return np.where(mask, prediction, 0), np.where(mask, target, 0), mask


def _hard_sizes(ulp):
    ends = (0.0, 1e-30, 1e-10, 1e-4, 0.3, 1.0, 1.4, 20.0, 1e4, 1e18, 1e30)
    yield from itertools.product(ends, repeat=2)
    for size in (1e-10, 0.3, 1.0, 1e4):
        yield from ((size * near, size) for near in (1 - ulp, 1 + 2 * ulp, 1.0001, 0.7, 1.3, 1.5))


def _hard_shares(ulp):
    yield from _hard_sizes(ulp)
    yield from itertools.product(
        (-0.9, -0.3, -1 + ulp, 1e-4 - 1), (-0.5, 0.2, -1 + 2 * ulp, -0.3 * (1 + 2 * ulp), 1e30)
    )
    # Where the rounding of 1 + |x - y| / (1 + min(x, y)) counts most.
    yield from ((0.998682, 0.4053968), (1.0057703, 0.40925595), (0.3633686, 0.93908465), (-0.16260406, -0.44210002))


def _hard_signs(ulp):
    yield from _hard_sizes(ulp)
    yield from itertools.product((-1e30, -3.0, -1e-4, 3e38), (-3e38, -2.0, 1e-4, 1e30, 0.0))
    yield from ((-5812702.5, 3.22e-38), (3.67e-38, -8.6e15), (2.6e24, 4.65e-38))


def _hard_edges(ulp):
    yield from hard_errors(ulp)
    for target in (0.0, 1.0, 1e4, -0.3):
        yield from ((target + sign * size, target) for sign in (1, -1) for size in (0.1, 0.1 * (1 + 1e-6), 0.1001, 0.2))


def _hard_vectors(ulp):
    one, two = [1.0, 2.0, -1.0, 0.5], [1.1, 1.8, -1.3, 0.2]
    for size in (1e-30, 1e-4, 1.0, 1e20):
        yield [size * x for x in one], two
        yield one, [-size * x for x in two]
    for apart in (ulp, 1e-6, 1e-4, 1e-2):
        beside = [x * (1 + k * apart) for k, x in enumerate(one, 1)]
        yield one, beside
        yield [-3 * x for x in beside], one
    # Told apart by their small components alone.
    for small in (1e-9, 1e-12, 1e-14):
        yield [1.1, 2.7 * small, 1.7 * small, -1.4], [3.3, small, 0.0, -4.2]
    yield [1.3] * D, [-0.7] * D
    yield [0.0] * D, two
    yield [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]


def _hard_images(ulp):
    one, two = [1.0, 2.0, 0.3, 4.0, 0.5, 1.5], [1.1, 1.8, 0.35, 3.7, 0.2, 1.5]
    for size in (1e-30, 1e-4, 1.0, 3.0, 1e20):
        yield [size * x for x in one], two
        yield one, [size * x for x in one]
    yield one, [x * (1 + k * 2 * ulp) for k, x in enumerate(one)]
    yield one, [x * (1 + k * 1e-4) for k, x in enumerate(one)]
    yield [1e-30, 1e30, 1.0, 1e-10, 1e10, 1.0], one


def _hard_images_with_holes(ulp):
    holes = [True, False, True, True, False, True]
    for one, two in _hard_images(ulp):
        yield [x * kept for x, kept in zip(one, holes, strict=True)], two, holes
        yield one, [x * kept for x, kept in zip(two, holes, strict=True)], holes
    yield [0.0] * N, [0.0] * N, [False] * N
    yield [0.0, 0.0, 3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 2.0, 0.0, 5.0, 0.0], [False, False, True, False, False, False]


CASES = (
    Case(
        "squared_error",
        errors,
        squared_error,
        corners=((0.0, 0.0), (1.0, 1.0), (1e-15, 0.0), (1e15, 0.0), (1.0, NEAR_ONE)),
        hard=hard_errors,
    ),
    Case(
        "absolute_error",
        errors,
        absolute_error,
        corners=((0.0, 0.0), (1.0, 1.0), (1e-30, 0.0), (1e30, 0.0), (-1e30, 0.0)),
        hard=hard_errors,
    ),
    Case(
        "huber",
        errors,
        huber,
        options=({}, {"delta": 0.3}, {"delta": 100.0}),
        corners=((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (1e-15, 0.0), (1e18, 0.0), (-1e30, 0.0), (1.0, 1 - 2**-24)),
        hard=hard_errors,
    ),
    Case(
        "smooth_l1",
        errors,
        smooth_l1,
        options=({}, {"beta": 0.3}, {"beta": 0.0}),
        corners=((0.0, 0.0), (1.0, 0.0), (1e-15, 0.0), (1e18, 0.0), (-1e30, 0.0)),
        hard=hard_errors,
    ),
    Case(
        "log_cosh",
        errors,
        log_cosh,
        corners=((0.0, 0.0), (1e-4, 0.0), (-1e-20, 0.0), (1e4, 0.0), (1e30, 0.0), (0.1, 0.0), (-100.0, 0.0)),
        hard=lambda ulp: itertools.chain(hard_errors(ulp), ((x, 0.0) for x in (0.7, 0.75, -0.8, 1.3, 2.0, 9.0, 20.0))),
    ),
    Case(
        "pseudo_huber",
        errors,
        pseudo_huber,
        options=({}, {"delta": 0.3}, {"delta": 100.0}),
        corners=((0.0, 0.0), (1e-15, 0.0), (1e18, 0.0), (-1e30, 0.0)),
        hard=hard_errors,
    ),
    Case(
        "pinball",
        errors,
        pinball,
        options=({}, {"quantile": 0.9}, {"quantile": 0.0}),
        corners=((0.0, 0.0), (1.0, 1.0), (1e-30, 0.0), (1e30, 0.0), (-1e30, 0.0)),
        hard=hard_errors,
    ),
    Case(
        "expectile",
        errors,
        expectile,
        options=({}, {"level": 0.9}, {"level": 0.0}),
        corners=((0.0, 0.0), (1.0, 1.0), (1e-15, 0.0), (1e15, 0.0), (-1e15, 0.0)),
        hard=hard_errors,
    ),
    Case(
        "quantile_huber",
        errors,
        quantile_huber,
        options=({}, {"quantile": 0.9, "delta": 0.3}, {"quantile": 0.1, "delta": 0.0}),
        corners=((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (1e-15, 0.0), (-1e30, 0.0)),
        hard=hard_errors,
    ),
    Case(
        "squared_log_error",
        sizes,
        squared_log_error,
        corners=((0.0, 0.0), (-1.0, -1.0), (-1.0, 0.0), (1.0, -1.0), (1e-15, 0.0), (1e30, 1.0), (1e30, 1e30)),
        domain={0: (-1.0, inf), 1: (-1.0, inf)},
        hard=_hard_shares,
    ),
    Case(
        "absolute_percentage_error",
        sizes,
        absolute_percentage_error,
        corners=((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1e-30, 1e30), (1e30, 1e-30)),
        hard=_hard_signs,
    ),
    Case(
        "symmetric_absolute_percentage_error",
        sizes,
        symmetric_absolute_percentage_error,
        corners=((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1e-30, 1e30), (-1.0, 1.0)),
        hard=_hard_signs,
    ),
    Case(
        "epsilon_insensitive",
        errors,
        epsilon_insensitive,
        options=({}, {"epsilon": 1.0}, {"epsilon": 0.0}),
        corners=((0.0, 0.0), (1.0, 1.0), (1e-30, 0.0), (-1e30, 0.0)),
        hard=_hard_edges,
    ),
    Case(
        "squared_epsilon_insensitive",
        errors,
        squared_epsilon_insensitive,
        options=({}, {"epsilon": 1.0}, {"epsilon": 0.0}),
        corners=((0.0, 0.0), (1.0, 1.0), (1e-15, 0.0), (-1e15, 0.0)),
        hard=_hard_edges,
    ),
    Case(
        "cosine_distance",
        two_vectors,
        cosine,
        corners=(
            ([0.0] * D, [0.0] * D),
            ([0.0] * D, [1.0, 2.0, -1.0, 0.5]),
            ([1.0, 2.0, -1.0, 0.5], [1.0, 2.0, -1.0, 0.5]),
            ([1.0, 2.0, -1.0, 0.5], [-2.0, -4.0, 2.0, -1.0]),
            ([1e-30] * D, [1e20, 2e20, 3e20, 4e20]),
        ),
        hard=_hard_vectors,
    ),
    Case(
        "scale_invariant_log_error",
        two_images,
        scale_invariant_log_error,
        options=({}, {"variance_focus": 0.85}, {"variance_focus": 0.0}),
        corners=(
            ([1.0, 2.0, 0.3, 4.0, 0.5, 1.5], [1.0, 2.0, 0.3, 4.0, 0.5, 1.5]),
            ([0.0, 2.0, 0.3, 4.0, 0.5, 1.5], [1.0, 2.0, 0.3, 4.0, 0.5, 1.5]),
        ),
        domain={0: (0.0, inf), 1: (0.0, inf)},
        hard=_hard_images,
    ),
    Case(
        "scale_invariant_log_error",
        two_images_with_holes,
        scale_invariant_log_error,
        options=({}, {"variance_focus": 1.0}),
        corners=(
            ([1.0, 0.0, 0.3, 4.0, 0.5, 1.5], [1.0, 2.0, 0.3, 0.0, 0.5, 1.5], [True, False, True, False, True, True]),
            ([1.0, 2.0, 0.3, 4.0, 0.5, 1.5], [1.0, 2.0, 0.3, 4.0, 0.5, 1.5], [False] * N),
        ),
        domain={0: (0.0, inf), 1: (0.0, inf)},
        hard=_hard_images_with_holes,
    ),
    Case(
        "scaled_absolute_error",
        errors_and_scale,
        scaled_absolute_error,
        differentiable=(0, 1, 2),
        corners=((1.0, 1.0, 0.0), (3.0, 1.0, 0.0), (1.0, 1.0, 2.0)),
        domain={2: (0.0, inf)},
        hard=hard_errors_and_scales,
    ),
)
