"""Adversarial: what a discriminator and a generator pay. A discriminator takes real, then fake.

A loss carries the factor of its paper. The half of `gan_discriminator` is that of the mean over real and fake; the
hinge and the Wasserstein losses are published as a sum, and a generator has one sample to pay for.
"""

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.safe import positive_part, safe_log, safe_log1p
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input


@custom_loss(stand_in=0.5)
def gan_discriminator(real_probabilities: Input, fake_probabilities: Input) -> Array:
    r"""What the discriminator of a GAN pays for a real and a fake sample.

    $$ -\tfrac12 \left[ \log D(x) + \log(1 - D(G(z))) \right] $$

    Args:
        real_probabilities: D(x), that a real sample is real, in [0, 1], any shape.
        fake_probabilities: D(G(z)), that a fake sample is real, the shape of `real_probabilities`.

    Corners: 0 for a perfect discriminator. One that is certain and wrong (D(x) = 0 or D(G(z)) = 1) pays inf, with the
    largest finite number for gradient. Probabilities are never clipped.

    Source: Goodfellow et al. (2014), Generative adversarial nets, algorithm 1, times -1/2.

    >>> print(f"{gan_discriminator(0.9, 0.1):.3f}")
    0.105
    """
    return -0.5 * (safe_log(real_probabilities) + safe_log1p(-fake_probabilities))


@custom_loss(stand_in=0.5)
def gan_discriminator_with_logits(real_logits: Input, fake_logits: Input) -> Array:
    r"""What the discriminator of a GAN pays for a real and a fake sample, from its logits.

    $$ -\tfrac12 \left[ \log D(x) + \log(1 - D(G(z))) \right]
       = \tfrac12 \log(1 + e^{-r}) + \tfrac12 \log(1 + e^{f}), \qquad D(x) = \sigma(r), \quad D(G(z)) = \sigma(f) $$

    Args:
        real_logits: r, the log odds that a real sample is real, any shape.
        fake_logits: f, the log odds that a fake sample is real, the shape of `real_logits`.

    Corners: right in both tails; 0 with gradient 0 at r = inf, f = -inf. At r = -inf or f = inf the value is inf and
    the gradient -1/2 or 1/2.

    Source: Goodfellow et al. (2014), Generative adversarial nets, algorithm 1, times -1/2.

    >>> print(f"{gan_discriminator_with_logits(2.0, -3.0):.4f}")
    0.0878
    """
    return 0.5 * (softplus(-real_logits) + softplus(fake_logits))


@custom_loss(stand_in=0.5)
def gan_generator_with_logits(fake_logits: Input) -> Array:
    r"""What the generator of the minimax game pays for a sample: the gain of the discriminator.

    $$ \log(1 - D(G(z))) = -\log(1 + e^{f}), \qquad D(G(z)) = \sigma(f) $$

    Its gradient vanishes where the discriminator is sure of a fake, which is where a generator begins: for training,
    see `gan_nonsaturating_generator`.

    Args:
        fake_logits: f, the log odds that a fake sample is real, any shape.

    Corners: 0 with gradient 0 at f = -inf; -inf with gradient -1 at f = inf.

    Source: Goodfellow et al. (2014), Generative adversarial nets, equation 1.

    >>> print(f"{gan_generator_with_logits(-3.0):.4f}")
    -0.0486
    """
    return -softplus(fake_logits)


@custom_loss(stand_in=0.5)
def gan_nonsaturating_generator(fake_logits: Input) -> Array:
    r"""What a generator pays for a sample that the discriminator sees through.

    $$ -\log D(G(z)) = \log(1 + e^{-f}), \qquad D(G(z)) = \sigma(f) $$

    Args:
        fake_logits: f, the log odds that a fake sample is real, any shape.

    Corners: 0 with gradient 0 at f = inf; inf with gradient -1 at f = -inf.

    Source: Goodfellow et al. (2014), Generative adversarial nets, section 3, last paragraph.

    >>> print(f"{gan_nonsaturating_generator(-3.0):.4f}")
    3.0486
    """
    return softplus(-fake_logits)


def _half_square(x: Array) -> Array:
    return 0.5 * x * x  # halved first: the square alone may leave the format


@custom_loss(stand_in=0.5)
def lsgan_discriminator(real_scores: Input, fake_scores: Input) -> Array:
    r"""What the discriminator of a least-squares GAN pays: real is to score 1, fake 0.

    $$ \tfrac12 (D(x) - 1)^2 + \tfrac12 D(G(z))^2 $$

    Args:
        real_scores: D(x), the score of a real sample, any real number, any shape.
        fake_scores: D(G(z)), the score of a fake sample, the shape of `real_scores`.

    Corners: 0 with gradient 0 at D(x) = 1, D(G(z)) = 0.

    Source: Mao et al. (2017), Least squares generative adversarial networks, with targets 0 and 1.

    >>> print(f"{lsgan_discriminator(0.5, 0.2):.3f}")
    0.145
    """
    return _half_square(real_scores - 1) + _half_square(fake_scores)


