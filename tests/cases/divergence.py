"""Divergences between distributions."""

import itertools

from mpmath import inf, log, mpf, sqrt

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
)
