"""Survival: hazards, probabilities of intervals, failure times."""

import itertools

import numpy as np
from mpmath import exp, inf, log, mp, mpf, pi

from cases.table import Case, K, hard_rows, softplus

N = 6  # subjects of a risk set


def cox(log_hazards, times, events, item_mask=None, ties="efron"):
    counts = item_mask or [True] * len(times)
    subjects = [s for s, c in zip(zip(log_hazards, times, events, strict=True), counts, strict=True) if c]
    total, seen = mpf(0), 0
    for time in {t for _, t, event in subjects if event}:
        at_risk = [mpf(h) for h, t, _ in subjects if t >= time]
        tied = [mpf(h) for h, t, event in subjects if t == time and event]
        seen += len(tied)
        for number, h in enumerate(tied):
            leaving = mpf(number) / len(tied) * sum(map(exp, tied)) if ties == "efron" else 0
            total += log(sum(map(exp, at_risk)) - leaving) - h
    return total / seen if seen else mpf(0)


def discrete_hazard_nll(logits, label, event):
    return sum(softplus(x) for x in logits[:label]) + softplus(-logits[label] if event else logits[label])


def discrete_survival_nll(logits, label, event):
    weights = [exp(mpf(x)) for x in [*logits, 0]]
    kept = [j == label if event else j > label for j in range(len(weights))]
    inside, outside = (sum(w for w, k in zip(weights, kept, strict=True) if k == which) for which in (True, False))
    return mp.log1p(outside / inside) if inside else inf


# The logarithm of the density of the standardised log time, and the probabilities before and after.
_LAWS = {
    "weibull": (lambda z: z - exp(z), lambda z: -mp.expm1(-exp(z)), lambda z: exp(-exp(z))),
    "lognormal": (lambda z: -(z**2) / 2 - log(2 * pi) / 2, lambda z: mp.ncdf(z), lambda z: mp.ncdf(-z)),
    "loglogistic": (
        lambda z: -softplus(z) - softplus(-z),
        lambda z: 1 / (1 + exp(-z)),
        lambda z: 1 / (1 + exp(z)),
    ),
}


def aft_nll(location, lower, upper, log_scale, distribution="weibull"):
    log_density, before, after = _LAWS[distribution]

    def standardised(time):
        return (log(mpf(time)) - mpf(location)) * exp(-mpf(log_scale))

    if lower == upper:
        return -log_density(standardised(lower)) + mpf(log_scale) + log(mpf(lower))
    if (lower, upper) == (0, inf):
        return mpf(0)
    # Of the two tails the small one, or the difference is lost in any number of digits.
    if upper == inf:
        start = standardised(lower)
        return -mp.log1p(-before(start)) if start < 0 else -log(after(start))
    end = standardised(upper)
    if lower == 0:
        return -log(before(end)) if end < 0 else -mp.log1p(-after(end))
    start = standardised(lower)
    return -log(before(end) - before(start) if start + end < 0 else after(start) - after(end))


def _subjects(rng, n):
    return rng.normal(size=(n, N)) * 2, rng.integers(1, 5, (n, N)), rng.integers(0, 2, (n, N))


def _subjects_with_mask(rng, n):
    mask = rng.random((n, N)) < 0.7
    mask[:, 0] = True
    return (*_subjects(rng, n), mask)


def _hard_subjects(_):
    times = ([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1], [6, 5, 4, 3, 2, 1], [3, 1, 3, 1, 2, 2])
    events = ([1] * N, [1, 0, 1, 1, 0, 1], [0] * N, [0, 0, 0, 0, 0, 1])
    hazards = (
        [0.0] * N,
        [60.0, 40.0, 20.0, 0.0, -20.0, -40.0],
        [-40.0, -20.0, 0.0, 20.0, 40.0, 60.0],
        [1e4, 1e4 - 1, 1e4 - 20, 3.0, -1e4, 0.0],
        [-1e4 + 3, -1e4, -1e4 - 20, -1e4 + 1, -1e4, -1e4],
    )
    yield from itertools.product(hazards, times, events)


def _row_label_and_event(rng, n):
    return rng.normal(size=(n, K)) * 2, rng.integers(0, K, n), rng.integers(0, 2, n)


def _hard_intervals(ulp):
    yield from ((row, label, event) for row in hard_rows(ulp) for label in (0, 2, K - 1) for event in (0, 1))


def _times(rng, n):
    lower = rng.gamma(2.0, size=n) + 0.1
    upper = lower * rng.uniform(1.1, 3, n)
    return rng.normal(size=n), lower, upper, rng.normal(size=n) * 0.5


def _whole_times(rng, n):
    lower = rng.integers(0, 4, n)
    return rng.normal(size=n), lower, np.maximum(1, lower + rng.integers(0, 3, n)), rng.normal(size=n) * 0.5


def _hard_times(ulp):
    for location, log_scale in itertools.product((0.0, 3.0, -15.0, 20.0), (0.0, -1.0, 1.5)):
        for lower in (0.01, 0.5, 1.0, 30.0, 1e6):
            ends = (lower * (1 + 4 * ulp), lower * 1.0001, lower * 1.01, 3 * lower, 1e8 * lower, np.inf)
            yield from ((location, lower, upper, log_scale) for upper in ends)


CASES = (
    Case(
        "cox",
        _subjects,
        cox,
        options=({}, {"ties": "breslow"}),
        differentiable=(0,),
        corners=(([0.5, -0.2, 1.0, 0.3, 0.0, 2.0], [2, 3, 3, 4, 5, 1], [0] * N),),
        hard=_hard_subjects,
        relative_to_item=(0,),  # at equal hazards it is the difference of two equal sums
        sorts=True,
    ),
    Case(
        "cox",
        _subjects_with_mask,
        cox,
        differentiable=(0,),
        corners=(([0.5, -0.2, 1.0, 0.3, 0.0, 2.0], [2, 3, 3, 4, 5, 1], [1] * N, [False] * N),),
        sorts=True,
    ),
    Case(
        "discrete_hazard_nll",
        _row_label_and_event,
        discrete_hazard_nll,
        differentiable=(0,),
        corners=(([1e4, -1e4, 0.0, 50.0, -np.inf], 2, 1), ([-np.inf, -1e4, -50.0, 0.0, 3.0], 2, 0)),
        hard=_hard_intervals,
    ),
    Case(
        "discrete_survival_nll",
        _row_label_and_event,
        discrete_survival_nll,
        differentiable=(0,),
        corners=(([1e4, -1e4, 0.0, 50.0, -np.inf], 0, 1), ([-np.inf, -1e4, -50.0, 0.0, 3.0], 2, 0)),
        hard=_hard_intervals,
    ),
    Case(
        "aft_nll",
        _times,
        aft_nll,
        options=({}, {"distribution": "lognormal"}, {"distribution": "loglogistic"}),
        differentiable=(0, 1, 2, 3),
        domain={1: (0.0, inf), 2: (0.0, inf)},
        hard=_hard_times,
        # It is 0 in location and scale where these are most likely, and in one end of a wide interval nearly so.
        relative_to_item=(0, 1, 2, 3),
    ),
    Case(
        "aft_nll",
        _whole_times,
        aft_nll,
        options=({"distribution": "weibull"},),
        differentiable=(0, 3),
    ),
)
