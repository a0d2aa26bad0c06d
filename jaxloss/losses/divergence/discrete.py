"""Distributions over k classes, as probabilities."""

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.divergences import kl_div, log_ratio, nonnegative, rel_entr
from jaxloss.numerics.remainders import expm1_ratio, log1p_ratio
from jaxloss.numerics.safe import finite_slope, ratio, safe_log, safe_sqrt
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input, Interval, Number


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
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
    return jnp.sum(rel_entr(p, q))


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
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


def _jensen_shannon_slope(p: Array, q: Array) -> Array:
    at_zero = jnp.where(q == 0, 0.5 * math.log(2), 0).astype(p.dtype)
    return jnp.where(p == 0, at_zero, 0.5 * log_ratio(jnp.where(p == 0, 1, p), 0.5 * (p + q)))


@with_slopes(_jensen_shannon_slope, lambda p, q: _jensen_shannon_slope(q, p))  # an infinite slope times 0
def _jensen_shannon(p: Array, q: Array) -> Array:
    """The two relative entropies from the mean m, with p = m (1 + h) and q = m (1 - h).

    They are m [(1 + h) log(1 + h) + (1 - h) log(1 - h)] / 2, for |h| < 1/2 by its series, whose terms are positive.
    """
    p, q = nonnegative(p), nonnegative(q)
    total = p + q
    h = (p - q) / jnp.maximum(total, jnp.finfo(p.dtype).tiny)
    square = jnp.square(jnp.minimum(jnp.abs(h), 0.5))
    series = jnp.zeros_like(p)
    for order in range(18 if p.dtype == jnp.float32 else 44, 0, -2):
        series = series * square + 1 / (order * (order - 1))
    near = 0.5 * total * square * series
    most = 1 - jnp.finfo(p.dtype).epsneg  # so that 0 log 0 = 0
    far = 0.5 * (p * jnp.log1p(jnp.maximum(h, -most)) + q * jnp.log1p(-jnp.minimum(h, most)))
    return jnp.where(jnp.abs(h) < 0.5, near, far)


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
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
    return jnp.sum(_jensen_shannon(p, q))


def _renyi_by_sum(p: Array, q: Array, alpha: Array) -> Array:
    """By log S where S = sum p^alpha q^(1 - alpha) is far from 1, and by N = (S - 1) / (alpha - 1) where it is near."""
    excess = alpha - 1
    divisor = jnp.where(excess == 0, 1, excess)
    log, terms, reference = _terms_of_renyi(p, q, alpha)
    # N has a limit at alpha = 1, where it is the relative entropy.
    near = jnp.abs(excess * log) < 1
    inside = jnp.where(near, log, 0)
    growth = jnp.where(near & (p != 0), p * inside * expm1_ratio(excess * inside), (terms - p) / divisor)
    surplus = jnp.sum(growth) + jnp.where(excess == 0, 0, (jnp.sum(p) - 1) / divisor)
    close = (jnp.abs(excess * surplus) < 0.5) & (reference == 0)
    surplus = jnp.where(close, surplus, 0)
    far = (safe_log(jnp.where(close, 1, jnp.sum(terms))) + reference) / divisor
    value = jnp.where(close, surplus * log1p_ratio(excess * surplus), far)
    return jnp.where(jnp.any((p != 0) & (q == 0)) & (alpha >= 1), jnp.inf, value)


@jax.custom_jvp
def _renyi(p: Array, q: Array, alpha: Array) -> Array:
    return _renyi_by_sum(p, q, alpha)


