"""By how much a score is on the right side: of a sign, and of the scores of all other classes."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import apart, at_least, finite_slope, inlined
from jaxloss.numerics.exact import sum_of_three
from jaxloss.numerics.logits import one_hot, pick


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


@jax.jit
def shortfall(scores: Array, label: Array, margin: Array) -> Array:
    r"""By how much the score of a label fails to lead all others by a margin, over the last axis; below 0 if it leads.

    $$ m + \max_{j \ne y} x_j - x_y $$

    Rounded once, however near the three cancel. A label that has no rival has -inf, one of score -inf has inf, one that
    is no class has NaN. Where several rivals tie, the gradient is shared among them.

    >>> print(shortfall(jnp.array([1.0, 4.0, 2.5]), jnp.array(1), jnp.array(1.0)))
    -0.5
    """
    chosen = one_hot(label, scores.shape[-1], scores.dtype) == 1
    rival = jnp.max(jnp.where(chosen, -jnp.inf, scores), axis=-1)
    own = pick(scores, label)
    # Where both are infinite on the same side: a label that cannot be is wrong, one that must be is right.
    undecided = jnp.isinf(own) & (rival == own)
    return sum_of_three(jnp.where(undecided, 0, rival), jnp.full_like(own, margin), -own)
