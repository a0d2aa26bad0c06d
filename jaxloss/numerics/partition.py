"""What the classes of a row weigh against each other: exponentials of exact differences, and their sum without one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart
from jaxloss.numerics.rows import may_be_split, row_sums, written
from jaxloss.types import Array


class Row(NamedTuple):
    """What a row of logits is to its largest, the last axis kept."""

    largest: Array
    """Where all are -inf, the least finite number."""
    origin: Array
    """From which the weights count: the whole number nearest to the largest."""
    at_largest: Array
    """The weight of the largest; 0 where no class is possible."""
    others: Array
    """The sum of all weights but one of the largest, true to the last digit also where it is tiny beside that."""

    @property
    def rest(self) -> Array:
        """The weight of the others, in units of that of the largest."""
        return self.others / jnp.where(self.at_largest == 0, 1, self.at_largest)

    @property
    def log_rest(self) -> Array:
        """The surprisal of the largest."""
        return jnp.log1p(self.rest)

    @property
    def total(self) -> Array:
        """What to divide weights by for probabilities, which are 0 where no class is possible."""
        return jnp.where(self.at_largest == 0, 1, self.at_largest) + self.others

    @property
    def complement(self) -> Array:
        """The probability of all but the largest, which is 1 where no class is possible."""
        # Of the smaller part there is less to round.
        most_are_others = self.others > self.at_largest
        shared = jnp.where(most_are_others, 1 - self.at_largest / self.total, self.others / self.total)
        return jnp.where(self.at_largest == 0, 1, shared)

    def probability(self, logits: Array) -> Array:
        """Of each class; of each inf the same, if there is one."""
        return weight(_within(logits), self.origin) / self.total

    def beside(self, p: Array) -> Array:
        """The probability of all classes but one of probability p, not by subtraction where that would cancel."""
        return jnp.where(p > 0.5, self.complement, 1 - p)

    def surprisal(self, logits: Array) -> Array:
        """Of each class."""
        return gap_to(self.largest, logits) + self.log_rest


def row_of(logits: Array) -> Row:
    """Of logits along the last axis. Where the largest is inf, every inf weighs the same and all else nothing.

    >>> row = row_of(jnp.array([20.0, 0.0, -jnp.inf]))
    >>> print(row.largest, row.others / row.at_largest)
    [20.] [2.0611537e-09]
    """
    return row_and_sums(lambda *_: (), logits)[0]


def row_and_sums(terms: Callable[..., tuple[Array, ...]], logits: Array, *beside: Array) -> tuple[Row, list[Array]]:
    """As `row_of`, and of terms(largest, logits, *beside) the sums over the last axis, formed in the same loop."""
    largest, within, origin = _largest_and_origin(logits)

    def others_count_and_terms(logits: Array, *beside: Array) -> tuple[Array, ...]:
        is_largest = logits == largest
        others = weight(jnp.where(is_largest, -jnp.inf, logits), origin)
        return others, is_largest.astype(logits.dtype), *terms(largest, logits, *beside)

    others, count, *sums = row_sums(others_count_and_terms, logits, *beside)
    return _row(largest, origin, weight(within, origin), others, count), sums


def row_and_weights(logits: Array) -> tuple[Row, Array]:
    """As `row_of`, and the weights of all classes, for a slope: each inf weighs the same, if there is one.

    On a CPU they are formed once, and written to where the slope will be, as long as they are.
    """
    largest, within, origin = _largest_and_origin(logits)
    weights = written(weight(_within(logits), origin))
    at_largest = weight(within, origin)
    # Formed in two places, the same weight may differ by a last digit.
    least = at_largest * (1 - 2 * jnp.finfo(logits.dtype).eps)

    def others_and_count(weights: Array) -> tuple[Array, Array]:
        is_largest = weights >= least
        return jnp.where(is_largest, 0, weights), is_largest.astype(weights.dtype)

    return _row(largest, origin, at_largest, *row_sums(others_and_count, weights)), weights


def _largest_and_origin(logits: Array) -> tuple[Array, Array, Array]:
    largest = jnp.max(logits, axis=-1, keepdims=True, initial=-jnp.finfo(logits.dtype).max)
    within = _within(largest)
    return largest, within, jnp.round(within)


def _within(logits: Array) -> Array:
    return jnp.minimum(jnp.finfo(logits.dtype).max, logits)


def _row(largest: Array, origin: Array, at_largest: Array, others: Array, count: Array) -> Row:
    others += jnp.maximum(count - 1, 0) * at_largest
    # As one array, so that further sums over the row begin when these are done with: less is kept at a time.
    (together,) = apart(jnp.concatenate([largest, origin, jnp.where(count == 0, 0, at_largest), others], axis=-1))
    return Row(*jnp.split(together, 4, axis=-1))


def weight(logits: Array, origin: Array) -> Array:
    """The exponential of logits minus the origin.

    A gap of 80 is off by up to 4e-6, and so would be its exponential, 50 ulp. What the rounding takes is carried into
    it: nothing where the difference is exact, as with a whole number it is but for logits nearer to 0 than that; far
    below, where it would be inf, all. From a whole number, the same differences have the same weights.
    """
    difference = jnp.maximum(-1000, logits - origin)
    lost = jnp.maximum(-1, logits - (difference + origin))
    return jnp.exp(difference) * (1 + lost)


def gap_to(largest: Array, logits: Array) -> Array:
    """How far logits are below the largest of their row: 0 at it also where it is inf, and inf where all are -inf."""
    impossible, is_largest = jnp.isneginf(logits), logits == largest
    gap = jnp.where(is_largest, 0, largest - jnp.where(is_largest | impossible, 0, logits))
    return jnp.where(impossible & ~jnp.isnan(largest), jnp.inf, gap)


def mean_gap_and_count(logits: Array, largest: Array) -> tuple[Array, Array]:
    """How far the logits are below the largest, in the mean over those that are not -inf, and how many these are."""
    within = jnp.minimum(largest, jnp.finfo(logits.dtype).max)

    def half_gap_and_count(logits: Array) -> tuple[Array, Array]:
        possible = logits > -jnp.inf
        half_gap = jnp.where(possible, 0.5 * within - 0.5 * jnp.minimum(within, logits), 0)
        return half_gap, possible.astype(logits.dtype)

    half_sum, count = row_sums(half_gap_and_count, logits)
    mean = 2 * (half_sum / jnp.maximum(count, 1))
    return jnp.where(jnp.isposinf(largest) & (mean > 0), jnp.inf, mean), count


def is_index(values: Array, index: Array) -> Array:
    """Where along the last axis an index is; split over devices as the values are, which a condition has to be."""
    position = jax.lax.broadcasted_iota(index.dtype, values.shape, values.ndim - 1)
    here = position == index[..., None]
    return here & ~jnp.isnan(values) if may_be_split(values) else here


def split_as(values: Array, number: Array) -> Array:
    """A number that all rows share, for each of the values, which are not NaN; split over devices as they are.

    Two cases that all rows share, JAX 0.10.0 leaves in one piece, and then refuses a condition that is split.
    """
    return number + jnp.isnan(values).astype(values.dtype)
