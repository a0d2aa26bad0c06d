"""Scores of an ensemble of samples: how far they are from the outcome, less half of how far from each other."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.distances import safe_norm, unit_vector
from jaxloss.numerics.rows import may_be_split
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def ensemble_score(samples: Array, outcome: Array) -> Array:
    r"""The integral of the squared difference between the distribution of m samples and the step at the outcome.

    $$ \frac1m \sum_i |x_i - y| - \frac1{2 m^2} \sum_{i,j} |x_i - x_j|
       = \int \left( F(t) - [t \ge y] \right)^2 dt $$

    The samples are the last axis. They are sorted, and the gaps between neighbours added up, each times its share of F
    or 1 - F squared: no sum over pairs, and nothing to cancel. The gradient is exact; of samples that are equal, and at
    the outcome, it is the middle of the subgradients.

    >>> print(f"{ensemble_score(jnp.array([1.0, -1.0, 4.0]), jnp.array(0.0)):.4f}")
    0.8889
    """
    return _score(jnp.sort(samples, axis=-1), outcome)


@ensemble_score.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (samples, outcome), (dx, dy) = primals, tangents
    members = samples.shape[-1]
    places = jax.lax.broadcasted_iota(jnp.int32, samples.shape, samples.ndim - 1)
    ordered, places = jax.lax.sort((samples, places), dimension=-1, num_keys=1)
    side = jnp.sign(samples - outcome[..., None])
    slope = (members * side - _put_back(_lead(ordered), places)) / members**2
    return _score(ordered, outcome), jnp.sum(slope * dx, axis=-1) - dy * (jnp.sum(side, axis=-1) / members)


def _score(ordered: Array, outcome: Array) -> Array:
    members = ordered.shape[-1]
    share = (1 + jax.lax.broadcasted_iota(ordered.dtype, ordered.shape, ordered.ndim - 1)) / members
    outcome = outcome[..., None]
    gaps_below = jnp.diff(jnp.minimum(ordered, outcome), axis=-1, append=outcome)
    gaps_above = jnp.diff(jnp.maximum(ordered, outcome), axis=-1, prepend=outcome)
    below = jnp.sum(gaps_below * jnp.square(share), axis=-1)
    return below + jnp.sum(gaps_above * jnp.square(jnp.flip(share, axis=-1)), axis=-1)


def _put_back(ordered: Array, places: Array) -> Array:
    """To the places from which they were sorted."""
    if may_be_split(ordered):
        return jax.lax.sort((places, ordered), dimension=-1, num_keys=1)[1]
    return jnp.put_along_axis(jnp.zeros_like(ordered), places, ordered, axis=-1, inplace=False)


def _lead(ordered: Array) -> Array:
    """How many of the sorted samples are smaller, less how many are larger."""
    place = jax.lax.broadcasted_iota(jnp.int32, ordered.shape, ordered.ndim - 1)
    rises = ordered[..., 1:] > ordered[..., :-1]
    edge = jnp.ones_like(rises, shape=(*ordered.shape[:-1], 1))
    first = jnp.where(jnp.concatenate([edge, rises], -1), place, 0)
    last = jnp.where(jnp.concatenate([rises, edge], -1), place, ordered.shape[-1])
    smaller = jax.lax.cummax(first, axis=ordered.ndim - 1)
    not_larger = jax.lax.cummin(last, axis=ordered.ndim - 1, reverse=True) + 1
    return (smaller + not_larger - ordered.shape[-1]).astype(ordered.dtype)


@jax.custom_jvp
@jax.jit
def energy(samples: Array, outcome: Array) -> Array:
    r"""The energy score of m samples in d dimensions, `(m, d)`, at an outcome `(d)`.

    $$ \frac1m \sum_i \lVert x_i - y \rVert - \frac1{2 m^2} \sum_{i,j} \lVert x_i - x_j \rVert $$

    The pairs are visited a sample at a time, so that memory follows m d and not m^2 d. The gradient of a distance that
    is 0 is 0.

    >>> print(f"{energy(jnp.array([[3.0, 0.0], [0.0, 4.0]]), jnp.zeros(2)):.2f}")
    2.25
    """
    members = samples.shape[0]
    apart = jax.lax.map(lambda x: jnp.sum(safe_norm(x[None] - samples)), samples)
    return jnp.sum(safe_norm(samples - outcome[None])) / members - jnp.sum(apart) / (2 * members**2)


@energy.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (samples, outcome), (dx, dy) = primals, tangents
    members = samples.shape[0]
    pull = unit_vector(samples - outcome[None])
    push = jax.lax.map(lambda x: jnp.sum(unit_vector(x[None] - samples), axis=0), samples)
    slope = (pull - push / members) / members
    return energy(samples, outcome), jnp.sum(slope * dx) - jnp.sum(jnp.sum(pull, axis=0) / members * dy)
