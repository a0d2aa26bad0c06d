"""Distributions over k classes, as probabilities."""

from typing import Annotated

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import absolute, hellinger, jensen_shannon, kl_div, relative_entropy, renyi
from jaxloss.types import Array, Input, Interval, Number


@custom_loss(signature="(k),(k)->()")
def kl_divergence(p: Input, q: Input) -> Array:
    r"""The Kullback-Leibler divergence of p from q, in nats.

    $$ D(p \,\|\, q) = \sum_j p_j \log \frac{p_j}{q_j} $$

    Args:
        p: `[..., k]`, probabilities: the truth.
        q: `[..., k]`, probabilities: the model.

    Corners: a class without p counts for nothing, also where q is 0, and has gradient 0 (the true slope in p is
    infinite there). A class with p and without q costs inf, with the largest finite number for gradient.

    Source: Kullback and Leibler (1951), On information and sufficiency, its I(1:2).

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([0.4, 0.6]), jnp.array([0.5, 0.5])
    >>> print(f"{kl_divergence(p, q):.4f}")  # often printed as 0.018, which is off
    0.0201
    """
    return relative_entropy(p, q)


@custom_loss(signature="(k),(k)->()")
def generalized_kl_divergence(p: Input, q: Input) -> Array:
    r"""The Kullback-Leibler divergence of amounts that need not sum to 1 (the I-divergence).

    $$ D(p \,\|\, q) = \sum_j \left[ p_j \log \frac{p_j}{q_j} - p_j + q_j \right] $$

    Args:
        p: `[..., k]`, amounts >= 0: the truth.
        q: `[..., k]`, amounts >= 0: the model.

    Corners: every term is at least 0, and 0 where p = q only, there with gradient 0. A class without p costs q, and the
    gradient in p is 0 there (the true slope is infinite). A class with p and without q costs inf, with the largest
    finite number for gradient.

    Source: Csiszar (1991), Why least squares and maximum entropy?, its I-divergence.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([2.0, 3.0]), jnp.array([2.5, 2.5])
    >>> print(f"{generalized_kl_divergence(p, q):.4f}")
    0.1007
    """
    return jnp.sum(kl_div(p, q))


@custom_loss(signature="(k),(k)->()")
def jensen_shannon_divergence(p: Input, q: Input) -> Array:
    r"""The mean divergence of two distributions from their mixture, in nats.

    $$ \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q) $$

    It is symmetric, at most log 2, and the square of a distance.

    Args:
        p: `[..., k]`, probabilities.
        q: `[..., k]`, probabilities.

    Corners: exact where p is near q, where q / p overflows, and with zeros; 0 with gradient 0 at p = q. Where one of
    the two has no probability its gradient is 0 (the true slope is infinite).

    Source: Lin (1991), Divergence measures based on the Shannon entropy, equation 4.1, with equal weights.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])
    >>> print(f"{jensen_shannon_divergence(p, q):.4f}")
    0.2158
    """
    return jnp.sum(jensen_shannon(p, q))


@custom_loss(signature="(k),(k)->()")
def renyi_divergence(p: Input, q: Input, *, alpha: Annotated[Number, Interval(ge=0.0, lt=float("inf"))]) -> Array:
    r"""The Renyi divergence of p from q of order alpha, in nats.

    $$ D_\alpha(p \,\|\, q) = \frac{1}{\alpha - 1} \log \sum_j p_j^\alpha q_j^{1 - \alpha}, \qquad
       D_1(p \,\|\, q) = D(p \,\|\, q) $$

    Args:
        p: `[..., k]`, probabilities: the truth.
        q: `[..., k]`, probabilities: the model.
        alpha: The order, >= 0 and finite. At 1 it is `kl_divergence`; at 0, minus the logarithm of what q gives to the
            classes that p has.

    Corners: a class without p counts for nothing. One with p and without q costs inf for alpha >= 1, and counts for
    nothing below. A gradient whose true slope is infinite is 0. Near alpha = 1 the formula divides by alpha - 1 what p
    misses of a sum of 1, if only by rounding: there, give p in float64 or take `kl_divergence`.

    Raises:
        ValueError: `alpha` is negative or infinite.

    Source: Renyi (1961), On measures of entropy and information, its information of order alpha; van Erven and
    Harremoes (2014), Renyi divergence and Kullback-Leibler divergence, equation 1.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
    >>> print(f"{renyi_divergence(p, q, alpha=2.0):.4f} {renyi_divergence(p, q, alpha=1.0):.4f}")
    0.2877 0.1438
    """
    return renyi(p, q, alpha)


@custom_loss(signature="(k),(k)->()")
def hellinger_distance(p: Input, q: Input) -> Array:
    r"""The Hellinger distance of two distributions, from 0 to 1.

    $$ H = \sqrt{\tfrac12 \sum_j \left( \sqrt{p_j} - \sqrt{q_j} \right)^2} $$

    Args:
        p: `[..., k]`, probabilities.
        q: `[..., k]`, probabilities.

    Corners: exact where p is near q; 0 at p = q, with subgradient 0. Where one of the two has no probability its
    gradient is 0 (the true slope is infinite).

    Source: Hellinger (1909), Neue Begruendung der Theorie quadratischer Formen von unendlichvielen Veraenderlichen; as
    a distance of distributions: Le Cam (1986), Asymptotic methods in statistical decision theory, chapter 4.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])
    >>> print(f"{hellinger_distance(p, q):.4f}")
    0.5412
    """
    return hellinger(p, q)


@custom_loss(signature="(k),(k)->()")
def total_variation_distance(p: Input, q: Input) -> Array:
    r"""The largest difference that two distributions make to the probability of an event, from 0 to 1.

    $$ \tfrac12 \sum_j |p_j - q_j| $$

    Args:
        p: `[..., k]`, probabilities.
        q: `[..., k]`, probabilities.

    Corners: at p = q the subgradient is 0.

    Source: Levin et al. (2009), Markov chains and mixing times, proposition 4.2.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([0.4, 0.6]), jnp.array([0.5, 0.5])
    >>> print(f"{total_variation_distance(p, q):.2f}")
    0.10
    """
    return 0.5 * jnp.sum(absolute(p - q))
