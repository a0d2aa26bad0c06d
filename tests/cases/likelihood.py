"""Likelihoods and proper scores."""

import itertools

import numpy as np
from mpmath import exp, log, mp, mpf

from cases.table import NEAR_ONE, PROBABILITY, Case, distribution_and_label, euclidean, hard_distributions


def gaussian_nll(mean, target, log_variance):
    s = mpf(log_variance)
    return (log(2 * mp.pi) + s + (mpf(mean) - mpf(target)) ** 2 * exp(-s)) / 2


def laplace_nll(location, target, log_scale):
    s = mpf(log_scale)
    return log(2) + s + abs(mpf(location) - mpf(target)) * exp(-s)


def student_t_nll(location, target, log_scale, *, degrees_of_freedom):
    s, nu = mpf(log_scale), mpf(degrees_of_freedom)
    square = (mpf(location) - mpf(target)) ** 2 * exp(-2 * s)
    if nu == mp.inf:
        return log(2 * mp.pi) / 2 + s + square / 2
    constant = log(nu * mp.pi) / 2 + mp.loggamma(nu / 2) - mp.loggamma((nu + 1) / 2)
    return constant + s + (nu + 1) / 2 * mp.log1p(square / nu)


def tweedie_deviance(log_mean, target, power=1.5):
    x, y, p = mpf(log_mean), mpf(target), mpf(power)
    m = exp(x)
    if p == 0 or y == m:
        return (y - m) ** 2
    if y == 0:
        return 2 * exp((2 - p) * x) / (2 - p) if p < 2 else mp.inf
    if p == 1:
        return 2 * (y * (log(y) - x) - y + m)
    if p == 2:
        return 2 * (x - log(y) + y / m - 1)
    return 2 * (y ** (2 - p) / ((1 - p) * (2 - p)) - y * exp((1 - p) * x) / (1 - p) + exp((2 - p) * x) / (2 - p))


def gamma_nll(log_mean, target, log_shape):
    m, a, y = mpf(log_mean), exp(mpf(log_shape)), mpf(target)
    if y == 0:
        return m if a == 1 else mp.sign(a - 1) * mp.inf
    return mp.loggamma(a) + a * (m - mpf(log_shape)) - (a - 1) * log(y) + a * y * exp(-m)


def crps_gaussian(mean, target, log_scale):
    scale = exp(mpf(log_scale))
    z = (mpf(target) - mpf(mean)) / scale if scale else mp.inf
    if scale == 0:
        return abs(mpf(target) - mpf(mean))
    return scale * (z * mp.erf(z / mp.sqrt(2)) + (mp.sqrt(2) * exp(-(z**2) / 2) - 1) / mp.sqrt(mp.pi))


def ranked_probability_score(probabilities, labels):
    sums = list(itertools.accumulate(map(mpf, probabilities)))[:-1]
    return sum(((reached - (labels <= j)) ** 2 for j, reached in enumerate(sums)), mpf(0))


def crps_ensemble(samples, target):
    return energy_score([[x] for x in samples], [target])


def energy_score(samples, target):
    m = len(samples)
    apart = sum(euclidean(x, other) for x, other in itertools.combinations(samples, 2))
    return sum(euclidean(x, target) for x in samples) / m - apart / m**2


def log_factorial(k):
    return mp.loggamma(mpf(k) + 1)


def poisson_nll(log_rate, target):
    x, k = mpf(log_rate), mpf(target)
    return exp(x) - (k * x if k else 0) + log_factorial(k)


def negative_binomial_nll(log_mean, target, log_dispersion):
    m, k = mpf(log_mean), mpf(target)
    if log_dispersion == -np.inf or log_mean == -np.inf:
        return poisson_nll(log_mean, target)
    r, odds = exp(-mpf(log_dispersion)), exp(m + mpf(log_dispersion))
    choices = log_factorial(k) + mp.loggamma(r) - mp.loggamma(r + k) if k else 0
    return choices + (k * mp.log1p(1 / odds) if k else 0) + r * mp.log1p(odds)


LEVELS = (0.1, 0.5, 0.9)


def multi_quantile(prediction, target, quantiles):
    errors = [mpf(target) - mpf(p) for p in prediction]
    return sum(max(mpf(q) * u, (mpf(q) - 1) * u) for u, q in zip(errors, quantiles, strict=True))


def interval_score(lower, upper, target, alpha=0.1):
    low, high, y = mpf(lower), mpf(upper), mpf(target)
    return high - low + 2 / mpf(alpha) * (max(low - y, 0) + max(y - high, 0))


