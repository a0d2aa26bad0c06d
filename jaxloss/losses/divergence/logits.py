"""Distributions over k classes by their logits, compared without ever leaving the log domain."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.two_softmaxes import compare, mixture_divergence
from jaxloss.types import Array, Input, Positive


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def kl_divergence_with_logits(p_logits: Input, q_logits: Input, *, temperature: Positive = 1.0) -> Array:
    r"""The Kullback-Leibler divergence of one softmax distribution from another, in nats: what distillation minimises.

    $$ D(p \,\|\, q) = \sum_j p_j \log \frac{p_j}{q_j}, \qquad
       p = \operatorname{softmax}(x / T), \quad q = \operatorname{softmax}(z / T) $$

    Args:
        p_logits: x, `[..., k]`: those of the truth, or of the teacher.
        q_logits: z, `[..., k]`: those of the model, or of the student.
        temperature: T, > 0. The gradient falls as 1 / T^2 for large T; no factor T^2 makes up for it here.

    Corners: right where the logits are nearly the same, 0 with gradient 0 where they are. A class of
    logit -inf in both, or in x, has no gradient; one in z alone costs inf, and the gradient is finite. A logit beyond
    8e37 (in float32) counts as infinite.

    Raises:
        ValueError: `temperature` is not > 0.

    Source: Kullback and Leibler (1951), On information and sufficiency, its I(1:2); with a temperature: Hinton et al.
    (2015), Distilling the knowledge in a neural network, section 2.

    >>> import jax.numpy as jnp
    >>> teacher, student = jnp.array([2.0, 1.0, -jnp.inf]), jnp.array([1.0, 1.5, -jnp.inf])
    >>> print(f"{kl_divergence_with_logits(teacher, student):.4f}")
    0.2574
    """
    plain = isinstance(temperature, int | float) and temperature == 1
    return compare(p_logits, q_logits, None if plain else jnp.asarray(temperature, p_logits.dtype)).value[0]


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def jensen_shannon_divergence_with_logits(p_logits: Input, q_logits: Input) -> Array:
    r"""The mean divergence of two softmax distributions from their mixture, in nats.

    $$ \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q), \qquad
       p = \operatorname{softmax}(x), \quad q = \operatorname{softmax}(z) $$

    Args:
        p_logits: x, `[..., k]`.
        q_logits: z, `[..., k]`.

    Corners: right where the logits are nearly the same, 0 with gradient 0 where they are; log 2 at
    most. A class of logit -inf has no gradient.

    Source: Lin (1991), Divergence measures based on the Shannon entropy, equation 4.1, with equal weights.

    >>> import jax.numpy as jnp
    >>> p_logits, q_logits = jnp.array([2.0, 1.0, -jnp.inf]), jnp.array([1.0, 1.5, -jnp.inf])
    >>> print(f"{jensen_shannon_divergence_with_logits(p_logits, q_logits):.4f}")
    0.0647
    """
    return mixture_divergence(p_logits, q_logits, 0.5)
