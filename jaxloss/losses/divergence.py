"""Divergences D(p || q) between distributions, arguments in that order."""

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input
from jaxloss.numerics import relative_entropy


@custom_loss(signature="(k),(k)->()")
def kl_divergence(p: Input, q: Input) -> Array:
    r"""The Kullback-Leibler divergence of p from q, in nats.

    $$ D(p \,\|\, q) = \sum_j p_j \log \frac{p_j}{q_j} $$

    Args:
        p: `[..., k]`, probabilities: the truth.
        q: `[..., k]`, probabilities: the model.

    Corners: a class without p counts for nothing, also where q is 0, and has gradient 0 (the true slope in p is
    infinite there). A class with p and without q costs inf, with the largest finite number for gradient.

    Source: Kullback and Leibler (1951), On information and sufficiency, equation 2.4.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([0.4, 0.6]), jnp.array([0.5, 0.5])
    >>> print(f"{kl_divergence(p, q):.4f}")  # often printed as 0.018, which is off
    0.0201
    """
    return relative_entropy(p, q)
