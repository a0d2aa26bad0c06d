"""Distributions over k classes by their logits, and how far they are from a mixture of the two."""

from typing import Annotated, TypeAlias

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.two_softmaxes import mixture_divergence
from jaxloss.types import Array, Input, Interval, Number, Positive

Share: TypeAlias = Annotated[Number, Interval(gt=0, lt=1)]


def _slope_in_temperature(logits: Array, temperature: Array) -> Array:
    """Relative to the largest logit, which changes nothing, and 0 for a logit of -inf."""
    apart = jnp.where(logits == -jnp.inf, 0, logits - jnp.max(logits))
    return -apart / temperature / temperature


@with_slopes(lambda _, temperature: 1 / temperature, _slope_in_temperature)  # derivatives that cancel, and inf times 0
def _over(logits: Array, temperature: Array) -> Array:
    return logits / temperature


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def generalized_jensen_shannon_divergence_with_logits(
    p_logits: Input, q_logits: Input, *, weight: Share = 0.5, temperature: Positive = 1.0
) -> Array:
    r"""The divergence of two softmax distributions from a weighted mixture of them, in nats.

    $$ w D(p \,\|\, m) + (1 - w) D(q \,\|\, m), \qquad m = w\,p + (1 - w)\,q, \qquad
       p = \operatorname{softmax}(x / T), \quad q = \operatorname{softmax}(z / T) $$

    Args:
        p_logits: x, `[..., k]`: those of the teacher.
        q_logits: z, `[..., k]`: those of the student.
        weight: w, in (0, 1). At the ends it is 0: D(p || q) is the limit of the quotient by w, at w = 0, and D(q || p)
            that of the quotient by 1 - w, at w = 1; for these take `kl_divergence_with_logits`.
        temperature: T, > 0.

    Corners: right where the logits are nearly the same, 0 with gradient 0 where they are; never above
    -w log w - (1 - w) log(1 - w). A class of logit -inf has no gradient.

    Raises:
        ValueError: An option is out of range.

    Source: Lin (1991), Divergence measures based on the Shannon entropy, equation 4.1; for distillation: Agarwal et al.
    (2024), On-policy distillation of language models, equation 2.

    >>> import jax.numpy as jnp
    >>> teacher, student = jnp.array([2.0, 1.0, 0.5]), jnp.array([1.0, 0.0, -1.0])
    >>> value = generalized_jensen_shannon_divergence_with_logits(teacher, student, weight=0.1)
    >>> print(f"{value:.6f}")
    0.001185
    """
    p_logits, q_logits = (_over(logits, jnp.asarray(temperature, logits.dtype)) for logits in (p_logits, q_logits))
    return mixture_divergence(p_logits, q_logits, weight)
