"""Distances of two sets of points by means over their pairs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.masses import present, with_masses
from jaxloss.numerics.norms import euclidean_distance
from jaxloss.numerics.order import places_by, split_as, ties
from jaxloss.numerics.pairs import sums_over_pairs
from jaxloss.numerics.remainders import expm1
from jaxloss.numerics.safe import ratio
from jaxloss.types import Array, Input


def _means_over_pairs(
    apart: Callable[..., Array], p: Array, q: Array, a: Array, b: Array, *, itself: bool = True
) -> tuple[Array, ...]:
    """The means of a dissimilarity over the pairs of p and q, of p and p, of q and q, of q and p.

    Without `itself` the pairs of a point with itself have no part in a mean, which is 0 for a set of one point.
    """

    def to_both(points: Array, mass: Array, others: Array, masses: Array) -> tuple[Array, Array]:
        def term(z: Array, place: Array, points: Array, places: Array) -> tuple[Array, Array]:
            own = mass * apart(z[None], points)
            return own if itself else jnp.where(places == place, 0, own), masses * apart(z[None], others)

        to_own, to_others = sums_over_pairs(term, points, jax.lax.iota(jnp.int32, points.shape[0]))
        within = jnp.sum(mass * to_own)
        return within if itself else ratio(within, jnp.sum(mass * (1 - mass))), jnp.sum(mass * to_others)

    # Of p and q one after the other: of both in one array, compiled for a CPU, the forward derivative in q is wrong.
    (p_to_p, p_to_q), (q_to_q, q_to_p) = to_both(p, a, q, b), to_both(q, b, p, a)
    return p_to_q, p_to_p, q_to_q, q_to_p


# ------------------------------------------------------------------------------------------------------ energy distance


@jax.custom_jvp
def _squared_gap(z: Array, mass: Array) -> Array:
    r"""The integral of the squared difference of two distribution functions.

    $$ \int (F - G)^2 $$

    Of points on a line, where the masses of one set are negative. No sum over pairs, and nothing to cancel.
    """
    return _integral(z, mass)[0]


def _integral(z: Array, mass: Array) -> tuple[Array, ...]:
    """The integral, the sorted points, and F - G between neighbours."""
    place = split_as(z, jax.lax.iota(jnp.int32, z.shape[0]))
    z, order = jax.lax.sort((z, place), num_keys=1)
    apart = jnp.cumsum(mass[order])[:-1]
    return jnp.sum(jnp.diff(z) * jnp.square(apart)), z, apart


@_squared_gap.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Ties of a sort: where points are equal it is the middle of the subgradients.
    (z, mass), (dz, dmass) = primals, tangents
    value, ordered, apart = _integral(z, mass)
    places, (first, last), edge = places_by(z), ties(ordered), jnp.zeros_like(apart, shape=1)
    around = jnp.concatenate([edge, apart])[first] + jnp.concatenate([apart, edge])[last]
    after = jnp.cumsum(jnp.concatenate([jnp.diff(ordered) * apart, edge])[::-1])[::-1]
    return value, jnp.sum(2 * after[places] * dmass) - jnp.sum(mass * around[places] * dz)


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
    if not (p.shape[0] and q.shape[0]):  # no points have no mass
        return jnp.zeros((), p.dtype)
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)
    if p.shape[-1] == 1:
        points, masses = jnp.concatenate([p[:, 0], q[:, 0]]), jnp.concatenate([a, -b])
        distance = 2 * _squared_gap(points, masses)
    else:
        p_to_q, p_to_p, q_to_q, q_to_p = _means_over_pairs(euclidean_distance, p, q, a, b)
        distance = (p_to_q - p_to_p) + (q_to_p - q_to_q)
    return jnp.where(present((p, p_mass), (q, q_mass)), distance, 0)


# --------------------------------------------------------------------------------------------- maximum mean discrepancy


def _half_square(u: Array, v: Array, scale: Array) -> Array:
    return 0.5 * jnp.sum(jnp.square((u - v) / scale), axis=-1)


def _distance(u: Array, v: Array, scale: Array) -> Array:
    return euclidean_distance(u, v) / scale


_EXPONENT = {"gaussian": _half_square, "laplacian": _distance}


def _mean_over_scales(of: Callable[[Array], Array], kernel: Any, scale: Any) -> Callable[[Array, Array], Array]:
    """The mean over the scales of a function of the exponent of a kernel."""
    if kernel not in _EXPONENT:
        raise ValueError(f"mmd: kernel must be 'gaussian', 'laplacian' or a function of two points, got {kernel!r}.")
    scales = scale if isinstance(scale, tuple | list) else (scale,)
    if not scales or any(isinstance(s, int | float) and s <= 0 for s in scales):
        raise ValueError(f"mmd: scale must be a number > 0, or a tuple of such numbers, got {scale!r}.")

    def mean(u: Array, v: Array) -> Array:
        each = [of(-_EXPONENT[kernel](u, v, jnp.asarray(s, u.dtype))) for s in scales]
        return sum(each[1:], start=each[0]) / len(each)

    return mean


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
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)

    def by(k: Callable[..., Array]) -> tuple[Array, Array]:
        """The discrepancy by a kernel, to which any constant may be added; and its mean over the pairs of p and q."""
        p_to_q, p_to_p, q_to_q, q_to_p = _means_over_pairs(k, p, q, a, b, itself=not unbiased)
        return (p_to_p - p_to_q) + (q_to_q - q_to_p), p_to_q

    if callable(kernel):
        return jnp.where(present((p, p_mass), (q, q_mass)), by(kernel)[0], 0)
    # The kernel less 1 does not cancel where points are near, nor the kernel where all are far.
    near, mean = by(_mean_over_scales(expm1, kernel, scale))
    if unbiased:
        alone = (jnp.sum(a != 0) < 2).astype(p.dtype) + (jnp.sum(b != 0) < 2).astype(p.dtype)
        far, _ = by(_mean_over_scales(jnp.exp, kernel, scale))
        near = jnp.where(mean > -0.5, near - alone, far)
    return jnp.where(present((p, p_mass), (q, q_mass)), near, 0)
