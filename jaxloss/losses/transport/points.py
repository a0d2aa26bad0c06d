"""Distances of two sets of points by means over their pairs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.masses import present, with_masses
from jaxloss.numerics.norms import euclidean_distance
from jaxloss.numerics.order import split_as
from jaxloss.numerics.pairs import sums_over_pairs
from jaxloss.numerics.special import expm1
from jaxloss.types import Array, Input


def _means_over_pairs(apart: Callable[..., Array], p: Array, q: Array, a: Array, b: Array) -> tuple[Array, ...]:
    """The means of a dissimilarity over the pairs of p and q, of p and p, of q and q, of q and p."""

    def to_both(z: Array, _: Array) -> tuple[Array, Array]:
        return a * apart(z[None], p), b * apart(z[None], q)

    # Of p and q one after the other: of both in one array, compiled for a CPU, the forward derivative in q is wrong.
    p_to_p, p_to_q = sums_over_pairs(to_both, p)
    q_to_p, q_to_q = sums_over_pairs(to_both, q)
    return jnp.sum(a * p_to_q), jnp.sum(a * p_to_p), jnp.sum(b * q_to_q), jnp.sum(b * q_to_p)


# ------------------------------------------------------------------------------------------------------ energy distance


@jax.custom_jvp
def _squared_gap(z: Array, mass: Array) -> Array:
    r"""The integral of the squared difference of two distribution functions.

    $$ \int (F - G)^2 $$

    Of points on a line, where the masses of one set are negative. No sum over pairs, and nothing to cancel.
    """
    return _integral(z, mass)[0]


def _integral(z: Array, mass: Array) -> tuple[Array, ...]:
    place = split_as(z, jax.lax.iota(jnp.int32, z.shape[0]))
    z, order = jax.lax.sort((z, place), num_keys=1)
    apart = jnp.cumsum(mass[order])[:-1]
    gaps = jnp.diff(z)
    return jnp.sum(gaps * jnp.square(apart)), order, gaps, apart


@_squared_gap.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Ties of a sort: where points are equal it is the middle of the subgradients.
    (z, mass), (dz, dmass) = primals, tangents
    value, order, gaps, apart = _integral(z, mass)
    place = jax.lax.iota(jnp.int32, z.shape[0])
    rises, edge, nothing = gaps > 0, jnp.ones(1, bool), jnp.zeros_like(apart, shape=1)
    first = jax.lax.cummax(jnp.where(jnp.concatenate([edge, rises]), place, 0))
    last = jax.lax.cummin(jnp.where(jnp.concatenate([rises, edge]), place, z.shape[0] - 1), reverse=True)
    around = jnp.concatenate([nothing, apart])[first] + jnp.concatenate([apart, nothing])[last]
    by_mass = jnp.sum(2 * gaps * apart * jnp.cumsum(dmass[order])[:-1])
    return value, by_mass - jnp.sum(mass[order] * around * dz[order])


@custom_loss(signature="(n,d),(m,d),(n),(m)->()", stand_in=0.5)
def energy_distance(p: Input, q: Input, p_mass: Input = None, q_mass: Input = None) -> Array:
    r"""The energy distance of two sets of points.

    $$ 2\,\mathbb E \lVert x - y \rVert - \mathbb E \lVert x - x' \rVert - \mathbb E \lVert y - y' \rVert,
       \qquad x, x' \sim p, \quad y, y' \sim q $$

    Args:
        p: `[..., n, d]`, points.
        q: `[..., m, d]`, points.
        p_mass: `[..., n]`, >= 0, the masses of the points of p, brought to the sum 1; None is the same for all.
        q_mass: `[..., m]`, those of q.

    In one dimension it is twice the integral of the squared difference of the distribution functions, by a sort, in
    O((n + m) log(n + m)). Else time grows as (n + m)^2 d, memory as (n + m) d, and sets that are nearly equal are told
    apart to a few last digits of the largest of the three means. The axes of the points must not be sharded.

    Corners: 0 with gradient 0 where the sets are the same. The gradient of a distance that is 0 is 0. A point of mass 0
    may hold anything. Where a set has no mass it is 0 with gradient 0; a mass below 0 gives NaN.

    Source: Szekely and Rizzo (2013), Energy statistics: a class of statistics based on distances, its E-statistic.

    >>> import jax.numpy as jnp
    >>> print(f"{energy_distance(jnp.array([[0.0], [1.0], [3.0]]), jnp.array([[5.0], [6.0], [8.0]])):.6f}")
    7.333333
    """
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)
    if p.shape[-1] == 1:
        points, masses = jnp.concatenate([p[:, 0], q[:, 0]]), jnp.concatenate([a, -b])
        distance = 2 * _squared_gap(points, masses)
    else:
        p_to_q, p_to_p, q_to_q, q_to_p = _means_over_pairs(euclidean_distance, p, q, a, b)
        distance = (p_to_q - p_to_p) + (q_to_p - q_to_q)
    return jnp.where(present(a, b), distance, 0)


# --------------------------------------------------------------------------------------------- maximum mean discrepancy


def _gaussian(u: Array, v: Array, scale: Array) -> Array:
    return -expm1(-0.5 * jnp.sum(jnp.square((u - v) / scale), axis=-1))


def _laplacian(u: Array, v: Array, scale: Array) -> Array:
    return -expm1(-euclidean_distance(u, v) / scale)


_ONE_MINUS_KERNEL = {"gaussian": _gaussian, "laplacian": _laplacian}


def _dissimilarity(kernel: Any, scale: Any) -> Callable[[Array, Array], Array]:
    """One minus the kernel, which does not cancel where points are near; of a function, minus its values."""
    if callable(kernel):
        return lambda u, v: -kernel(u, v)
    if kernel not in _ONE_MINUS_KERNEL:
        raise ValueError(f"mmd: kernel must be 'gaussian', 'laplacian' or a function of two points, got {kernel!r}.")
    scales = scale if isinstance(scale, tuple | list) else (scale,)
    if not scales or any(isinstance(s, int | float) and s <= 0 for s in scales):
        raise ValueError(f"mmd: scale must be a number > 0, or a tuple of such numbers, got {scale!r}.")
    apart = _ONE_MINUS_KERNEL[kernel]

    def mean_over_scales(u: Array, v: Array) -> Array:
        each = [apart(u, v, jnp.asarray(s, u.dtype)) for s in scales]
        return sum(each[1:], start=each[0]) / len(each)

    return mean_over_scales


@custom_loss(signature="(n,d),(m,d),(n),(m)->()", stand_in=0.5)
def mmd(
    p: Input,
    q: Input,
    p_mass: Input = None,
    q_mass: Input = None,
    *,
    kernel: Any = "gaussian",
    scale: Any = 1.0,
    unbiased: bool = False,
) -> Array:
    r"""The squared maximum mean discrepancy of two sets of points.

    $$ \mathbb E\,k(x, x') + \mathbb E\,k(y, y') - 2\,\mathbb E\,k(x, y), \qquad x, x' \sim p, \quad y, y' \sim q $$

    Args:
        p: `[..., n, d]`, points.
        q: `[..., m, d]`, points.
        p_mass: `[..., n]`, >= 0, the masses of the points of p, brought to the sum 1; None is the same for all.
        q_mass: `[..., m]`, those of q.
        kernel: "gaussian", exp(-r^2 / (2 s^2)) of the distance r; "laplacian", exp(-r / s); or a function k(u, v) of
            points along the last axis.
        scale: s > 0, in units of the points; of several, a tuple, it is the mean of the kernels. A function has none.
        unbiased: Whether the first two means leave out the pairs of a point with itself. It may then be negative, so
            take no root of it; a set of one point has no such pair, and its mean is 0. It is right to a few last digits
            of 1.

    A median of distances as the scale is the caller's, behind `stop_gradient`. Time grows as (n + m)^2 d, memory as
    (n + m) d. The axes of the points must not be sharded.

    Corners: 0 with gradient 0 where the sets are the same, unless unbiased. A point of mass 0 may hold anything. Where
    a set has no mass it is 0 with gradient 0; a mass below 0 gives NaN.

    Raises:
        ValueError: `kernel` is an unknown name, or `scale` is not positive.

    Source: Gretton et al. (2012), A kernel two-sample test, equations 5 and 3.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 1.0]])
    >>> print(f"{mmd(p, q):.6f} {mmd(p, q, unbiased=True):.6f}")
    0.658746 0.029679
    """
    apart = _dissimilarity(kernel, scale)
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)
    p_to_q, p_to_p, q_to_q, q_to_p = _means_over_pairs(apart, p, q, a, b)
    if unbiased:
        nothing = 0 if callable(kernel) else 1  # the dissimilarity of a kernel that is 0
        p_to_p = _without_itself(p_to_p, apart(p, p), a, nothing)
        q_to_q = _without_itself(q_to_q, apart(q, q), b, nothing)
    return jnp.where(present(a, b), (p_to_q - p_to_p) + (q_to_p - q_to_q), 0)


def _without_itself(mean: Array, of_itself: Array, mass: Array, nothing: float) -> Array:
    """The mean over pairs without those of a point with itself."""
    alone = jnp.sum(mass != 0) < 2
    others = jnp.where(alone, 1, jnp.sum(mass * (1 - mass)))
    return jnp.where(alone, nothing, (mean - jnp.sum(jnp.square(mass) * of_itself)) / others)
