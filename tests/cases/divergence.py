"""Divergences between distributions."""

import itertools

from mpmath import log, mpf

from cases.table import PROBABILITY, Case, hard_distributions, rel_entr, two_distributions


def kl_divergence(p, q):
    return sum(rel_entr(pj, qj) for pj, qj in zip(p, q, strict=True))


def _terms_of_kl(p, q):
    apart = [(mpf(pj), mpf(qj)) for pj, qj in zip(p, q, strict=True) if pj and abs(pj - qj) > min(pj, qj) > 0]
    unnormalised = abs(sum(map(mpf, p)) - sum(map(mpf, q)))
    return max((abs(pj * log(pj / qj)) for pj, qj in apart), default=unnormalised), (0, 0)


CASES = (
    Case(
        "kl_divergence",
        two_distributions,
        kl_divergence,
        corners=(
            ([0.0, 0.4, 0.6, 0.0, 0.0], [0.0, 0.5, 0.3, 0.2, 0.0]),
            ([0.2] * 5, [0.2] * 5),
            ([0.5, 0.5, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]),
            ([1e-30, 1.0, 0.0, 0.0, 0.0], [1.0, 1e-30, 0.0, 0.0, 0.0]),
        ),
        domain={0: PROBABILITY, 1: PROBABILITY},
        hard=lambda ulp: itertools.product(hard_distributions(ulp), repeat=2),
        terms=_terms_of_kl,
        why="terms of both signs where p and q are apart; sums that are not the same",
    ),
)
