"""Norms and distances over the last axis, of vectors of any length, and their differences."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, inlined, ratio, safe_sqrt
from jaxloss.numerics.exact import small_residual
from jaxloss.numerics.rows import row_largest, row_sums
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def safe_norm(x: Array) -> Array:
    r"""The Euclidean norm over the last axis, of vectors of any length from 1e-38 to 1e38.

    $$ \lVert x \rVert = m \sqrt{\textstyle\sum_i (x_i / m)^2}, \qquad m = \max_i |x_i| $$

    At the zero vector value and gradient are 0.

    >>> print(safe_norm(jnp.array([3e20, 4e20])), jax.grad(safe_norm)(jnp.zeros(2)))
    5e+20 [0. 0.]
    """
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0)
    return jnp.squeeze(largest, -1) * jnp.sqrt(jnp.sum(jnp.square(_over(x, largest)), axis=-1))


@safe_norm.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return safe_norm(x), jnp.sum(unit_vector(x) * dx, axis=-1)


@jax.jit
def unit_vector(x: Array) -> Array:
    r"""The vector over the last axis divided by its norm; 0, with gradient 0, for the zero vector.

    $$ x / \lVert x \rVert $$

    >>> print(unit_vector(jnp.array([3e-30, 4e-30])), unit_vector(jnp.zeros(2)))
    [0.6 0.8] [0. 0.]
    """
    scaled = _over(x, jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0)))
    return ratio(scaled, safe_sqrt(jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)))


def _over(x: Array, largest: Array) -> Array:
    """The vector over its largest component; where that is infinite, the infinite components alone."""
    finite = jnp.isfinite(largest)
    direction = jnp.where(jnp.isinf(x), jnp.sign(x), 0)
    return jnp.where(finite | jnp.isnan(largest), ratio(x, jnp.where(finite, largest, 1)), direction)


@jax.jit
def euclidean_distance(u: Array, v: Array) -> Array:
    r"""The Euclidean distance over the last axis; its gradient at u = v is 0.

    $$ \lVert u - v \rVert $$

    >>> print(euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    5.0
    """
    return safe_norm(u - v)


@jax.jit
def squared_euclidean_distance(u: Array, v: Array) -> Array:
    r"""The squared Euclidean distance over the last axis.

    $$ \lVert u - v \rVert^2 $$

    >>> print(squared_euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    25.0
    """
    return jnp.sum(jnp.square(u - v), axis=-1)


@jax.custom_jvp
@jax.jit
def squared_distance_difference(u: Array, v: Array, w: Array) -> Array:
    r"""How much farther u is from v than from w, in squared Euclidean distance over the last axis.

    $$ \lVert u - v \rVert^2 - \lVert u - w \rVert^2 = (w - v) \cdot (u - v + u - w) $$

    It does not cancel where u is far from both. The gradient in u is 2 (w - v), in v -2 (u - v), in w 2 (u - w).

    >>> print(squared_distance_difference(jnp.zeros(2), jnp.array([4.0, 0.0]), jnp.array([0.0, 3.0])))
    7.0
    """
    unit = _unit_of_distances(u, v, w)
    u, v, w = apart(u, v, w)

    def product_and_size(u: Array, v: Array, w: Array) -> tuple[Array, Array]:
        to_v, to_w, between = (_finite(x) * unit for x in (u - v, u - w, w - v))
        product = between * (to_v + to_w)
        return product, jnp.abs(product)

    product, size = (jnp.squeeze(x, -1) for x in row_sums(product_and_size, u, v, w))
    scale = jnp.squeeze(1 / unit, -1)
    value = product * scale * scale
    # What is infinite, and no more than the rounding of its terms, has no sign.
    unsure = jnp.isinf(value) & (jnp.abs(product) <= 4 * jnp.finfo(u.dtype).eps * size)
    return jnp.where(unsure, 0, value)


@squared_distance_difference.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (u, v, w), (du, dv, dw) = primals, tangents
    slope = jnp.sum((w - v) * du - (u - v) * dv + (u - w) * dw, axis=-1)
    return squared_distance_difference(u, v, w), 2 * slope


@jax.custom_jvp
@jax.jit
def distance_difference(u: Array, v: Array, w: Array) -> Array:
    r"""How much farther u is from v than from w, in Euclidean distance over the last axis.

    $$ \lVert u - v \rVert - \lVert u - w \rVert
       = \frac{(w - v) \cdot (u - v + u - w)}{\lVert u - v \rVert + \lVert u - w \rVert} $$

    It does not cancel where u is far from both. The gradient of a distance that is 0 is 0.

    >>> print(f"{distance_difference(jnp.array([1e6, 0.0]), jnp.array([0.0, 1.0]), jnp.array([0.01, 0.0])):.4f}")
    0.0100
    """
    return _difference(_distances(u, v, w))


@distance_difference.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    du, dv, dw = tangents
    distances = _distances(*primals)
    u, v, w, unit, to_v, to_w = apart(*primals, distances.unit, distances.to_v, distances.to_w)
    by_v, by_w = (ratio(jnp.ones_like(d), jnp.minimum(d, jnp.finfo(d.dtype).max * unit)) for d in (to_v, to_w))
    slope_v, slope_w = _finite(u - v) * unit * by_v, _finite(u - w) * unit * by_w
    return _difference(distances), jnp.sum(slope_v * (du - dv) - slope_w * (du - dw), axis=-1)


class _Distances(NamedTuple):
    """Of a vector from two others; the last axis is kept."""

    unit: Array
    """What brings the longer near 2^48 (in float32): its square does not overflow, nor does 1e-60 of it underflow."""
    to_v: Array
    to_w: Array
    product: Array
    """(w - v) . (u - v + u - w)"""


def _distances(u: Array, v: Array, w: Array) -> _Distances:
    unit = _unit_of_distances(u, v, w)
    u, v, w = apart(u, v, w)

    def products(u: Array, v: Array, w: Array) -> tuple[Array, ...]:
        to_v, to_w, between = (u - v) * unit, (u - w) * unit, (w - v) * unit
        return to_v * to_v, to_w * to_w, between * (to_v + to_w)

    square_v, square_w, product = row_sums(products, u, v, w)
    return _Distances(unit, safe_sqrt(square_v), safe_sqrt(square_w), product)


def _unit_of_distances(u: Array, v: Array, w: Array) -> Array:
    return _to_unit(jnp.maximum(*row_largest(jnp.abs(u - v), jnp.abs(u - w))), 3 * jnp.finfo(u.dtype).maxexp // 8)


def _difference(distances: _Distances) -> Array:
    unit, to_v, to_w, product = (jnp.squeeze(x, -1) for x in distances)
    # Where v and w are infinitely far apart; of two infinite distances neither is known to be the longer.
    far = jnp.where(to_v == to_w, 0, to_v - to_w)
    known = jnp.isfinite(product)
    difference = ratio(jnp.where(known, product, 0), jnp.where(known, to_v + to_w, 1))
    # Divided by the unit, itself a quotient, XLA would multiply by its denominator first, which overflows.
    return jnp.where(known, difference, far) * (1 / unit)


def _to_unit(largest: Array, exponent: int = 0) -> Array:
    """A power of two, a product with which rounds nothing and brings the largest near another, if it is not tiny."""
    info = jnp.finfo(largest.dtype)
    scale = jax.lax.reduce_precision(largest, info.nexp, 0)
    return 2.0**exponent / _clamp(2.0**exponent * info.tiny, scale, 1 / info.tiny)


def _finite(x: Array) -> Array:
    """The largest finite number for an infinite one, of the same sign."""
    return _clamp(-jnp.finfo(x.dtype).max, x, jnp.finfo(x.dtype).max)


def _clamp(low: Any, x: Array, high: Any) -> Array:
    return jax.lax.clamp(jnp.asarray(low, x.dtype), x, jnp.asarray(high, x.dtype))


@jax.custom_jvp
@inlined
def cosine_distance(u: Array, v: Array) -> Array:
    r"""One minus the cosine of the angle between vectors, over the last axis.

    $$ 1 - |\cos\theta| = \frac{\lVert t v - u \rVert^2}{2 \lVert u \rVert^2}, \qquad
       |t| = \frac{\lVert u \rVert}{\lVert v \rVert}, \quad \operatorname{sign} t = \operatorname{sign} \cos\theta $$

    Nothing cancels at any angle; from 60 to 120 degrees the cosine itself serves. A zero vector has cosine 0, so
    distance 1, and gradient 0.

    >>> print(f"{cosine_distance(jnp.array([1e-30, 0.0]), jnp.array([1e20, 1e16])):.2e}")
    5.00e-09
    """
    return _angle(u, v).distance


@cosine_distance.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    du, dv = tangents
    distance, *angle = _angle(*primals)
    u, v, unit_u, unit_v, square, lengths, factor, lost, rounding, gap = apart(*primals, *angle)
    a, b = _finite(u) * unit_u, _finite(v) * unit_v
    between = (lost * b - small_residual(a, factor, b)) - rounding * b
    slope_u = (gap * a + between) * (jnp.sign(unit_v) * unit_u / square)
    slope_v = (gap * (factor + lost) * b - between) * (jnp.abs(unit_v) / lengths)
    return distance, -jnp.sum(slope_u * du + slope_v * dv, axis=-1)


class _Angle(NamedTuple):
    """Of two vectors u and v, in units of a power of two, of each its own; all but the distance keep the last axis."""

    distance: Array
    """1 - cosine"""
    unit_u: Array
    """What, times u, gives it in its unit."""
    unit_v: Array
    """Likewise; negative where the cosine is, 0 if a vector is 0."""
    square: Array
    """Of the length of u; 1 if a vector is 0."""
    lengths: Array
    """The product of both; 1 if a vector is 0."""
    factor: Array
    """What makes v about as long as u."""
    lost: Array
    """What is wanting to the factor."""
    rounding: Array
    """Of what is wanting, where the vectors are so near that it shows."""
    gap: Array
    """1 - |cosine|"""


def _angle(u: Array, v: Array) -> _Angle:
    largest_u, largest_v = row_largest(jnp.abs(u), jnp.abs(v))
    unit_u, unit_v = _to_unit(largest_u), _to_unit(largest_v)
    # Of vectors that are nearly parallel, by nearly the true factor: what is wanting is small, and lost to no rounding.
    factor = ratio(_finite(largest_u) * unit_u, _finite(largest_v) * unit_v)
    some = factor != 0
    unit_v = jnp.where(some, unit_v, 0)

    def products(u: Array, v: Array) -> tuple[Array, ...]:
        a, b = _finite(u) * unit_u, _finite(v) * unit_v
        size_a, size_b = jnp.abs(a), jnp.abs(b)
        return a * a, b * b, a * b, (size_a + factor * size_b) * small_residual(size_a, factor, size_b)

    square, square_v, product, wanting = row_sums(products, *apart(u, v))
    square, square_v = jnp.where(some, square, 1), jnp.where(some, square_v, 1)
    lengths = jnp.sqrt(square * square_v)
    # Of a factor that is much too large the rounding would remain; of 0 all is wanting.
    near = factor * square_v < 2 * lengths
    factor = jnp.where(near, factor, 0)
    lost = jnp.where(near, wanting, square) / (lengths + factor * square_v)
    unit_v = jnp.where(product < 0, -unit_v, unit_v)

    def difference(u: Array, v: Array) -> tuple[Array, Array]:
        a, b = _finite(u) * unit_u, _finite(v) * unit_v
        between = lost * b - small_residual(a, factor, b)
        return between * between, between * b

    squared, along = row_sums(difference, *apart(u, v))
    # Of vectors that are very near, what the rounding of `lost` leaves is along v; and of parallel ones, all.
    eps = jnp.finfo(u.dtype).eps
    very_near = squared < eps * square
    across = squared - along * (along / square_v)
    across = jnp.where(across < 64 * eps * squared, 0, across)
    size = jnp.abs(product)
    gap = jnp.where(size < 0.5 * lengths, 1 - size / lengths, 0.5 * jnp.where(very_near, across, squared) / square)
    rounding = jnp.where(very_near, along / square_v - (factor + lost) * gap, 0)
    distance = jnp.squeeze(jnp.where(product < 0, 2 - gap, gap), -1)
    return _Angle(distance, unit_u, unit_v, square, lengths, factor, lost, rounding, gap)