def three_quantiles(rng, n):
    return np.sort(rng.normal(size=(n, len(LEVELS))) * 2), rng.normal(size=n)


def hard_quantiles(ulp):
    rows = ([-1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [3.0, -2.0, 1e-4], [1e30, -1e30, 1e10], [1 - ulp, 1.0, 1 + 2 * ulp])
    yield from itertools.product(rows, (0.0, 1.0, -1e4, 1e30))


def intervals(rng, n):
    middle = rng.normal(size=n)
    return middle - rng.gamma(2.0, size=n), middle + rng.gamma(2.0, size=n), rng.normal(size=n) * 3


def hard_intervals(ulp):
    ends = ((-1.0, 1.0), (1.0, 1.0), (2.0, -2.0), (1 - ulp, 1 + 2 * ulp), (-1e30, 1e30), (1e-30, 2e-30))
    yield from ((low, high, y) for low, high in ends for y in (0.0, 1.0, -1.5, 1 + 2 * ulp, 1e4, 1e-30, -1e30))


def brier(p, label):
    return sum((mpf(pj) - int(j == label)) ** 2 for j, pj in enumerate(p))


def errors_and_log_scale(rng, n):
    return rng.normal(size=n) * 2, rng.normal(size=n), rng.normal(size=n)


def hard_errors_and_log_scales(ulp):
    sizes = (0.0, 1e-30, 1e-20, 1e-4, 0.3, 1.0, 1 + 2 * ulp, 3.0, 1e4, 1e18, 1e30)
    yield from ((size, 0.0, s) for size in sizes for s in (0.0, 1e-10, -0.3, 3.0, -80.0, 80.0, 120.0))
    yield from ((-size, 0.0, s) for size in (1e-4, 1.0, 1e18) for s in (0.0, 5.0))
    yield from ((value + error, value, -1.5) for value in (1.0, -1e4) for error in (1e-4, 0.25))
    yield from ((3.0, 3.0, 2 * np.log(3.0)), (np.exp(-1.5), 0.0, -3.0), (0.0, 0.0, -100.0))
    yield -1.7109149, 0.82783145, -87.14611


def log_rates_and_counts(rng, n):
    return rng.normal(size=n) + 1, rng.poisson(4, n).astype(float)


def hard_counts(ulp):
    counts = (0.0, 1.0, 2.0, 7.0, 1e4, 1e6, 0.3, 1e-3, 1e-30, 1 - ulp, 1 + 2 * ulp, 2.5, 1e10)
    yield from itertools.product((0.0, 1e-10, 1e-4, 0.7, 3.0, 9.0, -5.0, -80.0, 80.0), counts)
    yield from ((np.log(k) + shift, k) for k in (1.0, 3.0, 1e4, 1e6) for shift in (0.0, 1e-5, -1e-2, 0.5))
    yield from ((-np.inf, k) for k in (0.0, 1.0, 1e6))
    yield from ((100.0, 3.0), (-1e4, 0.0), (-1e4, 3.0))


def log_means_counts_and_log_dispersions(rng, n):
    return rng.normal(size=n) + 1, rng.poisson(4, n).astype(float), rng.normal(size=n)


def hard_dispersed_counts(_):
    counts, dispersions = (0.0, 1.0, 7.0, 1e4, 1e6, 0.3), (0.0, -3.0, 5.0, -20.0, 30.0)
    yield from itertools.product((0.0, 1e-4, 3.0, 9.0, -20.0), counts, dispersions)
    yield from itertools.product((2.0, -60.0, 60.0), (0.0, 3.0, 1e4), (-60.0, 60.0))
    yield from ((np.log(k) + e, k, s) for k in (1.0, 3.0, 1e4) for e in (0.0, 1e-5, 0.5) for s in (-7.0, 0.7))
    yield from ((-np.inf, 0.0, 1.0), (-np.inf, 2.0, 1.0), (1.0, 2.0, -np.inf), (100.0, 3.0, 0.5), (1.0, 2.0, 90.0))
    # Where the odds leave the format, at either end.
    yield from ((23.536064, 0.0, 67.7757), (37.87952, 156509126656.0, 55.532398), (37.868587, 2.0, 51.423874))
    yield -87.715446, 217817235456.0, 64.577049
    yield from ((-79.066055, 2096048000.0, -18.895648), (-85.886917, 2.0, -1.596521), (-85.08379, 2842961920.0, -25.19))


def log_means_outcomes_and_log_shapes(rng, n):
    return rng.normal(size=n), rng.gamma(2.0, 1.0, n), rng.normal(size=n)


def hard_outcomes(ulp):
    outcomes = (1.0, 1 + 2 * ulp, 1e-30, 1e-3, 0.3, 20.0, 1e6, 1e18)
    yield from itertools.product((0.0, 1e-4, -3.0, 12.0), outcomes, (0.0, -5.0, 4.0, 10.0))
    yield from itertools.product((-80.0, 80.0), (1e-3, 1.0, 1e18), (-60.0, 0.5, 60.0))
    yield from ((np.log(y) + e, y, a) for y in (3.0, 1e6) for e in (0.0, 1e-5, 0.5) for a in (0.3, 9.0))
    yield from ((1.0, 0.0, a) for a in (0.0, 1.0, -1.0))


def log_means_and_amounts(rng, n):
    return rng.normal(size=n), rng.gamma(2.0, 1.0, n)


def hard_amounts(ulp):
    amounts = (0.0, 1e-30, 1e-3, 0.3, 1.0, 1 + 2 * ulp, 20.0, 1e6, 1e18)
    yield from itertools.product((0.0, 1e-4, -3.0, 2.9, 12.0), amounts)
    yield from itertools.product((-60.0, 60.0), (0.0, 1e-20, 1.0, 1e18))
    yield from ((np.log(y) + e, y) for y in (3.0, 1e6) for e in (0.0, 1e-5, -1e-2, 0.5, 0.8))
    yield from ((13.8, 1e6), (20.837432861328125, 1120939392.0), (0.693178117275238, 2.0000619888305664))
    yield from ((-12.66966438293457, 3.1451018003281206e-06), (-22.9, 1.0944e-10), (2.7, 14.9))
    # Where a square of log(y / m), or a slope, is beyond the format on the way to a product that is not.
    yield from ((-21.794742, 2.732284e29), (-42.211472, 0.98546916), (11.066084, 3.045969e-19), (23.96305, 8.4482e-29))
    yield from ((-1.548902, 4.52073), (-21.027365, 5.353078e-06), (1.9455268, 0.91355574), (-0.289211, 1.0325941))


def ensembles(rng, n):
    return rng.normal(size=(n, 5)), rng.normal(size=n)


def hard_ensembles(ulp):
    base = np.array([0.3, -1.2, 0.7, 2.5, -0.4])
    for scale, shift in ((1.0, 0.0), (1e-20, 0.0), (1e18, 0.0), (1e30, 0.0), (1e-3, 1e4)):
        samples = scale * base + shift
        yield from ((samples.tolist(), scale * y + shift) for y in (0.0, 0.5, 10.0, -10.0, 0.7))
    for y in (0.0, 1.0, 1 + 2 * ulp, -3.0):
        yield from (([1.0] * 5, y), ([1.0, 1.0, 2.0, 2.0, 1.0], y), ([1.0, 1 - ulp, 1.0, 1 + 2 * ulp, 1.0], y))


def vector_ensembles(rng, n):
    return rng.normal(size=(n, 3, 2)), rng.normal(size=(n, 2))


def hard_vector_ensembles(ulp):
    base = np.array([[0.3, -1.2], [0.7, 2.5], [-0.4, 0.1]])
    for scale, shift in ((1.0, 0.0), (1e-20, 0.0), (1e18, 0.0), (1e30, 0.0), (1e-3, 1e4)):
        samples = (scale * base + shift).tolist()
        yield from ((samples, [scale * y + shift, shift]) for y in (0.0, 0.5, 10.0))
        yield samples, samples[1]
    yield from (([[1.0, 2.0]] * 3, y) for y in ([1.0, 2.0], [1.0, 2.0 - 2 * ulp], [0.0, 0.0], [1e18, 0.0]))
    yield [[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]], [1.0, 2.0]


def hard_errors_but_the_smallest(ulp):
    """Without those whose part in the value is beyond the digits of the truth."""
    items = hard_errors_and_log_scales(ulp)
    yield from (item for item in items if item[0] == 0 or np.log(abs(item[0])) - item[2] > -85)


_ERRORS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1e18, 0.0, 80.0), (1e-20, 0.0, -80.0), (0.0, 0.0, -200.0))

