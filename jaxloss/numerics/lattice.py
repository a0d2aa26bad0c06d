"""Sums over the paths of a lattice, in logarithms that keep their digits.

The logarithm of a sum over paths grows with the number of frames, and a last digit of it with it. So a sweep keeps its
state relative to the largest of it, and adds up what it has taken away: the state stays near 0, where digits are fine.
The probabilities of a frame add up to 1, and need only the relative states.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array


def log_add(a: Array, b: Array) -> Array:
    r"""The logarithm of the sum of two exponentials, -inf among them.

    $$ \log(e^a + e^b) $$

    The slopes are finite everywhere, also where both are -inf.

    >>> print(log_add(jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, -jnp.inf])))
    [  0. -inf]
    """
    larger, smaller = jnp.where(b > a, b, a), jnp.where(b > a, a, b)
    nothing = larger == -jnp.inf
    finite = jnp.where(nothing, 0, larger)
    return jnp.where(nothing, -jnp.inf, finite + softplus(smaller - finite))


def log_sum(x: Array) -> Array:
    """The logarithm of the sum of exponentials over the last axis, -inf among them; for a step of a scan."""
    largest = jax.lax.stop_gradient(jnp.max(x, axis=-1))
    nothing = largest == -jnp.inf
    finite = jnp.where(nothing, 0, largest)
    total = jnp.sum(jnp.exp(x - finite[..., None]), axis=-1)
    return jnp.where(nothing, -jnp.inf, finite + jnp.log(jnp.where(nothing, 1, total)))


def relative(*lanes: Array) -> tuple[tuple[Array, ...], Array]:
    """The lanes of a state less their largest number, and that number; 0 where all are -inf. It is a constant."""
    largest = jnp.max(jnp.stack([jnp.max(lane, initial=-jnp.inf) for lane in lanes]))
    largest = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest))
    return tuple(lane - largest for lane in lanes), largest


def shares(*lanes: Array) -> tuple[Array, ...]:
    """The exponentials of the lanes, divided by the sum of all; 0 where all are -inf."""
    lanes, _ = relative(*lanes)
    exponentials = [jnp.exp(lane) for lane in lanes]
    total = jnp.sum(jnp.stack([jnp.sum(lane) for lane in exponentials]))
    return tuple(lane / jnp.where(total == 0, 1, total) for lane in exponentials)


def add_offset(total: tuple[Array, Array], offset: Array) -> tuple[Array, Array]:
    """A running sum, and what it has rounded away (Kahan)."""
    running, rest = total
    due = offset - rest
    new = running + due
    return new, (new - running) - due


def compacted(labels: Array, mask: Array | None) -> tuple[Array, Array]:
    """The labels of a mask first, in their order, and how many they are.

    >>> print(*compacted(jnp.array([5, 6, 7]), jnp.array([False, True, True])))
    [6 7 5] 2
    """
    if mask is None:
        return labels, jnp.asarray(labels.shape[0], jnp.int32)
    _, first = jax.lax.sort(((~mask).astype(jnp.int32), labels), num_keys=1, is_stable=True)
    return first, jnp.sum(mask, dtype=jnp.int32)


def chosen(frames: Array, new: Sequence[Array], old: Sequence[Array]) -> tuple[Array, ...]:
    """The new state at a frame that counts; a masked one passes the old."""
    return tuple(jnp.where(frames, *both) for both in zip(new, old, strict=True))
