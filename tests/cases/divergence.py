"""Divergences between distributions."""

import itertools

import numpy as np
from mpmath import exp, expm1, inf, log, mpf, sqrt

from cases.table import PROBABILITY, Case, K, hard_distributions, hard_rows, rel_entr, two_distributions


def kl_divergence(p, q):
    return sum(rel_entr(pj, qj) for pj, qj in zip(p, q, strict=True))


def generalized_kl_divergence(p, q):
    return sum(rel_entr(pj, qj) - mpf(pj) + mpf(qj) for pj, qj in zip(p, q, strict=True))


def jensen_shannon_divergence(p, q):
    m = [(mpf(pj) + mpf(qj)) / 2 for pj, qj in zip(p, q, strict=True)]
    return (kl_divergence(p, m) + kl_divergence(q, m)) / 2


def renyi_divergence(p, q, alpha):
    alpha = mpf(alpha)
    if alpha == 1:
        return kl_divergence(p, q)
    pairs = [(mpf(pj), mpf(qj)) for pj, qj in zip(p, q, strict=True) if pj]
    if alpha > 1 and any(qj == 0 for _, qj in pairs):
        return inf
    total = sum(pj**alpha * qj ** (1 - alpha) for pj, qj in pairs if qj)
    return log(total) / (alpha - 1) if total else inf


def hellinger_distance(p, q):
    return sqrt(sum((sqrt(mpf(pj)) - sqrt(mpf(qj))) ** 2 for pj, qj in zip(p, q, strict=True)) / 2)


def total_variation_distance(p, q):
    return sum(abs(mpf(pj) - mpf(qj)) for pj, qj in zip(p, q, strict=True)) / 2


def _log_softmax(x, temperature=1.0):
    x = [mpf(xj) / mpf(temperature) for xj in x]
    log_z = max(x) + log(sum(exp(xj - max(x)) for xj in x))
    return [xj - log_z for xj in x]


def kl_divergence_with_logits(x, z, temperature=1.0):
    log_p, log_q = _log_softmax(x, temperature), _log_softmax(z, temperature)
    return sum(exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True) if a > -inf)


def jensen_shannon_divergence_with_logits(x, z):
    return jensen_shannon_divergence([exp(a) for a in _log_softmax(x)], [exp(b) for b in _log_softmax(z)])


def generalized_jensen_shannon_divergence_with_logits(x, z, weight=0.5, temperature=1.0):
    w, p, q = mpf(weight), *([exp(a) for a in _log_softmax(row, temperature)] for row in (x, z))
    m = [w * pj + (1 - w) * qj for pj, qj in zip(p, q, strict=True)]
    return w * kl_divergence(p, m) + (1 - w) * kl_divergence(q, m)


def two_rows_of_logits(rng, n):
    return rng.normal(size=(n, K)) * 3, rng.normal(size=(n, K)) * 3


def gaussian_kl_divergence(p_mean, p_log_variance, q_mean, q_log_variance):
    a, b, difference = mpf(p_log_variance), mpf(q_log_variance), mpf(p_mean) - mpf(q_mean)
    return (expm1(a - b) - (a - b) + difference**2 * exp(-b)) / 2


def standard_normal_kl_divergence(mean, log_variance):
    return (mpf(mean) ** 2 + expm1(mpf(log_variance)) - mpf(log_variance)) / 2


def two_gaussians(rng, n):
    return tuple(rng.normal(size=n) for _ in range(4))


def one_gaussian(rng, n):
    return rng.normal(size=n), rng.normal(size=n)


def _pairs(ulp):
    yield from itertools.product(hard_distributions(ulp), repeat=2)
    # The last digits of a probability of 1e-35, or of a quotient of that size, are below the least number.
    yield [0.5, 1.2303494e-19, 0.5, 0.0, 0.0], [0.25, 4.8463681e-37, 0.5, 0.25, 0.0]
    yield [8.6056346e-35, 9.4084057e-26, 1.0, 0.0, 0.0], [0.18509242, 0.00087439, 0.8140332, 0.0, 0.0]
    yield [1.1077324e-34, 0.75, 0.25, 0.0, 0.0], [4.794502e-18, 0.5, 0.25, 0.25, 0.0]