def _change_of_renyi(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels, and an infinite slope times 0.
    p, q, alpha = primals
    excess = alpha - 1
    log, terms, reference = _terms_of_renyi(p, q, alpha)
    total = jnp.where(excess == 0, 1, jnp.sum(terms)) + jnp.zeros_like(p)
    tilted, finite_log = jnp.where(excess == 0, p, ratio(terms, total)), jnp.where(jnp.isinf(log), 0, log)
    # The same over p and over q, by a power where the term is below the format or its derivative would cancel.
    tiny = (alpha >= 0.5) & (tilted < jnp.finfo(p.dtype).eps) & jnp.isfinite(log)
    over_p = jnp.where(tiny, ratio(jnp.exp(excess * finite_log - reference), total), ratio(tilted, p))
    by_power = ratio(jnp.exp(alpha * finite_log - reference), total)
    over_q = jnp.where(tiny | (alpha < 0.5), by_power, ratio(tilted, q))
    of_p = jnp.where(excess == 0, log + 1, alpha / jnp.where(excess == 0, 1, excess) * over_p)
    at_zero = jnp.where(alpha == 0, ratio(jnp.ones_like(alpha), jnp.sum(terms)), 0)
    of_q = jnp.where(q == 0, -at_zero, -over_q)
    change = jnp.zeros_like(alpha)
    for slope, tangent in zip((of_p, of_q), tangents[:2], strict=True):
        if not isinstance(tangent, SymbolicZero):
            change = change + jnp.sum(jnp.where(p == 0, 0, finite_slope(slope)) * tangent)
    if not isinstance(tangents[2], SymbolicZero):
        _, slope = jax.jvp(lambda alpha: _renyi_by_sum(p, q, alpha), (alpha,), (jnp.ones_like(alpha),))
        change = change + finite_slope(slope) * tangents[2]
    return _renyi(p, q, alpha), change


_renyi.defjvp(_change_of_renyi, symbolic_zeros=True)


def _terms_of_renyi(p: Array, q: Array, alpha: Array) -> tuple[Array, Array, Array]:
    """The log ratios, p^alpha q^(1 - alpha), and the logarithm of a number that is divided out of the latter."""
    infinite = (p != 0) & (q == 0)
    log = jnp.where(infinite, 0, log_ratio(p, jnp.where(infinite, 1, q)))
    by_p, by_q = (alpha - 1) * log, alpha * log
    reference = jax.lax.stop_gradient(jnp.max(jnp.where(p == 0, 0, by_p)))
    reference = jnp.where((reference > 40) & (alpha >= 0.5), reference, 0)
    terms = jnp.where(alpha < 0.5, q * jnp.exp(by_q), p * jnp.exp(by_p - reference))
    return jnp.where(infinite, jnp.inf, log), jnp.where(p == 0, 0 * terms, jnp.where(infinite, 0, terms)), reference


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def renyi_divergence(p: Input, q: Input, *, alpha: Annotated[Number, Interval(ge=0.0, lt=float("inf"))]) -> Array:
    r"""The Renyi divergence of p from q of order alpha, in nats.

    $$ D_\alpha(p \,\|\, q) = \frac{1}{\alpha - 1} \log \sum_j p_j^\alpha q_j^{1 - \alpha}, \qquad
       D_1(p \,\|\, q) = D(p \,\|\, q) $$

    Args:
        p: `[..., k]`, probabilities: the truth.
        q: `[..., k]`, probabilities: the model.
        alpha: The order, >= 0 and finite. At 1 it is `kl_divergence`; at 0, minus the logarithm of the probability that
            q gives to the classes with p > 0.

    Corners: a class without p counts for nothing. One with p and without q costs inf for alpha >= 1, and counts for
    nothing below. A gradient whose true slope is infinite is 0. Near alpha = 1 the formula divides by alpha - 1 the
    difference of the sum of p from 1, which is rounding at least: there, give p in float64 or take `kl_divergence`.

    Raises:
        ValueError: `alpha` is negative or infinite.

    Source: Renyi (1961), On measures of entropy and information, its information of order alpha; van Erven and
    Harremoes (2014), Renyi divergence and Kullback-Leibler divergence, equation 1.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
    >>> print(f"{renyi_divergence(p, q, alpha=2.0):.4f} {renyi_divergence(p, q, alpha=1.0):.4f}")
    0.2877 0.1438
    """
    return _renyi(p, q, jnp.asarray(alpha, p.dtype))


def _slope_of_roots(p: Array, q: Array) -> Array:
    """The slope 1 - sqrt(q / p), taken as 0 where p alone is 0, and as 1 where both are."""
    # Not by the quotient of the value, since a GPU writes to memory what the two share.
    slope = finite_slope(ratio(p - q, p + jnp.sqrt(p) * jnp.sqrt(q)))
    return jnp.where(p == 0, jnp.where(q == 0, 1, 0), slope)


@with_slopes(_slope_of_roots, lambda p, q: _slope_of_roots(q, p))  # an infinite slope times 0
def _squared_difference_of_roots(p: Array, q: Array) -> Array:
    """(sqrt p - sqrt q)^2, by a quotient that does not cancel."""
    return jnp.square(ratio(p - q, jnp.sqrt(p) + jnp.sqrt(q)))


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
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
    return safe_sqrt(0.5 * jnp.sum(_squared_difference_of_roots(p, q)))


@with_slopes(lambda p, q: jnp.sign(p - q), lambda p, q: jnp.sign(q - p))  # a slope that JAX gets wrong: it takes 1 at 0
def _apart(p: Array, q: Array) -> Array:
    return jnp.abs(nonnegative(p) - nonnegative(q))


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
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
    return 0.5 * jnp.sum(_apart(p, q))
