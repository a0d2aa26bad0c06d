"""By how much a score is on the right side: of a sign, and of the scores of all other classes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, at_least, finite_slope, inlined
from jaxloss.numerics.exact import sum_of_three
from jaxloss.numerics.logits import entry_of_label, wide
from jaxloss.numerics.partition import is_index, split_as
from jaxloss.numerics.rows import may_be_split
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def signed_shortfall(score: Array, sign: Array, margin: Array) -> Array:
    r"""How far a score is from being on the side of a sign by a margin; NaN if the sign is neither -1 nor 1.

    $$ \max(0, m - y f), \qquad y \in \{-1, 1\} $$

    A 0 that stands for the negative class would make every score right. NaN is what tells. At the kink y f = m the
    gradient is the middle of its two sides. That in y is -f, at an infinite score the largest finite number.

    >>> print(signed_shortfall(jnp.array([0.5, 0.5, 0.5]), jnp.array([1.0, -1.0, 0.0]), jnp.array(1.0)))
    [0.5 1.5 nan]
    """
    zero_or_nan = jnp.sqrt(0 - jnp.abs(jnp.abs(sign) - 1))
    return at_least(0, (margin - sign * score) + zero_or_nan)


@signed_shortfall.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    dscore, dsign, dmargin = tangents
    score, sign, margin, one = apart(*primals, jnp.ones((), primals[0].dtype))
    behind = 0.5 * (one + jnp.sign(margin - sign * score))
    change = behind * (dmargin - sign * dscore - finite_slope(score) * dsign)
    return signed_shortfall(*primals), change


@jax.custom_jvp
@inlined
def squared_signed_shortfall(score: Array, sign: Array, margin: Array) -> Array:
    r"""The square of the `signed_shortfall`, without a kink.

    $$ \max(0, m - y f)^2, \qquad y \in \{-1, 1\} $$

    An infinite gradient is the largest finite number of its sign.

    >>> print(squared_signed_shortfall(jnp.array([0.5, 2.0]), jnp.array([1.0, -1.0]), jnp.array(1.0)))
    [0.25 9.  ]
    """
    return jnp.square(signed_shortfall(score, sign, margin))


@squared_signed_shortfall.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    dscore, dsign, dmargin = tangents
    score, sign, margin, one = apart(*primals, jnp.ones((), primals[0].dtype))
    slope = finite_slope(2 * jnp.maximum(margin - sign * score, one - one))
    change = slope * (dmargin - sign * dscore) - finite_slope(slope * finite_slope(score)) * dsign
    return squared_signed_shortfall(*primals), change


@jax.custom_jvp
@inlined
def shortfall(scores: Array, label: Array, margin: Array) -> Array:
    r"""By how much the score of a label fails to lead all others by a margin, over the last axis; below 0 if it leads.

    $$ m + \max_{j \ne y} x_j - x_y $$

    Rounded once, however near the three cancel. A label that has no rival has -inf, one of score -inf has inf, one that
    is no class has NaN. Where several rivals tie, the gradient is shared among them.

    >>> print(shortfall(jnp.array([1.0, 4.0, 2.5]), jnp.array(1), jnp.array(1.0)))
    -0.5
    """
    return _shortfall(*_own_and_rival(scores, label), margin)


@shortfall.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (scores, label, margin), (dx, _, dmargin) = primals, tangents
    own, rival = _own_and_rival(scores, label)
    # A NaN is sought by none.
    sought = jnp.where(_undecided(own, rival), jnp.nan, rival)[..., None]
    rivals = (scores == sought) & ~is_index(scores, wide(label))
    share = 1 / jnp.maximum(_by_blocks(jnp.sum, rivals.astype(jnp.int32)), 1).astype(scores.dtype)[..., None]
    scores, sought, share = apart(scores, sought, share)
    slope = jnp.where(is_index(scores, wide(label)), -1, jnp.where(scores == sought, share, 0))
    return _shortfall(own, rival, margin), dmargin + jnp.sum(slope * dx, axis=-1)


def _shortfall(own: Array, rival: Array, margin: Array) -> Array:
    return sum_of_three(jnp.where(_undecided(own, rival), 0, rival), split_as(own, margin), -own)


def _undecided(own: Array, rival: Array) -> Array:
    """Where both are infinite on the same side: a label that cannot be is wrong, one that must be is right."""
    return jnp.isinf(own) & (rival == own)


def _own_and_rival(scores: Array, label: Array) -> tuple[Array, Array]:
    """The score of the label, NaN if it is no class, and the largest of all others, NaN if one of them is."""
    own = entry_of_label(scores, label)
    # By integers of the same order: the kernel of XLA on a CPU for the largest of numbers loses a NaN.
    others = _bits(jnp.where(is_index(scores, wide(label)), -jnp.inf, scores))
    others = jnp.where(jnp.isnan(scores), jnp.iinfo(others.dtype).max, _ordered(others))
    largest = _ordered(_by_blocks(jnp.max, others))
    return own, jax.lax.bitcast_convert_type(largest, scores.dtype)


def _bits(x: Array) -> Array:
    return jax.lax.bitcast_convert_type(x, jnp.dtype(f"int{8 * x.dtype.itemsize}"))


def _ordered(bits: Array) -> Array:
    """Integers in the order of the numbers whose bits they are; of these, the bits."""
    return jnp.where(bits < 0, bits ^ jnp.iinfo(bits.dtype).max, bits)


def _by_blocks(over: Callable[..., Array], row: Array) -> Array:
    """A sum or a largest of integers over the last axis; XLA on a CPU writes a row to memory that it cuts itself."""
    classes = row.shape[-1]
    width = next((width for width in range(32, 7, -1) if classes % width == 0), classes)
    width = classes if may_be_split(row) else width
    (of_blocks,) = jax.lax.optimization_barrier((over(row.reshape(*row.shape[:-1], -1, width), axis=-1),))
    return over(of_blocks, axis=-1)