def _amounts(ulp):
    yield from itertools.product(hard_distributions(ulp), repeat=2)
    some = [3.0, 1e4, 1e-20, 0.0, 1e18]
    yield from ((some, [x * factor for x in some]) for factor in (1 - ulp, 1.0001, 1.9, 2.9, 3.1, 0.4, 1e-10, 1e10))
    yield some, [0.0, 1.0, 2.0, 3.0, 1e-18]
    yield [0.0, 1.0, 0.0, 1e-20, 0.0], [5.0, 1.0, 1e30, 1.0, 0.0]


def pairs_of_rows(ulp):
    rows = list(hard_rows(ulp))
    some = [rows[k] for k in (0, 1, 2, 5, 7, 10, 11, 12, 16, 17)]
    yield from itertools.product(some, repeat=2)
    base = [1.3, -0.4, 9.7, 0.2, 5.1]
    for apart in (ulp, 1e-6, 1e-4, 1e-2, 0.3):
        beside = [x * (1 + 2 * k * apart) for k, x in enumerate(base, 1)]
        yield base, beside
        yield [x + 0.1 for x in base], beside
        yield [x - 80.3 for x in base], beside
        yield [*beside[:2], *base[2:]], base
        yield [0.5, 0.3 + apart, 0.1, -50.3, -np.inf], [0.5, 0.3, 0.1, -45.1, -np.inf]
    yield [0.5, 0.3, 0.1, -3.0, -np.inf], [0.5, 0.3, 0.1, -np.inf, -3.0]
    yield [0.0, 0.1, -20.3, -30.1, -40.7], [0.0, 0.1, -13.3, -50.1, -3.0]


def _pairs_of_gaussians(ulp):
    logs = (0.0, 1e-4, -1e-20, 1.0, -1.3, 2.1, -20.3, 50.1, 87.9)
    yield from ((0.0, a, 0.0, b) for a, b in itertools.product(logs, (0.0, 0.7, -30.1)))
    yield from ((0.3, a * (1 + 2 * ulp), 0.3, a) for a in logs)
    yield from ((m, 0.1, 0.3, 0.1) for m in (0.3 * (1 + 2 * ulp), 0.3001, -1e4, 1e10, 1e18, 1e30))
    yield from ((m, b, 0.0, b) for m in (1e-30, 1e-4, 3.0, 1e30) for b in (-300.0, -170.1, -80.3))
    yield from ((m, b, 0.0, b) for m, b in ((1e-4, 80.3), (3.0, 80.3), (1e30, 80.3), (1e30, 170.1)))
    yield from ((1.0, -700.0, 1.0, -699.0), (2.0, 1e4, 2.0, 1e4), (2.0, -1e4, 2.0, -1e4), (0.0, -1e4, 3.0, 1e4))
    yield from ((0.0, 88.9, 0.0, 0.0), (0.0, 1e4, 0.0, 0.0), (1.0, 0.0, 0.0, -1e4), (1.2, -0.9, 0.3, 0.2))


def _gaussians(ulp):
    logs = (0.0, 1e-30, 1e-20, 1e-4, 0.1, 0.999, 1.0, 1.9, 2.1, 5.0, 20.3, 80.7, 88.6)
    yield from ((m, sign * a) for m, a, sign in itertools.product((0.0, 1e-4), logs, (1, -1)))
    yield from ((sign * m, 0.0) for m in (1e-30, 1e-10, 1.0, 1e4, 1e18, 2e19, 1e30) for sign in (1, -1))
    yield from ((1.0, ulp), (0.0, 1e4), (0.0, -1e30))


