"""Norms and distances over the last axis, of vectors of any length.

A square leaves the format where its number is beyond 1e19 or below 1e-19 (in float32). So the squares are those of the
vector times a number, which is the same for a whole vector and has no slope.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.platform import row_sum
from jaxloss.numerics.safe import finite_slope
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input


def safe_norm(x: Array) -> Array:
    r"""The Euclidean norm over the last axis, of vectors of any length from 1e-38 to 1e38.

    $$ \lVert x \rVert $$

    At the zero vector value and gradient are 0.

    >>> print(safe_norm(jnp.array([3e20, 4e20])), jax.grad(safe_norm)(jnp.zeros(2)))
    5e+20 [0. 0.]
    """
    return _length(x)


@jax.custom_jvp
def unit_vector(x: Array) -> Array:
    r"""The vector over the last axis divided by its norm; 0, with gradient 0, for the zero vector.

    $$ x / \lVert x \rVert $$

    Of a vector with infinite components these are 1 long, with a gradient that may be NaN.

    >>> print(unit_vector(jnp.array([3e-30, 4e-30])), unit_vector(jnp.zeros(2)))
    [0.6 0.8] [0. 0.]
    """
    return _length_and_direction(x)[1]


@unit_vector.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: what is left along a vector that turns little is as large as the turn, the first time.
    (x,), (dx,) = primals, tangents
    scale, per_length = _scale_to_unit(x)
    unit = unit_vector(x)
    for _ in range(2):
        dx = dx - unit * jnp.sum(unit * dx, axis=-1, keepdims=True)
    return unit, _scaled(scale, dx) * per_length


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
    An infinite component gives NaN.

    >>> print(f"{cosine_distance(jnp.array([1e-30, 0.0]), jnp.array([1e20, 1e16])):.2e}")
    5.00e-09
    """
    return jnp.squeeze(_angle(u, v).distance, -1)


@cosine_distance.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: between nearly parallel vectors it is made of the difference of their directions.
    (u, v), (du, dv) = primals, tangents
    angle = _angle(u, v)
    length_u, length_v = (jnp.sqrt(jnp.where(angle.none, 1, square)) for square in (angle.square_u, angle.square_v))
    a, b = u * angle.scale_u / length_u, v * angle.scale_v / length_v
    # The change is scaled first: one over the square of a length may leave the format.
    da = du * jnp.where(angle.none, 0, angle.scale_u) / length_u
    db = dv * jnp.where(angle.none, 0, angle.scale_v) / length_v
    change = (a - b - angle.distance * a) * da + (b - a - angle.distance * b) * db
    return jnp.squeeze(angle.distance, -1), jnp.sum(change, axis=-1)


def named_distance(loss: str, distance: str, otherwise: str = "") -> Callable[[Array, Array], Array]:
    """The distance of this name; `loss` is who asks, for an error, and `otherwise` what else it takes."""
    known: dict[str, Callable[[Array, Array], Array]] = {
        "euclidean": euclidean_distance,
        "squared_euclidean": squared_euclidean_distance,
        "cosine": cosine_distance,
    }
    if not isinstance(distance, str) or distance not in known:
        raise ValueError(f"{loss}: distance must be one of {', '.join(known)}{otherwise}, got {distance!r}.")
    return known[distance]


class _Angle(NamedTuple):
    """What scales two vectors to the same largest component, their squares then, and how far apart they are."""

    scale_u: Array
    scale_v: Array
    square_u: Array
    square_v: Array
    none: Array  # whether one of the vectors is 0
    distance: Array


def _angle(u: Array, v: Array) -> _Angle:
    largest_u, largest_v = _largest(u), _largest(v)
    scale_u = _scale(largest_u)
    scale_v = largest_u * scale_u / largest_v
    # By the negative scales, since what two sums share is written to memory on a CPU.
    square_u, square_v = _square(-scale_u, u), _square(-scale_v, v)
    apart = row_sum(lambda i, u, j, v: jnp.square(u * i - v * j), scale_u, u, scale_v, v)
    product = square_u * square_v
    none = product == 0
    lengths = jnp.sqrt(jnp.where(none, 1, product))
    # The squared difference of two vectors is that of their lengths, and what comes from the angle between them.
    by_lengths = jnp.square(square_u - square_v) / (square_u + square_v + 2 * lengths)
    by_angle = jnp.where(apart < by_lengths, 0, apart - by_lengths)
    return _Angle(scale_u, scale_v, square_u, square_v, none, jnp.where(none, 1, by_angle / (2 * lengths)))


