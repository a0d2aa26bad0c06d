"""Norms and distances over the last axis, of vectors of any length, and their differences."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope, ratio, safe_sqrt
from jaxloss.numerics.exact import residual


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
    product, _, scale = _product_of_differences(u, v, w)
    return product * scale * scale


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
    product, total, scale = _product_of_differences(u, v, w)
    return ratio(product, total) * scale


@distance_difference.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (u, v, w), (du, dv, dw) = primals, tangents
    slope = unit_vector(u - v) * (du - dv) - unit_vector(u - w) * (du - dw)
    return distance_difference(u, v, w), jnp.sum(slope, axis=-1)


def _product_of_differences(u: Array, v: Array, w: Array) -> tuple[Array, Array, Array]:
    """(w - v) . (u - v + u - w) over the square of a scale, the two distances over the scale, and the scale."""
    to_v, to_w, between = finite_slope(u - v), finite_slope(u - w), finite_slope(w - v)
    scaled, scale = _unit_scale(jnp.stack([to_v, to_w], axis=-2), axis=(-2, -1))
    scale = jnp.squeeze(scale, -1)
    a, b = scaled[..., 0, :], scaled[..., 1, :]
    total = safe_norm(a) + safe_norm(b)
    return jnp.sum(ratio(between, scale) * (a + b), axis=-1), total, jnp.squeeze(scale, -1)


@jax.custom_jvp
@jax.jit
def cosine_distance(u: Array, v: Array) -> Array:
    r"""One minus the cosine of the angle between vectors, over the last axis.

    $$ 1 - \cos\theta = \frac{\sin^2\theta}{1 + \cos\theta}, \qquad \cos\theta = \hat u \cdot \hat v, \qquad
       \sin\theta = \lVert \hat v - (\hat u \cdot \hat v)\,\hat u \rVert $$

    The second form, which does not cancel, serves where the angle is below 60 degrees. A zero vector has cosine 0, so
    distance 1, and gradient 0.

    >>> print(f"{cosine_distance(jnp.array([1e-30, 0.0]), jnp.array([1e20, 1e16])):.2e}")
    5.00e-09
    """
    (a, _), (b, _) = _unit_scale(u), _unit_scale(v)
    cosine = ratio(_dot(a, b), safe_sqrt(_dot(a, a)) * safe_sqrt(_dot(b, b)))
    across = _across(b, a)
    near = ratio(_dot(across, across), _dot(b, b) * (1 + jnp.maximum(cosine, 0)))
    return jnp.squeeze(jnp.where(cosine > 0.5, near, 1 - cosine), -1)


@cosine_distance.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (u, v), (du, dv) = primals, tangents
    (a, scale_u), (b, scale_v) = _unit_scale(u), _unit_scale(v)
    lengths = safe_sqrt(_dot(a, a)) * safe_sqrt(_dot(b, b))
    slope_u = ratio(ratio(_across(b, a), lengths), scale_u)
    slope_v = ratio(ratio(_across(a, b), lengths), scale_v)
    return cosine_distance(u, v), -jnp.sum(slope_u * du + slope_v * dv, axis=-1)


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=-1, keepdims=True)


def _unit_scale(x: Array, axis: int | tuple[int, ...] = -1) -> tuple[Array, Array]:
    """The vector with components of about 1, and by what it was divided: a power of two, which rounds nothing.

    Of a vector with infinite components those alone are left.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    # Halved where rounding up to a power of two would overflow.
    scale = jax.lax.reduce_precision(jnp.where(largest > 1, largest / 2, largest), jnp.finfo(x.dtype).nexp, 0)
    direction = jnp.where(jnp.isinf(x), jnp.sign(x), 0)
    return jnp.where(jnp.isinf(scale), direction, ratio(x, jnp.where(jnp.isinf(scale), 1, scale))), scale


def _across(b: Array, a: Array) -> Array:
    """The part of b at right angles to a, subtracted twice, since the first factor is rounded."""
    squared = _dot(a, a)
    rough = residual(b, ratio(_dot(b, a), squared), a)
    return residual(rough, ratio(_dot(rough, a), squared), a)
