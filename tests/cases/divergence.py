"""Divergences between distributions."""

import itertools

from mpmath import exp, expm1, inf, log, mpf, sqrt

from cases.table import PROBABILITY, Case, hard_distributions, rel_entr, two_distributions


def kl_divergence(p, q):
    return sum(rel_entr(pj, qj) for pj, qj in zip(p, q, strict=True))


def generalized_kl_divergence(p, q):
    return sum(rel_entr(pj, qj) - mpf(pj) + mpf(qj) for pj, qj in zip(p, q, strict=True))


def jensen_shannon_divergence(p, q):
    m = [(mpf(pj) + mpf(qj)) / 2 for pj, qj in zip(p, q, strict=True)]
    return (kl_divergence(p, m) + kl_divergence(q, m)) / 2


def hellinger_distance(p, q):
    return sqrt(sum((sqrt(mpf(pj)) - sqrt(mpf(qj))) ** 2 for pj, qj in zip(p, q, strict=True)) / 2)


def total_variation_distance(p, q):
    return sum(abs(mpf(pj) - mpf(qj)) for pj, qj in zip(p, q, strict=True)) / 2


def gaussian_kl_divergence(p_mean, p_log_variance, q_mean, q_log_variance):
    a, b, difference = mpf(p_log_variance), mpf(q_log_variance), mpf(p_mean) - mpf(q_mean)
    return (expm1(a - b) - (a - b) + difference**2 * exp(-b)) / 2


def standard_normal_kl_divergence(mean, log_variance):
    return (mpf(mean) ** 2 + expm1(mpf(log_variance)) - mpf(log_variance)) / 2


def two_gaussians(rng, n):
    return tuple(rng.normal(size=n) for _ in range(4))


def one_gaussian(rng, n):
    return rng.normal(size=n), rng.normal(size=n)


def _terms_of_gaussian_kl(p_mean, p_log_variance, q_mean, q_log_variance):
    squared = (mpf(p_mean) - mpf(q_mean)) ** 2 / exp(mpf(q_log_variance))
    return 0, (0, 0, 0, squared / 2)


def _terms_of_kl(p, q):
    apart = [(mpf(pj), mpf(qj)) for pj, qj in zip(p, q, strict=True) if pj and abs(pj - qj) > min(pj, qj) > 0]
    unnormalised = abs(sum(map(mpf, p)) - sum(map(mpf, q)))
    return max((abs(pj * log(pj / qj)) for pj, qj in apart), default=unnormalised), (0, 0)


def _pairs(ulp):
    return itertools.product(hard_distributions(ulp), repeat=2)


def _amounts(ulp):
    yield from itertools.product(hard_distributions(ulp), repeat=2)
    some = [3.0, 1e4, 1e-20, 0.0, 1e18]
    yield from ((some, [x * factor for x in some]) for factor in (1 - ulp, 1.0001, 1.9, 2.9, 3.1, 0.4, 1e-10, 1e10))
    yield some, [0.0, 1.0, 2.0, 3.0, 1e-18]


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
_PROBABILITIES = {0: PROBABILITY, 1: PROBABILITY}
_AMOUNTS = {0: (0.0, inf), 1: (0.0, inf)}

CASES = (
    Case(
        "kl_divergence",
        two_distributions,
        kl_divergence,
        corners=_CORNERS,
        domain=_PROBABILITIES,
        hard=_pairs,
        terms=_terms_of_kl,
        why="terms of both signs where p and q are apart; sums that are not the same",
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
        "gaussian_kl_divergence",
        two_gaussians,
        gaussian_kl_divergence,
        corners=((0.0, 0.0, 0.0, 0.0), (1.0, 2.0, 1.0, 2.0), (1.0, -1e4, 1.0, -1e4), (1e15, 0.0, 0.0, 0.0)),
        differentiable=(0, 1, 2, 3),
        hard=_pairs_of_gaussians,
        terms=_terms_of_gaussian_kl,
        why="the slope in the log variance of q, where it pays for a mean as much as it gains by its width",
    ),
    Case(
        "standard_normal_kl_divergence",
        one_gaussian,
        standard_normal_kl_divergence,
        corners=((0.0, 0.0), (1e-15, 1e-15), (1e15, -1e4)),
        hard=_gaussians,
    ),
)