@jax.custom_jvp
def _length(*vectors: Array) -> Array:
    """That of a vector, or of the difference of two."""
    return _length_and_direction(*vectors)[0]


@_length.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # An infinite slope times 0, and a derivative that overflows: the square of the length is in the way.
    length, direction = _length_and_direction(*primals)
    return length, jnp.sum(direction * _difference(*tangents), axis=-1)


def _length_and_direction(*vectors: Array) -> tuple[Array, Array]:
    scale, per_length = _scale_to_unit(*vectors)
    square = _scaled_square(*vectors)[1]
    length = jnp.sqrt(jnp.where(square == 0, 1, square))
    direction = _at_most_one(_scaled(scale, *vectors) * per_length)
    return jnp.squeeze(jnp.where(square == 0, 0, length) * (1 / scale), -1), direction


@with_slopes(jnp.ones_like)  # a slope that JAX gets wrong: a component that is rounded to 1 still turns
def _at_most_one(component: Array) -> Array:
    return jnp.clip(component, -1, 1)


def _scale_to_unit(*vectors: Array) -> tuple[Array, Array]:
    """A power of two that scales u, or u - v, and what makes the scaled vector 1 long; 0 for the zero vector."""
    scale, square = _scaled_square(*vectors)
    zero = square == 0
    longest = 2.0 ** (3 * jnp.finfo(square.dtype).maxexp // 4)  # longer than what is finite: so infinity is 1 long
    return scale, jnp.where(zero, 0, 1 / jnp.minimum(jnp.sqrt(jnp.where(zero, 1, square)), longest))


def _difference(u: Array, *v: Array) -> Array:
    return u - v[0] if v else u


def _scaled(scale: Input, *vectors: Array) -> Array:
    """u, or u - v, times a power of two. The difference itself, with many readers, would be written to memory."""
    if vectors[1:]:  # infinite products of equal components must not differ by NaN
        return _difference(*(finite_slope(x * scale) for x in vectors))
    return vectors[0] * scale


def _largest(*vectors: Array) -> Array:
    """The largest component of u, or of u - v, without a slope, and 16 for 0. The last axis is kept."""
    vectors = jax.lax.stop_gradient(vectors)
    # Of v - u, since what two sums share is written to memory on a CPU.
    largest = row_sum(lambda *x: jnp.abs(_difference(*x[::-1])), *vectors, by=functools.partial(jnp.max, initial=0))
    return jnp.where(largest == 0, 16, jnp.maximum(largest, 4 * jnp.finfo(largest.dtype).tiny))


def _scale(largest: Array) -> Array:
    """A power of two that brings a number to between 6 and 16, so that 16 over the number is in the format, too."""
    number = jnp.finfo(largest.dtype)
    return 8 / jax.lax.reduce_precision(jnp.minimum(largest, 2.0 ** (number.maxexp - 1)), number.nexp, 0)


def _square(scale: Array, *vectors: Array) -> Array:
    """The squared length of u, or of u - v, times a number."""
    return row_sum(lambda scale, *x: jnp.square(_difference(*x) * scale), scale, *vectors)


@jax.custom_jvp
def _scaled_square(*vectors: Array) -> tuple[Array, Array]:
    """A power of two, and the square of the length of u or u - v times that power. Both keep the last axis.

    A GPU and a TPU form the squares with each of three powers in one pass, and choose afterwards. A CPU, where three
    sums are three passes, looks for the largest component first.
    """
    dtype = vectors[0].dtype
    maxexp = jnp.finfo(dtype).maxexp
    small, large = 2.0 ** (5 * maxexp // 8), 2.0 ** (-9 * maxexp // 16)

    def by_largest(*vectors: Array) -> tuple[Array, Array]:
        scale = _scale(_largest(*vectors))
        return scale, _square(scale, *vectors)

    def by_choice(*vectors: Array) -> tuple[Array, Array]:
        low, plain, high = (_sum(jnp.square(_scaled(scale, *vectors))) for scale in (small, 1.0, large))
        is_low, is_high = plain < 2.0 ** (-maxexp // 2), plain > 2.0 ** (3 * maxexp // 4)
        scale = jnp.where(is_low, small, jnp.where(is_high, large, 1)).astype(dtype)
        return scale, jnp.where(is_low, low, jnp.where(is_high, high, plain))

    return jax.lax.platform_dependent(*vectors, cpu=by_largest, default=by_choice)


@_scaled_square.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that overflows: that of the squares which are not chosen.
    scale, square = _scaled_square(*primals)
    change = 2 * _sum(_scaled(scale, *primals) * (_difference(*tangents) * scale))
    return (scale, square), (jnp.zeros_like(scale), change)


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)
