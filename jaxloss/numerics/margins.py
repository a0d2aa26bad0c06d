"""Sums over the pairs of a list that miss a margin, by sorts and not by pairs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.order import split_as
from jaxloss.types import Array

Sums = tuple[Array, Array, Array]
"""A sum over pairs; its slopes in the scores, of each member as the lower one of its pairs, and as the higher one."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))  # a sweep that makes its gradient on the way
def misses(scores: Array, grades: Array, listed: Array, margin: Array, power: int) -> tuple[Array, Array]:
    r"""By how much the pairs of a list, `[n]`, miss a margin, to the power 1 or 2; and how many pairs there are.

    $$ \sum_{i, j:\,y_i > y_j} \max \bigl( 0, m - (s_i - s_j) \bigr)^r $$

    In O(n log^2 n) for two grades, log g times that for g grades, and in O(n) memory. A second derivative is that of
    forward mode over reverse mode.

    >>> scores, grades = jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])
    >>> print(*misses(scores, grades, jnp.ones(3, bool), jnp.array(1.0), 1))
    2.0 3.0
    """
    (total, _, _), pairs = _sweep(scores, grades, listed, margin, power)
    return total, pairs


@misses.defjvp
def _(power: int, primals: Any, tangents: Any) -> Any:
    scores, grades, listed, margin = primals
    (total, rise, fall), pairs = _sweep(scores, grades, listed, margin, power)
    slope = jnp.sum((rise - fall) * tangents[0]) + jnp.sum(fall) * tangents[3]
    return (total, pairs), (slope, jnp.zeros_like(pairs))


def _sweep(scores: Array, grades: Array, listed: Array, margin: Array, power: int) -> tuple[Sums, Array]:
    """The sums, one bit of the grades after the other, and the number of pairs.

    The grades are numbered. Two numbers agree down to some bit, which the higher one has and the lower one has not: so
    each pair is of one bit, and of one group of members that agree in the bits before.
    """
    place = split_as(scores, jax.lax.iota(jnp.int32, scores.shape[0]))
    grades, scores, listed, order = jax.lax.sort((grades, scores, listed, place), num_keys=1)
    rises = jnp.concatenate([place[:1] < 0, grades[1:] != grades[:-1]])
    number = _running_sum(rises.astype(jnp.int32), 0 * place)
    count = listed.astype(jnp.int32)
    lower = _running_sum(count, 0 * place) - _running_sum(count, number)
    pairs = jnp.sum(jnp.where(listed, lower, 0).astype(scores.dtype))

    def of_bit(state: tuple[Array, Sums]) -> tuple[Array, Sums]:
        bit, (total, rise, fall) = state
        has = (number >> bit) & 1 == 1
        # The sort is stable: of a pair at the margin the lower one comes first, and it has no slope.
        keys = number >> (bit + 1), jnp.where(has, scores - margin, scores)
        group, at, who = jax.lax.sort((*keys, place), num_keys=2)
        higher, lower = ((listed & side)[who].astype(at.dtype) for side in (has, ~has))
        more = _of_groups(group, at, higher, lower, power)
        return bit + 1, (total + more[0], rise.at[who].add(more[1]), fall.at[who].add(more[2]))

    none = jnp.zeros_like(scores)
    start = 0 * number[0], (jnp.sum(none), none, none)
    _, (total, *slopes) = jax.lax.while_loop(lambda state: number[-1] >> state[0] > 0, of_bit, start)
    _, rise, fall = jax.lax.sort((order, *slopes), num_keys=1)
    return (total, rise, fall), pairs


def _of_groups(group: Array, at: Array, higher: Array, lower: Array, power: int) -> Sums:
    r"""The sums over the pairs of each group, whose members are sorted: the higher ones at s - m, the lower ones at s.

    What a pair misses is the sum of the gaps from its higher member on to its lower one. So all terms are positive in

    $$ \sum_k d_k A_k B_k $$

    with the gaps d, the number A of higher members before each, and the number B of lower ones after it.
    """
    above = _running_sum(higher, group)
    below = _sum_from_here(lower, group) - lower
    gap = jnp.where((above > 0) & (below > 0), jnp.append(jnp.diff(at), 0 * at[:1]), 0)
    if power == 1:
        return jnp.sum(gap * above * below), above * lower, below * higher
    until = _running_sum(jnp.append(0 * at[:1], (gap * above)[:-1]), group)
    onwards = _sum_from_here(gap * below, group)
    return jnp.sum(gap * below * (2 * until + gap * above)), 2 * until * lower, 2 * onwards * higher


def _running_sum(x: Array, group: Array) -> Array:
    """The sum of the members of a group up to each; no difference of sums over all groups, which would cancel.

    Each step adds the sum of as many members before as the last one has summed. In a loop it compiles in a fourth of
    the time of `jax.lax.associative_scan`.
    """
    n = x.shape[0]

    def before(x: Array, step: Array) -> Array:
        return jax.lax.dynamic_slice(jnp.append(x, x), (n - step,), (n,))

    def twice(k: Array, x: Array) -> Array:
        step = 1 << k
        return x + jnp.where((place >= step) & (before(group, step) == group), before(x, step), 0)

    place = split_as(group, jax.lax.iota(jnp.int32, n))
    total: Array = jax.lax.fori_loop(0, (n - 1).bit_length(), twice, x)
    return total


def _sum_from_here(x: Array, group: Array) -> Array:
    return _running_sum(x[::-1], group[::-1])[::-1]
