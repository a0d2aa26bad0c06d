"""What the classes of a row weigh against each other: exponentials of exact differences, summed without one of them.

On a CPU, XLA fuses with a sum along a row only what is arithmetic, and writes out all else, a choice of classes too. So
a class is left out of the sum over its own block of the row, which is small, and not out of the sums over the others.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array


@functools.partial(jax.jit, inline=True)
def largest_and_others(logits: Array) -> tuple[Array, Array]:
    r"""Of logits along the last axis, which is kept, the largest m, and the weights of all others against it.

    $$ m = \max_j x_j, \qquad \sum_{i \ne \operatorname{arg\,max} x} e^{x_i - m} $$

    The second is true to the last digit also where it is tiny beside 1, the weight of the largest. Where all logits
    are -inf it is 0; where the largest is inf, the number of the others that are inf.

    >>> largest, others = largest_and_others(jnp.array([20.0, 0.0, -jnp.inf]))
    >>> print(largest, others)
    [20.] [2.0611537e-09]
    """
    largest, origin, others = largest_origin_and_others(logits)
    return largest, others / weight_of_largest(largest, origin)


def largest_origin_and_others(logits: Array) -> tuple[Array, Array, Array]:
    """The largest of the logits, the origin of the weights, and the sum of all weights but that of the largest."""
    largest, index = largest_and_index(logits)
    origin = origin_of(largest, logits.shape[-1])
    return largest, origin, sum_without(weight, index, (logits,), (origin,))


def largest_and_index(logits: Array) -> tuple[Array, Array]:
    """The largest of the logits, the last axis kept, and where it first is."""
    blocks = _blocks(logits)
    largest_of_blocks = _largest_of_blocks(blocks)
    largest = jnp.max(largest_of_blocks, axis=-1, keepdims=True)
    block = _first(largest_of_blocks, largest)
    return largest, block * blocks.shape[-1] + _first(_entry(blocks, block), largest)


def largest_of(logits: Array) -> Array:
    """The largest of a row; the last axis is kept."""
    return jnp.max(_largest_of_blocks(_blocks(logits)), axis=-1, keepdims=True)


def origin_of(largest: Array, classes: int) -> Array:
    """What to subtract from the logits of a row, of which the largest is given, before an exponential.

    Not the largest: a gap of 80 is off by up to 4e-6, and so would be its exponential, 50 ulp. The logits themselves
    are exact, and so are their differences with a whole number that is nearer to 0 than they. So the origin is 0 where
    the sum over the classes stays finite, and else so near to it that only what is 1e-30 beside the largest is rounded.
    """
    most = jnp.finfo(largest.dtype).max
    reach = int(math.log(most) - math.log(classes)) - 3
    whole = jnp.floor(jnp.where(jnp.isneginf(largest), 0, jnp.minimum(largest, most)))
    return jnp.minimum(whole, 0) + jnp.maximum(whole - reach, 0)


def weight(logits: Array, origin: Array) -> Array:
    """The exponential of logits minus the origin; where the largest is inf, 1 at each inf and 0 at all others."""
    most = jnp.finfo(logits.dtype).max
    # In this order: fused with a sum, a minimum of XLA is its second operand if one of them is NaN.
    return jnp.exp(jnp.minimum(jnp.where(origin == most, most, jnp.inf), logits) - origin)


def weight_of_largest(largest: Array, origin: Array) -> Array:
    """The weight of the largest, and 1 where all are -inf."""
    return jnp.where(jnp.isneginf(largest), 1, weight(largest, origin))


def nearest_whole(largest: Array) -> Array:
    """The whole number nearest to the largest of a row, finite in any case: the origin of `exact_weight`."""
    return jnp.round(jnp.where(jnp.isneginf(largest), 0, jnp.minimum(largest, jnp.finfo(largest.dtype).max)))


def exact_weight(logits: Array, origin: Array) -> Array:
    """As `weight`, from the whole number nearest to the largest, so that the same differences have the same weights.

    What the rounding takes from a difference is carried into its exponential. It is 0 where the difference is exact, as
    it is with a whole number but for logits nearer to 0 than that; far below, where it would be inf, it takes all.
    """
    most = jnp.finfo(logits.dtype).max
    logits = jnp.minimum(jnp.where(origin == most, most, jnp.inf), logits)
    difference = logits - origin
    lost = jnp.maximum(logits - (jnp.maximum(difference, -1000) + origin), -1)
    return jnp.exp(difference) * (1 + lost)


def sum_without(
    term: Callable[..., Array], index: Array, rows: tuple[Array, ...], numbers: tuple[Array, ...] = ()
) -> Array:
    """The sum, never by subtraction, of a term of the entries of rows, and of numbers of each, without one entry.

    The last axis is kept, as it is in the numbers.
    """
    blocks = [_blocks(row) for row in rows]
    count, width = blocks[0].shape[-2:]
    block, within = index // width, index % width
    own = term(*(_entry(row, block) for row in blocks), *numbers)
    sum_of_own = jnp.sum(jnp.where(is_index(own, within), 0, own), axis=-1, keepdims=True)
    if count == 1:
        return sum_of_own
    sums = jnp.sum(term(*blocks, *(number[..., None] for number in numbers)), axis=-1)
    return jnp.sum(jnp.where(is_index(sums, block), sum_of_own, sums), axis=-1, keepdims=True)


def entry_at(values: Array, index: Array) -> Array:
    """The entry of the last axis, which is kept."""
    blocks = _blocks(values)
    own = _entry(blocks, index // blocks.shape[-1])
    return jnp.sum(jnp.where(is_index(own, index % blocks.shape[-1]), own, 0), axis=-1, keepdims=True)


def mean_gap_and_count(logits: Array, largest: Array) -> tuple[Array, Array]:
    """How far the logits are below the largest, in the mean over those that are not -inf, and how many these are."""
    most = jnp.finfo(logits.dtype).max
    within = jnp.where(jnp.isneginf(largest), 0, jnp.minimum(largest, most))[..., None]
    blocks = _blocks(logits)
    # Constants, and numbers of the row that two sums share, XLA would write out as long as the row.
    (zero,) = jax.lax.optimization_barrier((jnp.zeros_like(within),))
    counts = jnp.sum(_possible(blocks, zero), axis=-1)
    within, zero = jax.lax.optimization_barrier((within, zero))
    half_gaps = jnp.minimum(zero + most, 0.5 * within - 0.5 * jnp.minimum(within, blocks))
    half_sums = jnp.sum(half_gaps * _possible(blocks, zero), axis=-1)
    counts, half_sums = jax.lax.optimization_barrier((counts, half_sums))
    count, half_sum = (jnp.sum(sums, axis=-1, keepdims=True) for sums in (counts, half_sums))
    mean = 2 * (half_sum / jnp.maximum(count, 1))
    return jnp.where(jnp.isposinf(largest) & (mean > 0), jnp.inf, mean), count


def _possible(logits: Array, zero: Array) -> Array:
    """1, and 0 where a logit is -inf, by arithmetic alone."""
    most = jnp.finfo(logits.dtype).max
    finite = jnp.minimum(zero + most, logits)
    return (zero + 1) - jnp.minimum(jnp.maximum(zero - most, finite) - finite, zero + 1)


def is_index(values: Array, index: Array) -> Array:
    """Where along the last axis an index is; split over devices as the values are, which a condition has to be."""
    position = jax.lax.broadcasted_iota(index.dtype, values.shape, values.ndim - 1)
    return (position == index[..., None]) & ~jnp.isnan(values)


def split_as(values: Array, number: Array) -> Array:
    """A number that all rows share, for each of the values, which are not NaN; split over devices as they are.

    Two cases that all rows share, JAX 0.10.0 leaves in one piece, and then refuses a condition that is split.
    """
    return number + jnp.isnan(values).astype(values.dtype)


def may_be_split(values: Array) -> bool:
    """Whether the last axis may be split over devices, where an entry cannot be read from its place."""
    return not jax.typeof(values).sharding.mesh.empty


def _blocks(logits: Array) -> Array:
    """The row, in one block if it may be split over devices."""
    classes = logits.shape[-1]
    width = classes if may_be_split(logits) else _block_width(classes)
    return logits.reshape(*logits.shape[:-1], classes // width, width)


def _first(values: Array, largest: Array) -> Array:
    """Where the largest of the last axis first is."""
    position = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    return jnp.min(jnp.where(values == largest, position, values.shape[-1] - 1), axis=-1)


def _largest_of_blocks(blocks: Array) -> Array:
    """One of each; kept from being skipped on the way to the largest of all, which would read the row once more."""
    largest: Array = jax.lax.optimization_barrier(jnp.max(blocks, axis=-1))
    return largest


def _entry(blocks: Array, block: Array) -> Array:
    if blocks.shape[-2] == 1:
        return jnp.squeeze(blocks, -2)
    return jnp.squeeze(jnp.take_along_axis(blocks, block[..., None, None], axis=-2), -2)


@functools.cache
def _block_width(classes: int) -> int:
    """The least divisor from the square root on, so that neither the blocks nor what is in one are many."""
    return next(width for width in range(1, classes + 1) if width**2 >= classes and classes % width == 0)
