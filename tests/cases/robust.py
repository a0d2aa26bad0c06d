"""Robust: costs of the error that grow slowly or not at all."""

import itertools

import numpy as np
from mpmath import exp, inf, log, log1p, mpf, sqrt

from cases.table import Case, errors, hard_errors


def general_robust(prediction, target, alpha=1.0, scale=1.0):
    z, alpha = ((mpf(prediction) - mpf(target)) / mpf(scale)) ** 2, mpf(alpha)
    if alpha == 2:
        return z / 2
    if alpha == 0:
        return log1p(z / 2)
    if alpha == -inf:
        return 1 - exp(-z / 2)
    b = abs(alpha - 2)
    return b / alpha * ((z / b + 1) ** (alpha / 2) - 1)


def charbonnier(prediction, target, scale=1.0):
    return sqrt(((mpf(prediction) - mpf(target)) / mpf(scale)) ** 2 + 1) - 1


def cauchy(prediction, target, scale=1.0):
    return log(((mpf(prediction) - mpf(target)) / mpf(scale)) ** 2 / 2 + 1)


def geman_mcclure(prediction, target, scale=1.0):
    z = ((mpf(prediction) - mpf(target)) / mpf(scale)) ** 2
    return 2 * z / (z + 4)


def welsch(prediction, target, scale=1.0):
    return 1 - exp(-(((mpf(prediction) - mpf(target)) / mpf(scale)) ** 2) / 2)


def tukey_biweight(prediction, target, scale=4.685):
    c = mpf(scale)
    z = min(abs(mpf(prediction) - mpf(target)) / c, 1) ** 2
    return c**2 / 6 * (1 - (1 - z) ** 3)


def wing(prediction, target, width=10.0, curvature=2.0):
    e, w, epsilon = abs(mpf(prediction) - mpf(target)), mpf(width), mpf(curvature)
    return w * log(1 + e / epsilon) if e < w else e - w + w * log(1 + w / epsilon)


def _edges(ulp):
    yield from _hard(ulp)
    for edge in (4.685, 10.0):
        yield from ((sign * edge * near + y, y) for sign in (1, -1) for near in (1, 0.9999, 1.001) for y in (0.0, 0.3))


def _hard(ulp):
    yield from hard_errors(ulp)
    yield from ((x, 0.0) for x in (5.46e-19, -2.31e-18, 1.02e-9, 4.6e29))
    yield from ((x, 0.0) for x in (0.7, -1.3, 5.0, -7.7, 9.3, 11.9, 100.0, -1e6))
    yield from itertools.product((3.3, -2.7), (-0.9, 1.1))


CASES = (
    Case(
        "general_robust",
        errors,
        general_robust,
        options=(
            {},
            *({"alpha": alpha} for alpha in (2.0, 1.999, 2.001, 0.0, 1e-4, -1.3, 1.3, 4.0, -np.inf, -1e4)),
        ),
        corners=((0.0, 0.0), (1.0, 1.0), (1e-15, 0.0), (1e4, 0.0), (-1e30, 0.0)),
        hard=_hard,
        every_slope=False,
    ),
    *(
        Case(
            member.__name__,
            errors,
            member,
            options=({}, *({"scale": scale} for scale in (30.0, 1e-10, 1e20))),
            corners=((0.0, 0.0), (1e-15, 0.0), (1e4, 0.0), (-1e30, 0.0)),
            hard=_hard,
        )
        for member in (charbonnier, cauchy, geman_mcclure, welsch)
    ),
    Case(
        "tukey_biweight",
        errors,
        tukey_biweight,
        options=({}, {"scale": 1.0}),
        corners=((0.0, 0.0), (1e-15, 0.0), (4.685, 0.0), (-1e30, 0.0)),
        hard=_edges,
    ),
    Case(
        "wing",
        errors,
        wing,
        options=({}, {"width": 1.0, "curvature": 0.3}),
        corners=((0.0, 0.0), (1e-30, 0.0), (10.0, 0.0), (-1e30, 0.0)),
        hard=_edges,
    ),
)
