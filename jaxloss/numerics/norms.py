"""Norms and distances over the last axis, of vectors of any length.

A square leaves the format where its number is beyond 1e19 or below 1e-19 (in float32). So the squares are those of the
vector times a power of two, one of three, which is the same for a whole vector and has no slope.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.platform import row_sum
from jaxloss.numerics.safe import finite_slope
from jaxloss.types import Array, Input


def safe_norm(x: Array) -> Array:
    r"""The Euclidean norm over the last axis, of vectors of any length from 1e-38 to 1e38.

    $$ \lVert x \rVert $$

    At the zero vector value and gradient are 0.

    >>> print(safe_norm(jnp.array([3e20, 4e20])), jax.grad(safe_norm)(jnp.zeros(2)))
    5e+20 [0. 0.]
    """
    return _length(x)


def unit_vector(x: Array) -> Array:
    r"""The vector over the last axis divided by its norm; 0, with gradient 0, for the zero vector.

    $$ x / \lVert x \rVert $$

    >>> print(unit_vector(jnp.array([3e-30, 4e-30])), unit_vector(jnp.zeros(2)))
    [0.6 0.8] [0. 0.]
    """
    return _direction(x)


def euclidean_distance(u: Array, v: Array) -> Array:
    r"""The Euclidean distance over the last axis; its gradient at u = v is 0.

    $$ \lVert u - v \rVert $$

    >>> print(euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    5.0
    """
    return _length(u, v)


def squared_euclidean_distance(u: Array, v: Array) -> Array:
    r"""The squared Euclidean distance over the last axis.

    $$ \lVert u - v \rVert^2 $$

    >>> print(squared_euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    25.0
    """
    return jnp.squeeze(row_sum(lambda u, v: jnp.square(u - v), u, v), -1)


@jax.custom_jvp
def cosine_distance(u: Array, v: Array) -> Array:
    r"""One minus the cosine of the angle between vectors, over the last axis.

    $$ 1 - \cos\theta = \tfrac12 \left\lVert \frac u{\lVert u \rVert} - \frac v{\lVert v \rVert} \right\rVert^2 $$

    It does not cancel where the vectors are nearly parallel. A zero vector has cosine 0, so distance 1, and gradient 0.

    >>> print(f"{cosine_distance(jnp.array([1e-30, 0.0]), jnp.array([1e20, 1e16])):.2e}")
    5.00e-09
    """
    lengths = _lengths(u, v)
    return jnp.squeeze(_distance(u, v, lengths), -1)


@cosine_distance.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: between nearly opposite vectors it is made of their sum.
    (u, v), (du, dv) = primals, tangents
    lengths = _lengths(u, v)
    distance, opposite = _distance(u, v, lengths), 0.125 * _squared_chord(u, v, lengths, -1.0)
    sign, gap = jnp.where(distance > 1, -1, 1), jnp.where(distance > 1, opposite, distance)
    a, b = _doubled(u, lengths.scale_u), sign * _doubled(v, lengths.scale_v)
    slope_u = (a - b - gap * a) * jnp.where(lengths.none, 0, 0.25 * sign * lengths.scale_u)
    slope_v = (b - a - gap * b) * jnp.where(lengths.none, 0, 0.25 * lengths.scale_v)
    return jnp.squeeze(distance, -1), jnp.sum(slope_u * du + slope_v * dv, axis=-1)


class _Lengths(NamedTuple):
    """What makes two vectors 2 long, which fits the format for all lengths, and whether one is 0."""

    scale_u: Array
    scale_v: Array
    none: Array


def _lengths(u: Array, v: Array) -> _Lengths:
    two = 2 * (1 + jnp.finfo(u.dtype).eps)
    (unit_u, square_u), (unit_v, square_v) = _scaled_square(u), _scaled_square(v)
    return _Lengths(
        unit_u * (two / _root(square_u)), unit_v * (two / _root(square_v)), (square_u == 0) | (square_v == 0)
    )


def _doubled(x: Array, scale: Array, two: Input = 2) -> Array:
    """A component of a vector 2 long. Where it is 2 to rounding it is 2: so vectors along one axis agree in it."""
    return jnp.minimum(jnp.maximum(x * scale, -2), two)


def _squared_chord(u: Array, v: Array, lengths: _Lengths, sign: float) -> Array:
    def square(u: Array, v: Array, scale_u: Array, scale_v: Array, two: Array) -> Array:
        return jnp.square(_doubled(u, scale_u, two) - sign * _doubled(v, scale_v, two))

    return row_sum(square, u, v, lengths.scale_u, lengths.scale_v, jnp.full_like(lengths.scale_u, 2))


def _distance(u: Array, v: Array, lengths: _Lengths) -> Array:
    """Half the squared difference of two unit vectors, less that of their lengths, which are 1 to rounding."""

    def longer(u: Array, v: Array, scale_u: Array, scale_v: Array, two: Array) -> Array:
        a, b = _doubled(u, scale_u, two), _doubled(v, scale_v, two)
        return (a - b) * (a + b)

    excess = 0.25 * row_sum(longer, u, v, lengths.scale_u, lengths.scale_v, jnp.full_like(lengths.scale_u, 2))
    chord = _squared_chord(u, v, lengths, 1.0)
    return jnp.where(lengths.none, 1, 0.125 * (chord - jnp.square(excess)))


def _root(square: Array) -> Array:
    """The square root, and 1 for 0."""
    return jnp.sqrt(jnp.where(square == 0, 1, square))


@jax.custom_jvp
def _length(*vectors: Array) -> Array:
    """That of a vector, or of the difference of two."""
    unit, square = _scaled_square(*vectors)
    return jnp.squeeze(jnp.sqrt(square) * (1 / unit), -1)


@_length.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # An infinite slope times 0, and a derivative that overflows: the square of the length is in the way.
    return _length(*primals), jnp.sum(_direction(*primals) * _difference(*tangents), axis=-1)


def _direction(*vectors: Array) -> Array:
    unit, square = _scaled_square(*vectors)
    return _scaled(unit, *vectors) / _root(square)


def _difference(u: Array, *v: Array) -> Array:
    return u - v[0] if v else u


def _scaled(unit: Input, *vectors: Array) -> Array:
    """u, or u - v, times a power of two. The difference itself, with many readers, would be written to memory."""
    if vectors[1:]:  # infinite products of equal components must not differ by NaN
        return _difference(*(finite_slope(x * unit) for x in vectors))
    return vectors[0] * unit


@jax.custom_jvp
def _scaled_square(*vectors: Array) -> tuple[Array, Array]:
    """A power of two, and the square of the length of u or u - v times that power. Both keep the last axis.

    A GPU and a TPU form the squares with each of three powers in one pass, and choose afterwards. A CPU, where three
    sums are three passes, looks for the largest component first.
    """
    dtype = vectors[0].dtype
    maxexp = jnp.finfo(dtype).maxexp
    small, large = 2.0 ** (5 * maxexp // 8), 2.0 ** (-9 * maxexp // 16)

    def unit_of(size: Array, lowest: float, highest: float) -> Array:
        return jnp.where(size < lowest, small, jnp.where(size > highest, large, 1)).astype(dtype)

    def by_largest(*vectors: Array) -> tuple[Array, Array]:
        largest = jnp.max(jnp.abs(_difference(*vectors)), axis=-1, keepdims=True, initial=0)
        unit = unit_of(largest, 2.0 ** (-maxexp // 4), 2.0 ** (3 * maxexp // 8))
        return unit, row_sum(lambda unit, *vectors: jnp.square(_difference(*vectors) * unit), unit, *vectors)

    def by_choice(*vectors: Array) -> tuple[Array, Array]:
        low, plain, high = (_sum(jnp.square(_scaled(unit, *vectors))) for unit in (small, 1.0, large))
        unit = unit_of(plain, 2.0 ** (-maxexp // 2), 2.0 ** (3 * maxexp // 4))
        return unit, jnp.where(unit == small, low, jnp.where(unit == large, high, plain))

    return jax.lax.platform_dependent(*vectors, cpu=by_largest, default=by_choice)


@_scaled_square.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that overflows: that of the squares which are not chosen.
    unit, square = _scaled_square(*primals)
    change = 2 * _sum(_scaled(unit, *primals) * (_difference(*tangents) * unit))
    return (unit, square), (jnp.zeros_like(unit), change)


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)
