"""Lists in the order of a key: sums of exponentials from a place on, and partial likelihoods that are made of them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.pairs import some_at_a_time
from jaxloss.numerics.safe import largest_like, safe_log
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array

_FEW = 256  # members whose pairs are formed sooner than sorted: a TPU reads a tile for each number that it gathers


class Ordered(NamedTuple):
    """A list sorted by its keys, the smallest first.

    Attributes:
        order: The place of each in the list.
        largest: The largest score of all, 0 if that is -inf.
        first: The first place of the same key, in the sorted list.
        last: The last one.
        scores: The scores, less the largest.
        after: log sum exp of the scores of larger keys; a hugely negative number where there are none.
        from_here: log sum exp of the scores of the same and larger keys.
    """

    order: Array
    largest: Array
    first: Array
    last: Array
    scores: Array
    after: Array
    from_here: Array


def in_order(keys: Array, scores: Array) -> Ordered:
    """Sorts a list, `[n]`, by its keys; a score of -inf is in no sum."""
    place = jax.lax.iota(jnp.int32, keys.shape[0])
    keys, order = jax.lax.sort((keys, split_as(keys, place)), num_keys=1)
    first, last = ties(keys)
    largest = jax.lax.stop_gradient(jnp.max(scores))  # no term depends on a constant added to all
    largest = jnp.where(largest == -jnp.inf, 0, largest)
    scores = (scores - largest)[order]
    nothing = -0.5 * largest_like(scores)  # a finite one: JAX has no slope where it adds -inf to -inf
    running = jax.lax.cumlogsumexp(jnp.where(scores == -jnp.inf, nothing, scores), reverse=True)
    after = jnp.concatenate([running[1:], nothing[:1]])[last]
    return Ordered(order, largest, first, last, scores, after, running[first])


def log_sum_of_larger(keys: Array, scores: Array) -> Array:
    """For each member of a list, `[n]`, log sum exp of the scores of larger keys: -inf or hugely negative of none."""
    if keys.shape[0] > _FEW:
        ordered = in_order(keys, scores)
        return jnp.zeros_like(scores).at[ordered.order].set(ordered.after) + ordered.largest
    top = _largest(lambda key: ~(keys <= key), keys, scores)

    def larger(key: Array, top: Array) -> Array:
        return jnp.sum(jnp.exp(jnp.where(keys > key, scores - top, -jnp.inf)))

    return top + safe_log(some_at_a_time(larger, keys, top, block=_FEW))


def _largest(counts: Callable[[Array], Array], keys: Array, scores: Array) -> Array:
    """For each key, the largest of the scores that count; 0 of none.

    What counts is spelt otherwise than in the sums: a GPU would keep an array of all pairs that both ask for.
    """
    largest = jax.vmap(lambda key: jnp.max(jnp.where(counts(key), scores, -jnp.inf)))(keys)
    return jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest))


def ties(keys: Array) -> tuple[Array, Array]:
    """The first and the last place of the key that stands at each place of sorted keys, `[n]`."""
    place = jax.lax.iota(jnp.int32, keys.shape[0])
    rises, edge = keys[1:] != keys[:-1], jnp.ones(1, bool)
    first = jax.lax.cummax(jnp.where(jnp.concatenate([edge, rises]), place, 0))
    last = jax.lax.cummin(jnp.where(jnp.concatenate([rises, edge]), place, keys.shape[0] - 1), reverse=True)
    return first, last


def order_by(*keys: Array) -> Array:
    """The numbers of the members, from 0, sorted by their keys, the smallest first; equal ones as they stand."""
    keys = tuple(map(jax.lax.stop_gradient, keys))
    return jax.lax.sort((*keys, _places(keys[0])), num_keys=len(keys))[-1]


def places_by(*keys: Array) -> Array:
    """The place of each member, from 0, when sorted by the keys."""
    return jax.lax.sort((order_by(*keys), _places(keys[0])), num_keys=1)[1]


def count_below(members: Array, limits: Array, *, or_at: bool) -> Array:
    """How many members are below each limit, or at it too: by sorts, which work where a mesh splits leading axes."""
    joint = jnp.concatenate([members, limits])
    of_limits = split_as(joint, jnp.arange(joint.shape[0]) >= members.shape[0])
    first_at_ties = of_limits != or_at
    places = places_by(joint, (~first_at_ties).astype(jnp.int32))
    return places[members.shape[0] :] - places_by(limits)


def _places(keys: Array) -> Array:
    return split_as(keys, jax.lax.iota(jnp.int32, keys.shape[0]))


def split_as(keys: Array, members: Array) -> Array:
    """The members, split over devices as the keys are, which sorts and gathers on explicit meshes ask for."""
    return jnp.where(keys == keys, members, members)


def partial_nll(keys: Array, scores: Array, chosen: Array, *, average_ties: bool) -> Array:
    r"""The negative log partial likelihood of the chosen members, each drawn from those whose key is not smaller.

    $$ \sum_{i\ \mathrm{chosen}} \log \sum_{j:\,t_j \ge t_i} e^{s_j} - s_i $$

    With `average_ties`, the d chosen members of one key leave the sum one after the other, each by a share 1 / d of
    them all (Efron). A score of -inf is in no sum.

    The terms are formed from what is left of a sum without the member itself, so that a member that is sure to be drawn
    costs 1e-9 when it should.
    """
    if keys.shape[0] <= _FEW:
        return _partial_nll_of_few(keys, scores, chosen, average_ties=average_ties)
    order, _, first, last, scores, after, log_sum = in_order(keys, scores)
    chosen = split_as(keys, chosen)[order]
    share = jnp.exp(scores - log_sum)  # of the whole sum

    def with_same_key(x: Array) -> Array:
        return jnp.zeros_like(x).at[first].add(x)[first]

    leaving = with_same_key(jnp.where(chosen, share, 0))
    gone = jnp.zeros_like(share)  # what of the chosen has left the sum, in shares of them all
    if average_ties:
        count = jnp.cumsum(chosen)
        before = count - chosen.astype(count.dtype)
        before_key = before[first]
        gone = jnp.where(chosen, (before - before_key) / jnp.maximum(1, count[last] - before_key), 0).astype(
            share.dtype
        )
    staying = with_same_key(jnp.where(chosen, 0, share))
    others = jnp.exp(after - log_sum) + staying + (1 - gone) * (leaving - share) - gone * share
    near = chosen & (share > 0.5)
    sure = jnp.log1p(others / jnp.where(near, share, 1))
    unsure = log_sum - scores + jnp.log1p(-gone * jnp.where(near, 0, leaving))
    return jnp.sum(jnp.where(chosen, jnp.where(near, sure, unsure), 0))


def _partial_nll_of_few(keys: Array, scores: Array, chosen: Array, *, average_ties: bool) -> Array:
    """The same by the pairs of all: of each, log(1 + what is left of the others, of what is left of itself)."""
    n, place = keys.shape[0], _places(keys)
    staying = jnp.ones_like(scores)  # what of the chosen with its key is still in the sum
    if average_ties:

        def counts(key: Array, here: Array) -> Array:  # two in one sum, for which a GPU keeps no array of pairs
            return jnp.sum(jnp.where(chosen & (keys == key), jnp.where(place < here, n + 1, 1), 0))

        before, others = jnp.divmod(some_at_a_time(counts, keys, place, block=_FEW), n + 1)
        staying = jnp.where(chosen, others / jnp.maximum(1, before + others), 1).astype(scores.dtype)
    top = _largest(lambda key: ~(keys < key), keys, scores)

    def left(key: Array, here: Array, top: Array, staying: Array) -> Array:
        others = jnp.exp(jnp.where((keys >= key) & (place != here), scores - top, -jnp.inf))
        return jnp.sum(jnp.where(chosen & (keys <= key), staying * others, others) if average_ties else others)

    log_sum = top + safe_log(some_at_a_time(left, keys, place, top, staying, block=_FEW))
    costs = softplus(log_sum - jnp.where(chosen, scores, 0) - jnp.log(staying)) + jnp.log(staying)
    return jnp.sum(jnp.where(chosen, costs, 0))
