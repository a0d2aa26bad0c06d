"""Transport on a line, and along many lines: the points are sorted, and each moves to the one of the same level."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.masses import present, with_masses
from jaxloss.numerics.norms import unit_vector
from jaxloss.numerics.order import split_as, ties
from jaxloss.numerics.safe import absolute, multiply_no_nan, power
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input, Interval, Number

Order = Annotated[Number, Interval(ge=1)]


def _slope_of_power(x: Array, order: Array) -> Array:
    return order * x * power(absolute(x), order - 2)


def _slope_in_order(x: Array, order: Array) -> Array:
    return power(absolute(x), order) * jnp.log(jnp.where(x == 0, 1, absolute(x)))


@with_slopes(_slope_of_power, _slope_in_order)  # a slope that JAX gets wrong: the second one of x^2 at 0
def _absolute_power(x: Array, order: Array) -> Array:
    return power(absolute(x), order)


def _ordered(points: Array, mass: Array, *, alike: bool) -> tuple[Array, Array]:
    """The points from the smallest on, and up to which level each reaches; those without mass stand at the end."""
    place, there = split_as(points, jax.lax.iota(jnp.int32, points.shape[0])), mass != 0
    keys = jax.lax.stop_gradient(points if alike else jnp.where(there, points, jnp.inf))
    keys, order = jax.lax.sort((keys, place), num_keys=1)
    ordered, mass = (keys, mass) if alike else (jax.lax.stop_gradient(points)[order], mass[order])
    last = place >= jnp.sum(there, dtype=jnp.int32) - 1
    levels = jnp.where(last, 1, jnp.minimum(jnp.cumsum(mass), 1))
    return _placed(points, ordered, order, ties(keys)[0], mass), levels


@jax.custom_jvp
def _placed(_points: Array, ordered: Array, *_: Array) -> Array:
    """The ordered points; a change of one is that of all that are equal to it, by its share of their mass."""
    return ordered


@_placed.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Ties of a sort: of points that are equal, it is the middle of the subgradients.
    (_, _, order, first, mass), (change, *_) = primals, tangents

    def of_equals(x: Array) -> Array:
        return jnp.zeros_like(x).at[first].add(x)[first]

    total = of_equals(mass)
    return _placed(*primals), of_equals(mass * change[order]) / jnp.where(total == 0, 1, total)


def _levels(n: int, m: int, dtype: Any) -> tuple[Array, Array, Array]:
    """Of n and of m points of the same mass: which meet, and the mass that they share."""
    # In units of 1 / (n m) the levels are whole numbers.
    ends = np.union1d(np.arange(1, n + 1, dtype=np.int64) * m, np.arange(1, m + 1, dtype=np.int64) * n)
    starts = np.concatenate([[0], ends[:-1]])
    from_p, from_q = jnp.asarray(starts // m, jnp.int32), jnp.asarray(starts // n, jnp.int32)
    return from_p, from_q, jnp.asarray((ends - starts) / (n * m), dtype)


def _merged(p_level: Array, q_level: Array) -> tuple[Array, Array, Array]:
    """Of sorted points that reach up to these levels: which meet, and the mass that they share.

    Each level ends the share of one point. The next one is found by counting, since a rounded level would not tell.
    """
    n, m = p_level.shape[0], q_level.shape[0]
    levels = jnp.concatenate([p_level, q_level])
    place = split_as(levels, jax.lax.iota(jnp.int32, n + m))
    _, order = jax.lax.sort((jax.lax.stop_gradient(levels), place), num_keys=1)
    ends, of_p = levels[order], (order < n).astype(jnp.int32)
    before = jnp.cumsum(of_p, dtype=jnp.int32) - of_p
    from_p, from_q = jnp.minimum(before, n - 1), jnp.minimum(place - before, m - 1)
    return from_p, from_q, jnp.diff(ends, prepend=jnp.zeros_like(ends, shape=1))


def _transport(p: Array, q: Array, p_mass: Array | None, q_mass: Array | None, order: Any) -> Array:
    """The integral over the levels of the power of the distance of two quantile functions."""
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)
    alike = p_mass is None and q_mass is None
    (p, p_level), (q, q_level) = _ordered(p, a, alike=alike), _ordered(q, b, alike=alike)
    share = a
    if not (alike and p.shape == q.shape):
        from_p, from_q, share = _levels(p.shape[0], q.shape[0], p.dtype) if alike else _merged(p_level, q_level)
        p, q = p[from_p], q[from_q]
    cost = _absolute_power(p - q, jnp.asarray(order, p.dtype))
    return jnp.where(present((p, p_mass), (q, q_mass)), jnp.sum(multiply_no_nan(share, cost)), 0)


@custom_loss(signature="(n),(m),(n),(m)->()", stand_in=0.5)
def wasserstein_1d(p: Input, q: Input, p_mass: Input = None, q_mass: Input = None, *, order: Order = 1.0) -> Array:
    r"""The Wasserstein distance of two sets of points on a line, to the power of its order.

    $$ \int_0^1 \bigl| F_p^{-1}(u) - F_q^{-1}(u) \bigr|^r\,du $$

    Args:
        p: `[..., n]`, points.
        q: `[..., m]`, points.
        p_mass: `[..., n]`, >= 0, the masses of the points of p, brought to the sum 1; None is the same for all.
        q_mass: `[..., m]`, those of q.
        order: r >= 1.

    No root is taken: the distance of order 2, over all pairs of sets, is
    `reduce(wasserstein_1d, lambda t: numerics.safe_sqrt(t.mean))(p, q, order=2.0)`. The points are sorted: their axes
    must not be sharded. Masses are added up, so that one below a last digit of all is not told from 0.

    Corners: 0 with gradient 0 where the sets are the same. Where points are equal it is the middle of the subgradients.
    A point of mass 0 may hold anything. Where a set has no mass it is 0 with gradient 0; a mass below 0 gives NaN.

    Raises:
        ValueError: `order` is less than 1.

    Source: Villani (2003), Topics in optimal transportation, theorem 2.18.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([3.0, 1.0, 0.0]), jnp.array([0.0, 2.0])
    >>> print(f"{wasserstein_1d(p, q, jnp.array([1.0, 3.0, 1.0]), jnp.array([1.0, 1.0])):.6f}")
    0.800000
    """
    return _transport(p, q, p_mass, q_mass, order)


_NUMBERS = 2**17  # projections that are sorted at once


@custom_loss(signature="(n,d),(m,d),(r,d),(n),(m)->()", stand_in=0.5)
def sliced_wasserstein(
    p: Input, q: Input, directions: Input, p_mass: Input = None, q_mass: Input = None, *, order: Order = 2.0
) -> Array:
    r"""The mean over directions of the Wasserstein distance along each, to the power of its order.

    $$ \operatorname*{mean}_k W_r^r \bigl( \langle \theta_k, x \rangle_{x \sim p},
       \langle \theta_k, y \rangle_{y \sim q} \bigr), \qquad \theta_k = t_k / \lVert t_k \rVert $$

    Args:
        p: `[..., n, d]`, points.
        q: `[..., m, d]`, points.
        directions: `[r, d]`, t, of any length, for all pairs of sets: `jax.random.normal(key, (r, d))`.
        p_mass: `[..., n]`, >= 0, the masses of the points of p, brought to the sum 1; None is the same for all.
        q_mass: `[..., m]`, those of q.
        order: r >= 1.

    Along each direction it is `wasserstein_1d`: no root is taken, and the axes of the points must not be sharded. Where
    there are many, some directions at a time are sorted, and again for the gradient, so that memory follows n + m.

    Corners: as `wasserstein_1d`; a direction that is 0 costs 0.

    Raises:
        ValueError: `order` is less than 1.

    Source: Bonneel et al. (2015), Sliced and Radon Wasserstein barycenters of measures, definition 1.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 1.0]])
    >>> print(f"{sliced_wasserstein(p, q, jnp.array([[1.0, 0.0], [0.6, 0.8]])):.6f}")
    0.900000
    """
    # A point without mass is replaced before it is projected.
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)
    p_mass, q_mass = None if p_mass is None else a, None if q_mass is None else b

    def along(direction: Array) -> Array:
        return _transport(_projected(p, direction), _projected(q, direction), p_mass, q_mass, order)

    block = max(1, _NUMBERS // (p.shape[0] + q.shape[0]))
    directions = unit_vector(directions)
    if directions.shape[0] <= block:
        return jnp.mean(jax.vmap(along)(directions))
    return jnp.mean(jax.lax.map(jax.checkpoint(along), directions, batch_size=block))


def _projected(points: Array, direction: Array) -> Array:
    return jnp.dot(points, direction, precision=jax.lax.Precision.HIGHEST)
