"""Norms and distances over the last axis, of vectors of any length.

A square leaves the format where its number is beyond 1e19 or below 1e-19 (in float32). So the squares are those of the
vector times a power of two, one of three, which is the same for a whole vector and has no slope.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.platform import row_sum
from jaxloss.types import Array, Input


def safe_norm(x: Array) -> Array:
    r"""The Euclidean norm over the last axis, of vectors of any length from 1e-38 to 1e38.

    $$ \lVert x \rVert $$

    At the zero vector value and gradient are 0.

    >>> print(safe_norm(jnp.array([3e20, 4e20])), jax.grad(safe_norm)(jnp.zeros(2)))
    5e+20 [0. 0.]
    """
    return euclidean_distance(x, jnp.zeros((), x.dtype))


def unit_vector(x: Array) -> Array:
    r"""The vector over the last axis divided by its norm; 0, with gradient 0, for the zero vector.

    $$ x / \lVert x \rVert $$

    >>> print(unit_vector(jnp.array([3e-30, 4e-30])), unit_vector(jnp.zeros(2)))
    [0.6 0.8] [0. 0.]
    """
    return _direction(x, jnp.zeros((), x.dtype))


@jax.custom_jvp
def euclidean_distance(u: Array, v: Array) -> Array:
    r"""The Euclidean distance over the last axis; its gradient at u = v is 0.

    $$ \lVert u - v \rVert $$

    >>> print(euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    5.0
    """
    unit, square = _scaled_square(u, v)
    return jnp.squeeze(jnp.sqrt(square) * (1 / unit), -1)


@euclidean_distance.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # An infinite slope times 0, and a derivative that overflows: the square of the length is in the way.
    (u, v), (du, dv) = primals, tangents
    return euclidean_distance(u, v), jnp.sum(_direction(u, v) * (du - dv), axis=-1)


def _direction(u: Array, v: Array) -> Array:
    unit, square = _scaled_square(u, v)
    return (u * unit - v * unit) / _root(square)


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
    return jnp.squeeze(jnp.where(lengths.none, 1, _gap(u, v, lengths, 1.0)), -1)


@cosine_distance.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: between nearly opposite vectors it is made of their sum.
    (u, v), (du, dv) = primals, tangents
    lengths = _lengths(u, v)
    distance, opposite = (_gap(u, v, lengths, sign) for sign in (1.0, -1.0))
    sign, gap = jnp.where(distance > 1, -1, 1), jnp.where(distance > 1, opposite, distance)
    a, b = _component(u, lengths.unit_u, lengths.inverse_u), sign * _component(v, lengths.unit_v, lengths.inverse_v)
    slope_u = (a - b - gap * a) * jnp.where(lengths.none, 0, sign * (lengths.unit_u * lengths.inverse_u))
    slope_v = (b - a - gap * b) * jnp.where(lengths.none, 0, lengths.unit_v * lengths.inverse_v)
    return jnp.squeeze(jnp.where(lengths.none, 1, distance), -1), jnp.sum(slope_u * du + slope_v * dv, axis=-1)


class _Lengths(NamedTuple):
    """Of two vectors: a power of two, one over the length times that power, and whether a vector is 0."""

    unit_u: Array
    inverse_u: Array
    unit_v: Array
    inverse_v: Array
    none: Array


def _lengths(u: Array, v: Array) -> _Lengths:
    zero, rounded_up = jnp.zeros((), u.dtype), 1 + jnp.finfo(u.dtype).eps
    (unit_u, square_u), (unit_v, square_v) = _scaled_square(u, zero), _scaled_square(v, zero)
    inverse_u, inverse_v = rounded_up / _root(square_u), rounded_up / _root(square_v)
    return _Lengths(unit_u, inverse_u, unit_v, inverse_v, (square_u == 0) | (square_v == 0))


def _component(x: Array, unit: Array, inverse: Array, one: Input = 1) -> Array:
    """Of a unit vector. Where it is 1 to rounding it is 1: so vectors along one axis agree, and what is across tells."""
    return jnp.minimum(one, jnp.maximum(-one, x * unit * inverse))


def _gap(u: Array, v: Array, lengths: _Lengths, sign: float) -> Array:
    """Half the squared difference of two unit vectors, less that of their lengths, which are 1 to rounding."""

    def difference(u: Array, v: Array, unit_u: Array, inverse_u: Array, unit_v: Array, inverse_v: Array, one: Array) -> Any:
        a, b = _component(u, unit_u, inverse_u, one), sign * _component(v, unit_v, inverse_v, one)
        return a - b, a + b

    operands = (u, v, *lengths[:4], jnp.ones((), u.dtype))
    chord = row_sum(lambda *operands: jnp.square(difference(*operands)[0]), *operands)
    longer = 0.5 * row_sum(lambda *operands: math.prod(difference(*operands)), *operands)
    return 0.5 * (chord - jnp.square(longer))


def _root(square: Array) -> Array:
    """The square root, and 1 for 0."""
    return jnp.where(square == 0, 1, jnp.sqrt(jnp.where(square == 0, 1, square)))


@jax.custom_jvp
def _scaled_square(u: Array, v: Array) -> tuple[Array, Array]:
    """A power of two, and the square of the length of u - v times that power. Both keep the last axis.

    A GPU and a TPU form the squares with each of three powers in one pass, and choose afterwards. A CPU, where three
    sums are three passes, looks for the largest component first.
    """
    maxexp = jnp.finfo(u.dtype).maxexp
    small, large = 2.0 ** (5 * maxexp // 8), 2.0 ** (-9 * maxexp // 16)

    def unit_of(size: Array, lowest: float, highest: float) -> Array:
        return jnp.where(size < lowest, small, jnp.where(size > highest, large, 1)).astype(size.dtype)

    def squares(u: Array, v: Array, unit: Input) -> Array:
        return jnp.square((u - v) * unit)

    def by_largest(u: Array, v: Array) -> tuple[Array, Array]:
        largest = jnp.max(jnp.abs(u - v), axis=-1, keepdims=True, initial=0)
        unit = unit_of(largest, 2.0 ** (-maxexp // 4), 2.0 ** (3 * maxexp // 8))
        return unit, row_sum(squares, u, v, unit)

    def by_choice(u: Array, v: Array) -> tuple[Array, Array]:
        # Not (u - v) times the power: a difference that all three and the gradient read would be written to memory.
        low, plain, high = (_sum(jnp.square(u * unit - v * unit)) for unit in (small, 1.0, large))
        unit = unit_of(plain, 2.0 ** (-maxexp // 2), 2.0 ** (3 * maxexp // 4))
        return unit, jnp.where(unit == small, low, jnp.where(unit == large, high, plain))

    return jax.lax.platform_dependent(u, v, cpu=by_largest, default=by_choice)


@_scaled_square.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that overflows: that of the squares which are not chosen.
    (u, v), (du, dv) = primals, tangents
    unit, square = _scaled_square(u, v)

    return (unit, square), (jnp.zeros_like(unit), 2 * _sum(((u - v) * unit) * ((du - dv) * unit)))


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)