_CORNERS = (
    ([0.0, 0.4, 0.6, 0.0, 0.0], [0.0, 0.5, 0.3, 0.2, 0.0]),
    ([0.2] * 5, [0.2] * 5),
    ([0.5, 0.5, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
    ([1e-30, 1.0, 0.0, 0.0, 0.0], [1.0, 1e-30, 0.0, 0.0, 0.0]),
)
LOGITS = (
    ([0.0] * 5, [0.0] * 5),
    ([1e4, -1e4, 0.0, 0.0, 0.0], [1e4, -1e4, 0.0, 0.0, 0.0]),
    ([1e4, -1e4, 0.0, 0.0, 0.0], [-1e4, 1e4, 0.0, 0.0, 0.0]),
    ([-np.inf, 0.0, 0.0, -np.inf, 1.0], [-np.inf, 0.5, 0.0, -2.0, 1.0]),
    ([-np.inf, 0.0, 0.0, 3.0, 1.0], [-np.inf, 0.5, 0.0, -np.inf, 1.0]),
)
_PROBABILITIES = {0: PROBABILITY, 1: PROBABILITY}
_AMOUNTS = {0: (0.0, inf), 1: (0.0, inf)}

CASES = (
    Case(
        "kl_divergence",
        two_distributions,
        kl_divergence,
        corners=_CORNERS,
        domain=_AMOUNTS,
        hard=_amounts,
    ),
    Case(
        "generalized_kl_divergence",
        two_distributions,
        generalized_kl_divergence,
        corners=_CORNERS,
        domain=_AMOUNTS,
        hard=_amounts,
    ),
    Case(
        "jensen_shannon_divergence",
        two_distributions,
        jensen_shannon_divergence,
        corners=_CORNERS,
        domain=_PROBABILITIES,
        hard=_pairs,
    ),
    Case(
        "renyi_divergence",
        two_distributions,
        renyi_divergence,
        options=tuple({"alpha": alpha} for alpha in (0.5, 1.0, 2.0, 1.001, 0.997, 0.0, 30.0)),
        corners=_CORNERS,
        domain=_PROBABILITIES,
        hard=_pairs,
        every_slope=False,
    ),
    Case(
        "hellinger_distance",
        two_distributions,
        hellinger_distance,
        corners=_CORNERS,
        domain=_AMOUNTS,
        hard=_pairs,
    ),
    Case(
        "total_variation_distance",
        two_distributions,
        total_variation_distance,
        corners=_CORNERS,
        hard=_pairs,
    ),
    Case(
        "kl_divergence_with_logits",
        two_rows_of_logits,
        kl_divergence_with_logits,
        options=({}, {"temperature": 3.0}, {"temperature": 0.3}),
        corners=LOGITS,
        hard=pairs_of_rows,
    ),
    Case(
        "jensen_shannon_divergence_with_logits",
        two_rows_of_logits,
        jensen_shannon_divergence_with_logits,
        corners=LOGITS,
        hard=pairs_of_rows,
        relative_to_item=(0, 1),
    ),
    Case(
        "generalized_jensen_shannon_divergence_with_logits",
        two_rows_of_logits,
        generalized_jensen_shannon_divergence_with_logits,
        options=({}, {"weight": 0.1, "temperature": 2.0}, {"weight": 0.999}),
        corners=LOGITS,
        hard=pairs_of_rows,
        relative_to_item=(0, 1),
    ),
    Case(
        "gaussian_kl_divergence",
        two_gaussians,
        gaussian_kl_divergence,
        corners=((0.0, 0.0, 0.0, 0.0), (1.0, 2.0, 1.0, 2.0), (1.0, -1e4, 1.0, -1e4), (1e15, 0.0, 0.0, 0.0)),
        differentiable=(0, 1, 2, 3),
        hard=_pairs_of_gaussians,
    ),
    Case(
        "standard_normal_kl_divergence",
        one_gaussian,
        standard_normal_kl_divergence,
        corners=((0.0, 0.0), (1e-15, 1e-15), (1e15, -1e4)),
        hard=_gaussians,
    ),
)
