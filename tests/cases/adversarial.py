"""Adversarial: discriminators, critics and generators."""

from mpmath import mpf

from cases.table import PROBABILITY, Case, hard_probabilities, two_probabilities, xlogy


def gan_discriminator(real, fake):
    return -(xlogy(mpf(1), mpf(real)) + xlogy(mpf(1), 1 - mpf(fake))) / 2


CASES = (
    Case(
        "gan_discriminator",
        two_probabilities,
        gan_discriminator,
        corners=((1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1 - 2**-24, 1e-30), (1e-30, 1 - 2**-24)),
        domain={0: PROBABILITY, 1: PROBABILITY},
        hard=hard_probabilities,
    ),
)
