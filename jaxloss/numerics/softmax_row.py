"""What a row of logits is to its largest: of that, all that a softmax says of its classes is formed."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import apart
from jaxloss.numerics.partition import (
    exact_weight,
    largest_and_index,
    nearest_whole,
    origin_of,
    sum_without,
    weight_of_largest,
)


class Row(NamedTuple):
    """What a row of logits is to its largest, the last axis kept."""

    largest: Array
    place: Array
    """Where the largest is; the first if there are more."""
    at_largest: Array
    """The weight of the largest."""
    others: Array
    """The sum of all other weights."""

    @property
    def log_rest(self) -> Array:
        """The surprisal of the largest."""
        return jnp.log1p(self.others / self.at_largest)

    @property
    def complement(self) -> Array:
        """The probability of all but the largest, which is 1 where no class is possible."""
        total = self.at_largest + self.others
        # Of the smaller part there is less to round.
        shared = jnp.where(self.others > self.at_largest, 1 - self.at_largest / total, self.others / total)
        return jnp.where(jnp.isneginf(self.largest), 1, shared)

    def surprisal(self, logits: Array) -> Array:
        """Of each class."""
        return gap_to(self.largest, logits) + self.log_rest


def row_of(logits: Array) -> Row:
    """Of logits along the last axis."""
    largest, place = largest_and_index(logits)
    origin = nearest_whole(largest)
    others = sum_without(exact_weight, place, (logits,), (origin,))
    return Row(largest, place, jnp.where(jnp.isneginf(largest), 1, exact_weight(largest, origin)), others)


def divisor_of(row: Row, classes: int) -> tuple[Array, Array]:
    """The origin of weights, and what to divide them by for probabilities."""
    origin = origin_of(row.largest, classes)
    return origin, weight_of_largest(row.largest, origin) * (1 + row.others / row.at_largest)


def numbers_of(row: Row) -> tuple[Array, ...]:
    """What `bounded_surprisal` takes of a row, apart from what other sums take."""
    most, huge = jnp.finfo(row.others.dtype).max, 2.0 ** (jnp.finfo(row.others.dtype).maxexp - 1)
    within = jnp.where(jnp.isneginf(row.largest), 0, jnp.minimum(row.largest, most))
    beyond = jnp.where(jnp.isposinf(row.largest), huge, 1)
    numbers: tuple[Array, ...] = apart(within, beyond, row.log_rest, jnp.ones_like(within))
    return numbers


def bounded_surprisal(target: Array, logit: Array, within: Array, beyond: Array, log_rest: Array, one: Array) -> Array:
    """The surprisal of a class; that of the largest where the target is 0. By arithmetic alone, which XLA adds up."""
    most, huge = jnp.finfo(logit.dtype).max * one, 2.0 ** (jnp.finfo(logit.dtype).maxexp - 1) * one
    # Where the largest is inf, so is every gap but that of an inf.
    gap = (within - jnp.minimum(most, logit)) * beyond
    bound = jnp.abs(target * huge) * huge
    return jnp.minimum(bound, gap) + log_rest


def gap_to(largest: Array, logits: Array) -> Array:
    """How far logits are below the largest of their row: 0 at it also where it is inf, and inf where all are -inf."""
    impossible, is_largest = jnp.isneginf(logits), (logits == largest) & (largest > -jnp.inf)
    gap = jnp.where(is_largest, 0, largest - jnp.where(is_largest | impossible, 0, logits))
    return jnp.where(impossible & ~jnp.isnan(largest), jnp.inf, gap)
