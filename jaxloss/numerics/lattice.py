"""Sums over the paths of a lattice, in logarithms that keep their digits.

The logarithm of a sum over paths grows with the number of frames, and a last digit of it with it. So a sweep keeps its
state relative to the largest of it, and adds up what it has taken away: the state stays near 0, where digits are fine.
The probabilities of a frame add up to 1, and need only the relative states.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxloss.types import Array


def log_add(a: Array, b: Array) -> Array:
    r"""The logarithm of the sum of two exponentials, -inf among them.

    $$ \log(e^a + e^b) $$

    The slopes are finite everywhere, also where both are -inf.

    >>> print(log_add(jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, -jnp.inf])))
    [  0. -inf]
    """
    larger, smaller = jnp.where(b > a, b, a), jnp.where(b > a, a, b)
    return larger + _log1p(jnp.exp(smaller - jnp.where(larger == -jnp.inf, 0, larger)))


def _log1p(x: Array) -> Array:
    """log(1 + x) for x from 0 to 1, as the series of 2 atanh(x / (2 + x)): a third of the time of `jnp.log1p`."""
    highest = 7 if jnp.finfo(x.dtype).nmant < 30 else 16
    ratio = x / (2 + x)
    series = jnp.full_like(x, 2 / (2 * highest + 1))
    for n in range(highest - 1, -1, -1):
        series = series * (ratio * ratio) + 2 / (2 * n + 1)
    return ratio * series


def log_sum(x: Array) -> Array:
    """The logarithm of the sum of exponentials over the last axis, -inf among them; for a step of a scan."""
    largest = jax.lax.stop_gradient(jnp.max(x, axis=-1))
    nothing = largest == -jnp.inf
    finite = jnp.where(nothing, 0, largest)
    total = jnp.sum(jnp.exp(x - finite[..., None]), axis=-1)
    return jnp.where(nothing, -jnp.inf, finite + jnp.log(jnp.where(nothing, 1, total)))


def relative(*lanes: Array) -> tuple[tuple[Array, ...], Array]:
    """The lanes of a state less their largest number, and that number; 0 where all are -inf. It is a constant."""
    largest = functools.reduce(jnp.maximum, (jnp.max(lane, initial=-jnp.inf) for lane in lanes))
    largest = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest))
    return tuple(lane - largest for lane in lanes), largest


def shares(*lanes: Array) -> tuple[Array, ...]:
    """The exponentials of the lanes, divided by the sum of all; 0 where all are -inf."""
    exponentials = [jnp.exp(lane) for lane in lanes]
    total = functools.reduce(jnp.add, map(jnp.sum, exponentials))
    return tuple(lane / jnp.where(total == 0, 1, total) for lane in exponentials)


def add_offset(total: tuple[Array, Array], offset: Array) -> tuple[Array, Array]:
    """A running sum, and what it has rounded away (Kahan)."""
    running, rest = total
    due = offset - rest
    new = running + due
    return new, (new - running) - due


def compacted(x: Array, mask: Array | None) -> tuple[Array, Array]:
    """The entries along the first axis that a mask keeps first, in their order, and how many they are.

    >>> print(*compacted(jnp.array([5, 6, 7]), jnp.array([False, True, True])))
    [6 7 5] 2
    """
    if mask is None:
        return x, jnp.asarray(x.shape[0], jnp.int32)
    place = alike(jax.lax.iota(jnp.int32, x.shape[0]), x)
    _, order = jax.lax.sort(((~mask).astype(jnp.int32), place), num_keys=1, is_stable=True)
    return x[order], jnp.sum(mask, dtype=jnp.int32)


def chosen(frames: Array, new: Sequence[Array], old: Sequence[Array]) -> tuple[Array, ...]:
    """The new state at a frame that counts; a masked one passes the old."""
    return tuple(jnp.where(frames, *both) for both in zip(new, old, strict=True))


def shifted(lane: Array, before: int, after: int, fill: float = -jnp.inf) -> Array:
    """The lane with places before and after it; a negative number takes places away."""
    return jax.lax.pad(lane, jnp.asarray(fill, lane.dtype), [(before, after, 0)])


def alike(constant: Array, x: Array) -> Array:
    """The constant, split over devices as x is: explicit meshes ask it of what a loop carries."""
    first = jnp.sum(x[:1])
    return jnp.where(first == first, constant, constant)
