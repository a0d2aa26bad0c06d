"""Adversarial: discriminators, critics and generators."""

import itertools

import numpy as np
from mpmath import mpf

from cases.table import PROBABILITY, Case, hard_probabilities, softplus, two_probabilities, xlogy


def gan_discriminator(real, fake):
    return -(xlogy(mpf(1), mpf(real)) + xlogy(mpf(1), 1 - mpf(fake))) / 2


def gan_discriminator_with_logits(real, fake):
    return (softplus(-mpf(real)) + softplus(mpf(fake))) / 2


def gan_generator_with_logits(fake):
    return -softplus(mpf(fake))


def gan_nonsaturating_generator(fake):
    return softplus(-mpf(fake))


def lsgan_discriminator(real, fake):
    return (mpf(real) - 1) ** 2 / 2 + mpf(fake) ** 2 / 2


def lsgan_generator(fake):
    return (mpf(fake) - 1) ** 2 / 2


def hinge_gan_discriminator(real, fake):
    return max(1 - mpf(real), 0) + max(1 + mpf(fake), 0)


def hinge_gan_generator(fake):
    return -mpf(fake)


def wgan_critic(real, fake):
    return mpf(fake) - mpf(real)


def wgan_generator(fake):
    return -mpf(fake)


def relativistic_gan_discriminator(real, fake):
    return softplus(mpf(fake) - mpf(real))


def relativistic_gan_generator(real, fake):
    return softplus(mpf(real) - mpf(fake))


def two_scores(rng, n):
    return rng.normal(size=n) * 3, rng.normal(size=n) * 3


def one_score(rng, n):
    return (rng.normal(size=n) * 3,)


_LOGITS = (0.0, 1e-30, 1e-4, 0.3, 1.0, 5.0, 17.0, 20.3, 50.1, 80.7, 1e4, 1e30, 3e38, np.inf)
_SCORES = (0.0, 1e-30, 1e-20, 1e-4, 0.5, 1.0, 3.0, 1e4, 1e18, 2e19, 1e30)


def _signed(sizes):
    return [sign * size for size in sizes for sign in (1, -1)]


def _logits(_):
    return ((x,) for x in _signed(_LOGITS))


def _pairs_of_logits(_):
    sizes = (0.0, 1e-4, 5.0, 17.3, 40.1, 1e4, 1e38, np.inf)
    return itertools.product(_signed(sizes), repeat=2)


def _pairs_with_a_difference(ulp):
    sizes = (0.0, 1e-30, 1e-4, 0.3, 5.0, 17.3, 40.1, 1e4, 1e30, 3e38)
    yield from itertools.product(_signed(sizes), repeat=2)
    yield from ((base * (1 + 2 * ulp), base) for base in (1e-4, 40.1, 1e4))
    yield from itertools.permutations((0.0, np.inf, -np.inf), 2)


def _scores(ulp):
    return ((x,) for x in (*_signed(_SCORES), 1 - ulp, 1 + 2 * ulp))


def _pairs_of_scores(ulp):
    ends = (*_signed((0.0, 1e-30, 1e-4, 0.5, 1e4, 2e19, 1e30)), 1 - ulp, 1.0, ulp - 1, -1.0)
    return itertools.product(ends, repeat=2)


CASES = (
    Case(
        "gan_discriminator",
        two_probabilities,
        gan_discriminator,
        corners=((1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1 - 2**-24, 1e-30), (1e-30, 1 - 2**-24)),
        domain={0: PROBABILITY, 1: PROBABILITY},
        hard=hard_probabilities,
    ),
    Case(
        "gan_discriminator_with_logits",
        two_scores,
        gan_discriminator_with_logits,
        corners=((0.0, 0.0), (20.0, -20.0), (-1e4, 1e4), (np.inf, -np.inf)),
        hard=_pairs_of_logits,
    ),
    Case(
        "gan_generator_with_logits",
        one_score,
        gan_generator_with_logits,
        corners=((0.0,), (-20.0,), (1e4,)),
        differentiable=(0,),
        hard=_logits,
    ),
    Case(
        "gan_nonsaturating_generator",
        one_score,
        gan_nonsaturating_generator,
        corners=((0.0,), (20.0,), (-1e4,)),
        differentiable=(0,),
        hard=_logits,
    ),
    Case(
        "lsgan_discriminator",
        two_scores,
        lsgan_discriminator,
        corners=((1.0, 0.0), (0.0, 1.0), (1e15, -1e15)),
        hard=_pairs_of_scores,
    ),
    Case(
        "lsgan_generator",
        one_score,
        lsgan_generator,
        corners=((1.0,), (0.0,), (1e15,)),
        differentiable=(0,),
        hard=_scores,
    ),
    Case(
        "hinge_gan_discriminator",
        two_scores,
        hinge_gan_discriminator,
        corners=((1.0, -1.0), (0.0, 0.0), (-1e30, 1e30)),
        hard=_pairs_of_scores,
    ),
    Case(
        "hinge_gan_generator",
        one_score,
        hinge_gan_generator,
        corners=((0.0,), (1e30,)),
        differentiable=(0,),
        hard=_scores,
    ),
    Case("wgan_critic", two_scores, wgan_critic, corners=((0.0, 0.0), (1e30, 1.0)), hard=_pairs_of_scores),
    Case(
        "wgan_generator",
        one_score,
        wgan_generator,
        corners=((0.0,), (1e30,)),
        differentiable=(0,),
        hard=_scores,
    ),
    Case(
        "relativistic_gan_discriminator",
        two_scores,
        relativistic_gan_discriminator,
        corners=((0.0, 0.0), (20.0, -20.0), (-1e4, 1e4), (1e30, -1e30)),
        hard=_pairs_with_a_difference,
    ),
    Case(
        "relativistic_gan_generator",
        two_scores,
        relativistic_gan_generator,
        corners=((0.0, 0.0), (-20.0, 20.0), (1e4, -1e4), (1e30, -1e30)),
        hard=_pairs_with_a_difference,
    ),
)
