"""The nearest point of the simplex, where softmax has none at its border: sparsemax and entmax, and what a label costs.

Both maps give p_j = [x_j / a - tau]_+^a, with a = 1 and a = 2. All is relative to the largest: a class leads by
c_j = 1 - (max x - x_j) / a, and r = 1 - (max x / a - tau) is what the largest class misses of probability 1, so that
the root of p_j is c_j - r. Nothing cancels in a confident row, where r is 1e-9.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.classes import is_at, is_class, nan_unless, place_of_largest
from jaxloss.numerics.safe import ratio
from jaxloss.types import Array


def project_to_simplex(x: Array) -> Array:
    r"""The distribution that is nearest to a vector, over the last axis (sparsemax).

    $$ \operatorname*{arg\,min}_{p \in \Delta} \lVert p - x \rVert^2 = [x - \tau]_+ $$

    A component that is far enough below the largest is exactly 0, with gradient 0. The Jacobian takes from the
    components that are not 0 their mean.

    >>> print(project_to_simplex(jnp.array([0.25, 0.75, -3.0])))
    [0.25 0.75 0.  ]
    """
    return _roots(x, 1)[0]


def entmax15_probabilities(logits: Array) -> Array:
    r"""The distribution between softmax and sparsemax, over the last axis (1.5-entmax).

    $$ \operatorname*{arg\,max}_{p \in \Delta} \Big[ p \cdot x + \tfrac43 \sum_j (p_j - p_j^{3/2}) \Big]
       = \left[ x / 2 - \tau \right]_+^2 $$

    A class that is far enough below the largest has exactly 0, with gradient 0.

    >>> print(jnp.round(entmax15_probabilities(jnp.array([1.0, 0.0, -3.0])), 2))
    [0.83 0.17 0.  ]
    """
    return jnp.square(_roots(logits, 2)[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def sparse_surprisal(logits: Array, label: Array, order: int) -> Array:
    r"""What a label costs, over the last axis: under sparsemax (order 1) or under 1.5-entmax (order 2).

    $$ \tfrac12 \sum_{j \ne y} p_j^2 + \tfrac12 (1 - p_y)^2 + [\tau - x_y]_+, \qquad
       \tfrac23 \Big[ \sum_{j \ne y} u_j^3 + (1 - u_y)^2 (2 + u_y) \Big] + [2 \tau - x_y]_+, \quad u_j^2 = p_j $$

    Sums of what is at least 0. The gradient is p - e_y, at the label minus the sum of the others. A label that is no
    class gives NaN, one of logit -inf inf.

    >>> print(sparse_surprisal(jnp.array([1.0, 0.5, 0.0]), jnp.array(0), 1))
    0.0625
    """
    root, rest, missed = _roots(logits, order)
    at_label = is_at(logits, label)
    if order == 1:
        terms = 0.5 * jnp.square(jnp.where(at_label, rest, root))
    else:
        terms = jnp.where(at_label, jnp.square(rest) * (2 + root), root * jnp.square(root)) * (2 / 3)
    cost = jnp.sum(terms + jnp.where(at_label, order * missed, 0), axis=-1)
    return cost + nan_unless(is_class(label, logits.shape[-1]), cost.dtype)


@sparse_surprisal.defjvp
def _(order: int, primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: p - e_y, which of a confident row is 1 - 1.
    logits, label = primals
    root, rest, _ = _roots(logits, order)
    p, complement = (root, rest) if order == 1 else (jnp.square(root), rest * (1 + root))
    slope = jnp.where(is_at(logits, label), -complement, p)
    return sparse_surprisal(logits, label, order), jnp.sum(slope * tangents[0], axis=-1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _roots(x: Array, order: int) -> tuple[Array, Array, Array]:
    """The roots u = [x / a - tau]_+ of the probabilities, 1 - u, and how far x / a is below the threshold."""
    r = _solver(order)(x)
    largest, is_top, lead = _leads(x, order)
    is_top = is_top & (largest > -jnp.inf)
    signed = jnp.where(is_top, 1 - r, lead - r)
    u = jnp.maximum(signed, 0)
    return u, jnp.where(is_top, r, 1 - u), jnp.maximum(-signed, 0)


def _leads(x: Array, order: int) -> tuple[Array, Array, Array]:
    """The largest, where it is, and what each other class leads by: 1 less how far it is behind."""
    is_top = is_at(x, place_of_largest(x))
    largest = jnp.max(x, axis=-1, keepdims=True)
    # Beside a logit of inf all others are infinitely far behind.
    gap = jnp.where(largest == jnp.inf, jnp.where(x == jnp.inf, 0, jnp.inf), largest - x)
    return largest, is_top, jnp.where(is_top | (x == -jnp.inf), -jnp.inf, 1 - gap / order)


@functools.cache
def _solver(order: int) -> Callable[[Array], Array]:
    """Finds r by steps of Newton from 0, as many as some row needs.

    By how much the probabilities sum to more than 1 is convex and falls with r: the steps go up to its root, and end.
    """

    @jax.custom_batching.custom_vmap
    def solve(x: Array) -> Array:
        start = jnp.zeros_like(jnp.max(x, axis=-1, keepdims=True))
        more = lambda state: jnp.any(state[1] > state[0])  # noqa: E731
        nearer = lambda state: (state[1], step(_leads(x, order)[2], state[1]))  # noqa: E731
        return jax.lax.while_loop(more, nearer, (start - 1, start))[1]

    @solve.def_vmap  # so that there is one loop for all rows, which vmap itself would make of a loop for each
    def _(_: int, batched: Any, x: Array) -> tuple[Array, Any]:
        return solve(x), batched[0]

    def step(lead: Array, r: Array) -> Array:
        u = jnp.maximum(lead - r, 0)
        if order == 1:
            excess = jnp.sum(u, axis=-1, keepdims=True) - r
            slope = 1 + jnp.sum(jnp.sign(u), axis=-1, keepdims=True)
        else:
            excess = jnp.sum(jnp.square(u), axis=-1, keepdims=True) - r * (2 - r)
            slope = 2 * (jnp.sum(u, axis=-1, keepdims=True) + 1 - r)
        return jnp.clip(r + excess / slope, r, 1)

    return solve


@_roots.defjvp
def _(order: int, primals: Any, tangents: Any) -> Any:
    # An implicit solve.
    (x,), (dx,) = primals, tangents
    u, rest, missed = _roots(x, order)
    weight = (u > 0).astype(x.dtype) if order == 1 else u
    # A shift of all changes nothing. Relative to the largest, nothing of the size of 1 is left to cancel.
    is_top = is_at(x, place_of_largest(x))
    dx = jnp.where(is_top, 0, dx - jnp.sum(jnp.where(is_top, dx, 0), axis=-1, keepdims=True))
    mean = ratio(jnp.sum(weight * dx, axis=-1, keepdims=True), jnp.sum(weight, axis=-1, keepdims=True))
    signed = (dx - mean) / order
    du = jnp.where(u > 0, signed, 0)
    return (u, rest, missed), (du, -du, jnp.where(missed > 0, -signed, 0))
