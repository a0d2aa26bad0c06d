"""Regression: functions of the error."""

import itertools

from mpmath import cosh, log, log1p, mpf, sqrt

from cases.table import NEAR_ONE, Case, errors, hard_errors

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
    return (log1p(mpf(prediction)) - log1p(mpf(target))) ** 2


def pinball(prediction, target, quantile=0.5):
    u, quantile = mpf(target) - mpf(prediction), mpf(quantile)
    return max(quantile * u, (quantile - 1) * u)


def expectile(prediction, target, level=0.5):
    return abs(mpf(level) - int(target < prediction)) * squared_error(prediction, target)


def quantile_huber(prediction, target, quantile=0.5, delta=1.0):
    return abs(mpf(quantile) - int(target < prediction)) * smooth_l1(prediction, target, delta)


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
        ulp=(4, 8),
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
)
