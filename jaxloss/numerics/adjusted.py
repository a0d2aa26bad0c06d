"""Softmax of logits that are shifted and scaled first, without what those operations would round away.

A logit of 300 that is off by half its last digit has an exponential that is off by 100 of its own. So a shifted and
scaled logit is kept as two numbers, the rounded one and what rounding took, and the softmax is told both.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import multiply_no_nan, ratio
from jaxloss.numerics.exact import halves, residual, two_sum
from jaxloss.numerics.labels import is_label, label_surprisal
from jaxloss.numerics.logits import pick
from jaxloss.types import Array


@jax.jit
def adjusted_surprisal(logits: Array, label: Array, weight: Array, shift: Array) -> Array:
    r"""The negative log-probability of a label in the softmax of logits to which a multiple of something is added.

    $$ -\log \operatorname{softmax}(x + w\,b)_y $$

    True to the last digit also where the sum is not. A class whose shift is -inf has no probability unless w is 0.
    Corners otherwise as for `label_surprisal`.

    >>> logits, shift = jnp.array([0.0, 0.0]), jnp.log(jnp.array([0.75, 0.25]))
    >>> print(f"{adjusted_surprisal(logits, jnp.array(1), jnp.array(1.0), shift):.4f}")
    1.3863
    """
    product, lost = _product(weight.astype(logits.dtype)[..., None], shift)
    near, lost_first = _against_largest(logits)
    total, lost_then = two_sum(product, near)
    return label_surprisal(total, label, lost + lost_first + lost_then)


@jax.jit
def margin_surprisal(logits: Array, label: Array, margin: Array, lost: Array, scale: Array) -> Array:
    r"""The negative log-probability of a label in the softmax of scaled logits, after its own has paid a margin.

    $$ -\log \operatorname{softmax}(s\,(x - \Delta\,e_y))_y $$

    The margin comes with what rounding took from it, as `label_margin` returns it. Corners as for `label_surprisal`.

    >>> logits, none = jnp.array([1.0, 0.0]), jnp.array(0.0)
    >>> print(f"{margin_surprisal(logits, jnp.array(0), jnp.array(0.5), none, jnp.array(2.0)):.4f}")
    0.3133
    """
    paying = is_label(logits, label)
    near, lost_first = _against_largest(logits)
    paid, lost_then = two_sum(near, jnp.where(paying, -margin[..., None], 0))
    scale = scale.astype(logits.dtype)[..., None]
    scaled, lost_last = _product(scale, paid)
    before = lost_first + lost_then - jnp.where(paying, lost[..., None], 0)
    return label_surprisal(scaled, label, scale * before + lost_last)


@jax.custom_jvp
@jax.jit
def label_margin(counts: Array, label: Array, largest: Array) -> tuple[Array, Array]:
    r"""The margin of a label by the rarity of its class, and what rounding took from it.

    $$ \Delta_y = \Delta_{\max} \left( \frac{\min_j n_j}{n_y} \right)^{1/4} $$

    The rarest class has the largest margin. Counts are positive; a label that is no class gives NaN.

    >>> print(f"{label_margin(jnp.array([1000.0, 62.5]), jnp.array(0), jnp.array(0.5))[0]:.4f}")
    0.2500
    """
    rarest, count = jnp.min(counts, axis=-1), pick(counts, label)
    share = rarest / count
    root = jnp.sqrt(share)
    fourth = jnp.sqrt(root)
    # What each rounding took, from what was rounded last back to the quotient.
    of_share = residual(rarest, share, count) / count
    of_root = (residual(share, root, root) + of_share) / (2 * root)
    of_fourth = (residual(root, fourth, fourth) + of_root) / (2 * fourth)
    margin, lost = _product(largest.astype(counts.dtype), fourth)
    return margin, lost + largest * of_fourth


@label_margin.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (counts, label, largest), (dcounts, _, dlargest) = primals, tangents

    def formula(counts: Array, largest: Array) -> Array:
        return largest * ratio(jnp.min(counts, axis=-1), pick(counts, label)) ** 0.25

    margin, lost = label_margin(counts, label, largest)
    return (margin, lost), (jax.jvp(formula, (counts, largest), (dcounts, dlargest))[1], jnp.zeros_like(lost))


def _against_largest(logits: Array) -> tuple[Array, Array]:
    """Logits minus the largest, a shift that no softmax notices, and what rounding took from them.

    Next to a logit of 1e30 what is added is nothing; next to the difference of two such logits it is not.
    """
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return two_sum(logits, -jnp.where(jnp.isfinite(largest), largest, 0))


@jax.custom_jvp
def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded product, and what rounding took from it. Of b infinite the product is, unless a is 0."""
    finite = jnp.isfinite(b)
    (a_high, a_low), (b_high, b_low) = halves(a), halves(jnp.where(finite, b, 0))
    product, lost = two_sum(a_high * b_high, a_high * b_low + a_low * (b_high + b_low))
    return jnp.where(finite, product, multiply_no_nan(a, b)), lost


@_product.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = primals, tangents
    product, lost = _product(a, b)
    return (product, lost), (da * jnp.where(jnp.isfinite(b), b, 0) + a * db, jnp.zeros_like(lost))
