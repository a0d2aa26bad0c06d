"""Regression: functions of the error."""

from mpmath import mpf

from cases.table import NEAR_ONE, Case, errors, hard_errors


def squared_error(prediction, target):
    return (mpf(prediction) - mpf(target)) ** 2


def absolute_error(prediction, target):
    return abs(mpf(prediction) - mpf(target))


def huber(prediction, target, delta=1.0):
    e, delta = abs(mpf(prediction) - mpf(target)), mpf(delta)
    return e**2 / 2 if e <= delta else delta * e - delta**2 / 2


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
)
