"""Adversarial: what a discriminator and a generator pay. A discriminator takes real, then fake."""

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input
from jaxloss.numerics import safe_log, safe_log1p


@custom_loss
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
