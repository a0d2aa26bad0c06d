"""The nearest point of the simplex, where softmax has none at its border: sparsemax and entmax, and what a label costs.

Both maps give p_j = [x_j / a - tau]_+^a, with a = 1 and a = 2. All is written in what is left of 1: the lead
c_j = 1 - (max x - x_j) / a of a class, exact as a sum of two numbers, and r = 1 - (max x / a - tau), so that the root
of p_j is c_j - r. The largest class then has 1 - r, and of a confident row, where r is 1e-9, nothing cancels.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import ratio
from jaxloss.numerics.exact import two_sum
from jaxloss.numerics.logits import one_hot
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def sparse_plus(x: Array) -> Array:
    r"""The ramp that a parabola smooths between -1 and 1, exactly 0 below.

    $$ \max_{0 \le p \le 1} \left[ p x + p (1 - p) \right]
       = \begin{cases} 0 & x \le -1 \\ (x + 1)^2 / 4 & -1 < x < 1 \\ x & x \ge 1 \end{cases} $$

    The gradient is (x + 1) / 2, within 0 and 1. At -inf the value is 0, at inf it is inf.

    >>> print(sparse_plus(jnp.array([-2.0, 0.0, 3.0])))
    [0.   0.25 3.  ]
    """
    inside = (x > -1) & (x < 1)
    return jnp.where(inside, jnp.square(jnp.where(inside, x, 0) + 1) / 4, jnp.maximum(x, 0))


@sparse_plus.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return sparse_plus(x), dx * jnp.clip((x + 1) / 2, 0, 1)


@jax.jit
def project_to_simplex(x: Array) -> Array:
    r"""The distribution that is nearest to a vector, over the last axis (sparsemax).

    $$ \operatorname*{arg\,min}_{p \in \Delta} \lVert p - x \rVert^2 = [x - \tau]_+ $$

    A component that is far enough below the largest is exactly 0, with gradient 0. The Jacobian takes from the
    components that are not 0 their mean.

    >>> print(project_to_simplex(jnp.array([0.25, 0.75, -3.0])))
    [0.25 0.75 0.  ]
    """
    return _roots(x, 1)[0]


@jax.jit
def entmax15_probabilities(logits: Array) -> Array:
    r"""The distribution between softmax and sparsemax, over the last axis (1.5-entmax).

    $$ \operatorname*{arg\,max}_{p \in \Delta} \Big[ p \cdot x + \tfrac43 \sum_j (p_j - p_j^{3/2}) \Big]
       = \left[ x / 2 - \tau \right]_+^2 $$

    A class that is far enough below the largest has exactly 0, with gradient 0.

    >>> print(jnp.round(entmax15_probabilities(jnp.array([1.0, 0.0, -3.0])), 2))
    [0.83 0.17 0.  ]
    """
    return jnp.square(_roots(logits, 2)[0])


@jax.custom_jvp
@jax.jit
def sparsemax_surprisal(logits: Array, label: Array) -> Array:
    r"""What a label costs under sparsemax, over the last axis: 0 once it leads all others by 1.

    $$ \max_{p \in \Delta} \left[ p \cdot x - \tfrac12 \lVert p \rVert^2 \right] + \tfrac12 - x_y
       = \tfrac12 \lVert p - e_y \rVert^2 + [\tau - x_y]_+ $$

    The second form, a sum of what is at least 0, does not cancel. The gradient is p - e_y, at the label minus the sum
    of the others. A label that is no class gives NaN, one of logit -inf inf.

    >>> print(sparsemax_surprisal(jnp.array([1.0, 0.5, 0.0]), jnp.array(0)))
    0.0625
    """
    indicator = one_hot(label, logits.shape[-1], logits.dtype)
    p, rest, missed = _roots(logits, 1)
    squares = (1 - indicator) * jnp.square(p) + indicator * jnp.square(rest)
    return jnp.sum(squares, axis=-1) / 2 + _at(indicator, missed)


@sparsemax_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    indicator = one_hot(label, logits.shape[-1], logits.dtype)
    p, rest, _ = _roots(logits, 1)
    slope = (1 - indicator) * p - indicator * rest
    return sparsemax_surprisal(logits, label), jnp.sum(slope * dx, axis=-1)


@jax.custom_jvp
@jax.jit
def entmax15_surprisal(logits: Array, label: Array) -> Array:
    r"""What a label costs under 1.5-entmax, over the last axis: 0 once it leads all others by 2.

    $$ \max_{p \in \Delta} \Big[ p \cdot x + \tfrac43 \sum_j (p_j - p_j^{3/2}) \Big] - x_y
       = \tfrac23 \Big[ \sum_{j \ne y} u_j^3 + (1 - u_y)^2 (2 + u_y) \Big] + [2 \tau - x_y]_+, \qquad u_j^2 = p_j $$

    The second form, a sum of what is at least 0, does not cancel. The gradient is p - e_y, at the label minus the sum
    of the others. A label that is no class gives NaN, one of logit -inf inf.

    >>> print(f"{entmax15_surprisal(jnp.array([1.0, 0.5, 0.0]), jnp.array(0)):.4f}")
    0.2033
    """
    indicator = one_hot(label, logits.shape[-1], logits.dtype)
    root, rest, missed = _roots(logits, 2)
    cubes = (1 - indicator) * root * jnp.square(root) + indicator * jnp.square(rest) * (2 + root)
    return jnp.sum(cubes, axis=-1) * 2 / 3 + 2 * _at(indicator, missed)


@entmax15_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    indicator = one_hot(label, logits.shape[-1], logits.dtype)
    root, rest, _ = _roots(logits, 2)
    slope = (1 - indicator) * jnp.square(root) - indicator * rest * (1 + root)
    return entmax15_surprisal(logits, label), jnp.sum(slope * dx, axis=-1)


def _at(indicator: Array, values: Array) -> Array:
    """The value that is indicated, be it inf."""
    return jnp.sum(jnp.where(indicator == 1, values, 0), axis=-1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
@functools.partial(jax.jit, static_argnums=1)
def _roots(x: Array, order: int) -> tuple[Array, Array, Array]:
    """The roots u = [x / a - tau]_+ of the probabilities, 1 - u, and how far below the threshold x / a is."""
    largest = jnp.max(x, axis=-1, keepdims=True)
    is_largest = (x == largest) & (largest > -jnp.inf)
    ordinary = jnp.isfinite(x) & jnp.isfinite(largest)
    gap, error = two_sum(jnp.where(ordinary, largest, 0), jnp.where(ordinary, -x, 0))
    # Where the largest is inf, all else is infinitely far; a NaN stays one.
    far = jnp.where(jnp.isnan(x), x, jnp.where(jnp.isnan(largest), largest, jnp.inf))
    gap = jnp.where(is_largest, 0, jnp.where(ordinary, gap, far))
    lead, lost = two_sum(jnp.ones_like(x), -gap / order)
    lost = lost - error / order
    ties = jnp.sum(is_largest, axis=-1, keepdims=True).astype(x.dtype)

    def excess(r: Array) -> tuple[Array, Array]:
        """By how much the probabilities at r sum to more than 1, and how fast this falls with r."""
        u = jnp.where(is_largest, 0, jnp.maximum((lead - r) + lost, 0))
        own = jnp.maximum(1 - r, 0)
        if order == 1:
            return jnp.sum(u, axis=-1, keepdims=True) + (ties - 1) * own - r, ties + jnp.sum(
                (u > 0).astype(x.dtype), axis=-1, keepdims=True
            )
        total = jnp.sum(jnp.square(u), axis=-1, keepdims=True) + (ties - 1) * jnp.square(own) - r * (1 + own)
        return total, 2 * (jnp.sum(u, axis=-1, keepdims=True) + ties * own)

    def newton(r: Array) -> Array:
        return r + ratio(*excess(r))

    # The excess is convex and falls, so from 0 the steps of Newton go up to its root, and end there.
    _, r = jax.lax.while_loop(
        lambda state: jnp.any(state[1] > state[0]),
        lambda state: (state[1], jnp.maximum(newton(state[1]), state[1])),
        (jnp.full_like(largest, -1), jnp.zeros_like(largest)),
    )
    low = ratio(*excess(r))
    signed = jnp.where(is_largest, (1 - r) - low, (lead - r) + (lost - low))
    u = jnp.maximum(signed, 0)
    return u, jnp.where(is_largest, r + low, 1 - u), jnp.maximum(-signed, 0)


@_roots.defjvp
@functools.partial(jax.jit, static_argnums=0)
def _(order: int, primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    u, rest, missed = _roots(x, order)
    weight = (u > 0).astype(x.dtype) if order == 1 else u
    # A shift of all changes nothing. Against the largest, nothing of the size of 1 is left to cancel.
    largest = (x == jnp.max(x, axis=-1, keepdims=True)).astype(x.dtype)
    dx = dx - ratio(jnp.sum(largest * dx, axis=-1, keepdims=True), jnp.sum(largest, axis=-1, keepdims=True))
    mean = ratio(jnp.sum(weight * dx, axis=-1, keepdims=True), jnp.sum(weight, axis=-1, keepdims=True))
    signed = (dx - mean) / order
    du = jnp.where(u > 0, signed, 0)
    return (u, rest, missed), (du, -du, jnp.where(missed > 0, -signed, 0))