CASES = (
    Case(
        "gaussian_nll",
        errors_and_log_scale,
        gaussian_nll,
        corners=_ERRORS,
        differentiable=(0, 1, 2),
        hard=hard_errors_and_log_scales,
    ),
    Case(
        "laplace_nll",
        errors_and_log_scale,
        laplace_nll,
        corners=_ERRORS,
        differentiable=(0, 1, 2),
        hard=hard_errors_and_log_scales,
    ),
    Case(
        "student_t_nll",
        errors_and_log_scale,
        student_t_nll,
        options=tuple({"degrees_of_freedom": nu} for nu in (4.0, 0.3, 1e6, np.inf)),
        corners=_ERRORS,
        differentiable=(0, 1, 2),
        hard=hard_errors_but_the_smallest,
    ),
    Case(
        "poisson_nll",
        log_rates_and_counts,
        poisson_nll,
        corners=((-np.inf, 0.0), (-np.inf, 2.0), (0.0, 0.0), (0.0, 1.0), (-1e4, 0.0), (np.log(1e4), 1e4)),
        domain={1: (0.0, np.inf)},
        hard=hard_counts,
    ),
    Case(
        "negative_binomial_nll",
        log_means_counts_and_log_dispersions,
        negative_binomial_nll,
        corners=((-np.inf, 0.0, 0.0), (-np.inf, 2.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1.0, -np.inf), (2.0, 3.0, -30.0)),
        differentiable=(0, 1, 2),
        domain={1: (0.0, np.inf)},
        hard=hard_dispersed_counts,
        relative_to_item=(1, 2),
    ),
    Case(
        "tweedie_deviance",
        log_means_and_amounts,
        tweedie_deviance,
        options=({}, {"power": 0.0}, {"power": 1.0}, {"power": 2.0}, {"power": 3.0}, {"power": 1.01}, {"power": 1.9}),
        corners=((0.0, 1.0), (0.0, 0.0), (-3.0, 0.0), (5.0, 1e-20)),
        domain={1: (0.0, np.inf)},
        hard=hard_amounts,
        every_slope=False,
    ),
    Case(
        "gamma_nll",
        log_means_outcomes_and_log_shapes,
        gamma_nll,
        corners=((0.0, 1.0, 0.0), (-3.0, 1e-20, 2.0), (1.0, 0.0, 0.0)),
        differentiable=(0, 1, 2),
        domain={1: (0.0, np.inf)},
        hard=hard_outcomes,
    ),
    Case(
        "crps_gaussian",
        errors_and_log_scale,
        crps_gaussian,
        corners=(*_ERRORS, (0.0, 0.0, 89.5), (1e37, 0.0, 88.5)),
        differentiable=(0, 1, 2),
        hard=hard_errors_but_the_smallest,
    ),
    Case(
        "brier",
        distribution_and_label,
        brier,
        corners=(
            ([1.0, 0.0, 0.0, 0.0, 0.0], 0),
            ([1.0, 0.0, 0.0, 0.0, 0.0], 1),
            ([NEAR_ONE, 1e-30, 0.0, 0.0, 0.0], 0),
        ),
        differentiable=(0,),
        domain={0: PROBABILITY},
        hard=lambda ulp: itertools.product(hard_distributions(ulp), (0, 1, 4)),
    ),
    Case(
        "ranked_probability_score",
        distribution_and_label,
        ranked_probability_score,
        corners=(
            ([1.0, 0.0, 0.0, 0.0, 0.0], 0),
            ([1.0, 0.0, 0.0, 0.0, 0.0], 4),
            ([NEAR_ONE, 1e-30, 0.0, 0.0, 0.0], 0),
        ),
        differentiable=(0,),
        domain={0: PROBABILITY},
        hard=lambda ulp: itertools.product(hard_distributions(ulp), (0, 1, 4)),
        sorts=True,
    ),
    Case(
        "crps_ensemble",
        ensembles,
        crps_ensemble,
        corners=(([1.0] * 5, 1.0), ([1.0] * 5, 2.0), ([0.0, 1.0, 2.0, 3.0, 4.0], 2.0)),
        hard=hard_ensembles,
        sorts=True,
    ),
    Case(
        "energy_score",
        vector_ensembles,
        energy_score,
        corners=(([[1.0, 2.0]] * 3, [1.0, 2.0]), ([[1.0, 2.0]] * 3, [0.0, 0.0])),
        hard=hard_vector_ensembles,
    ),
    Case(
        "multi_quantile",
        three_quantiles,
        multi_quantile,
        options=({"quantiles": LEVELS}, {"quantiles": (0.0, 1.0, 0.3)}),
        corners=(([1.0, 2.0, 4.0], 2.0),),
        hard=hard_quantiles,
    ),
    Case(
        "interval_score",
        intervals,
        interval_score,
        options=({}, {"alpha": 0.5}),
        differentiable=(0, 1, 2),
        corners=((1.0, 4.0, 4.0), (1.0, 4.0, 1.0), (4.0, 1.0, 2.0)),
        hard=hard_intervals,
    ),
)