@custom_loss(stand_in=0.5)
def lsgan_generator(fake_scores: Input) -> Array:
    r"""What the generator of a least-squares GAN pays: its samples are to score 1.

    $$ \tfrac12 (D(G(z)) - 1)^2 $$

    Args:
        fake_scores: D(G(z)), the score of a fake sample, any real number, any shape.

    Corners: 0 with gradient 0 at D(G(z)) = 1.

    Source: Mao et al. (2017), Least squares generative adversarial networks, with targets 0 and 1.

    >>> print(f"{lsgan_generator(0.2):.2f}")
    0.32
    """
    return _half_square(fake_scores - 1)


@custom_loss(stand_in=0.5)
def hinge_gan_discriminator(real_scores: Input, fake_scores: Input) -> Array:
    r"""What a discriminator pays that is to score real samples above 1 and fake ones below -1.

    $$ \max(0, 1 - D(x)) + \max(0, 1 + D(G(z))) $$

    Args:
        real_scores: D(x), the score of a real sample, any real number, any shape.
        fake_scores: D(G(z)), the score of a fake sample, the shape of `real_scores`.

    Corners: at both hinges the gradient is 0.

    Source: Miyato et al. (2018), Spectral normalization for generative adversarial networks, its hinge loss; Lim and Ye
    (2017), Geometric GAN.

    >>> print(f"{hinge_gan_discriminator(0.5, -2.0):.1f}")
    0.5
    """
    return positive_part(1 - real_scores) + positive_part(1 + fake_scores)


@custom_loss(stand_in=0.5)
def hinge_gan_generator(fake_scores: Input) -> Array:
    r"""What the generator pays against a hinge discriminator.

    $$ -D(G(z)) $$

    Args:
        fake_scores: D(G(z)), the score of a fake sample, any real number, any shape.

    Corners: none; a line.

    Source: Miyato et al. (2018), Spectral normalization for generative adversarial networks, its hinge loss.

    >>> print(f"{hinge_gan_generator(0.5):.1f}")
    -0.5
    """
    return -fake_scores


@custom_loss(stand_in=0.5)
def wgan_critic(real_scores: Input, fake_scores: Input) -> Array:
    r"""What the critic of a Wasserstein GAN pays; minus its mean estimates the distance of fake from real.

    $$ C(G(z)) - C(x) $$

    A critic must be kept Lipschitz, by `wgan_gradient_penalty` say.

    Args:
        real_scores: C(x), the score of a real sample, any real number, any shape.
        fake_scores: C(G(z)), the score of a fake sample, the shape of `real_scores`.

    Corners: none; a line.

    Source: Arjovsky et al. (2017), Wasserstein GAN, algorithm 1, line 5 (there to be maximised).

    >>> print(f"{wgan_critic(1.5, -0.5):.1f}")
    -2.0
    """
    return fake_scores - real_scores


@custom_loss(stand_in=0.5)
def wgan_generator(fake_scores: Input) -> Array:
    r"""What the generator of a Wasserstein GAN pays.

    $$ -C(G(z)) $$

    Args:
        fake_scores: C(G(z)), the score of a fake sample, any real number, any shape.

    Corners: none; a line.

    Source: Arjovsky et al. (2017), Wasserstein GAN, algorithm 1, line 10.

    >>> print(f"{wgan_generator(-0.5):.1f}")
    0.5
    """
    return -fake_scores


@custom_loss(stand_in=0.5)
def relativistic_gan_discriminator(real_logits: Input, fake_logits: Input) -> Array:
    r"""What a discriminator pays that is to find a real sample more real than the fake one of its pair.

    $$ -\log \sigma(C(x) - C(G(z))) $$

    Args:
        real_logits: C(x), of a real sample, any shape. Only the difference of a pair has a meaning: log odds.
        fake_logits: C(G(z)), of a fake sample, the shape of `real_logits`.

    Corners: right in both tails, to the rounding of the difference of the logits; of inf on one side the value is 0 or
    inf and the gradient 0 or +-1. Two logits of the same inf are NaN.

    Source: Jolicoeur-Martineau (2018), The relativistic discriminator, its RSGAN.

    >>> print(f"{relativistic_gan_discriminator(2.0, -1.0):.4f}")
    0.0486
    """
    return softplus(fake_logits - real_logits)


@custom_loss(stand_in=0.5)
def relativistic_gan_generator(real_logits: Input, fake_logits: Input) -> Array:
    r"""What a generator pays whose sample is to be found more real than the real one of its pair.

    $$ -\log \sigma(C(G(z)) - C(x)) $$

    Args:
        real_logits: C(x), of a real sample, any shape. Only the difference of a pair has a meaning: log odds.
        fake_logits: C(G(z)), of a fake sample, the shape of `real_logits`.

    Corners: as `relativistic_gan_discriminator`.

    Source: Jolicoeur-Martineau (2018), The relativistic discriminator, its RSGAN.

    >>> print(f"{relativistic_gan_generator(2.0, -1.0):.4f}")
    3.0486
    """
    return softplus(real_logits - fake_logits)
