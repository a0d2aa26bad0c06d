"""Losses that couple a batch: a value for each anchor, from its similarities to all members of the batch.

The similarities of all pairs, `[n, n]`, are never formed where they would not fit: some anchors at a time meet all
others, and meet them again for the gradient. Where the members are split over devices only the vectors of the others,
`[n, d]`, come together.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxloss.numerics.classes import nan_unless, place_of_largest
from jaxloss.numerics.devices import explicit, mesh_size
from jaxloss.numerics.norms import unit_vector
from jaxloss.numerics.safe import largest_like
from jaxloss.types import Array

_MEMORY = 8 * 2**20  # bytes of similarities: from there on a CPU is no faster


class Members(NamedTuple):
    """Who the members of a batch are; all that is not asked of them is None.

    Attributes:
        place: `[n]`, their numbers in the whole batch.
        labels: `[n]`, what they are; only compared for equality.
        mask: `[n]`, whether they are there.
    """

    place: Array
    labels: Any
    mask: Any

    def are_themselves(self, all_of_them: "Members") -> Array:
        """`[c, n]`, whether each of all is the anchor itself: by its number, since it may have a twin."""
        return self.place[:, None] == all_of_them.place[None]

    def are_there(self, all_of_them: "Members") -> Array:
        """`[c, n]`, whether the anchor is there, and the other one."""
        if self.mask is None or all_of_them.mask is None:
            return jnp.ones((1, 1), bool)
        return self.mask[:, None] & all_of_them.mask[None]

    def are_others(self, all_of_them: "Members") -> Array:
        """`[c, n]`, whether both are there, and are two."""
        return ~self.are_themselves(all_of_them) & self.are_there(all_of_them)

    def are_alike(self, all_of_them: "Members") -> Array:
        """`[c, n]`, whether each of all has the anchor's label."""
        return self.labels[:, None] == all_of_them.labels[None]

    def invalid(self, dtype: Any) -> Any:
        """0, and NaN for the members whose label is negative, which is no class."""
        return 0 if self.labels is None else nan_unless(self.labels >= 0, dtype)


def members(vectors: Array, labels: Array | None, mask: Array | None, axis_name: Any) -> Members:
    """The members that this device has, one for each vector."""
    count = vectors.shape[0]
    place = jnp.arange(count)
    if axis_name is not None:
        place += jax.lax.axis_index(axis_name) * count
    elif any(explicit(vectors)):
        place = jax.sharding.reshard(place, jax.P(explicit(vectors)[0]))  # split as the vectors are
    return Members(place, labels, mask)


def whole(tree: Any, axis_name: Any) -> Any:
    r"""The members of all devices, of arrays whose first axis is split over the mesh axes of this name.

    Its gradient is the exact one: what all devices' terms have to say about a member comes back to the device that has
    it. Without a name the arrays are whole already, and those that an explicit mesh splits are put on every device.
    """

    def of_one(x: Array) -> Array:
        if axis_name is not None:
            return jax.lax.all_gather(x, axis_name, tiled=True)
        return jax.sharding.reshard(x, jax.P(*[None] * x.ndim)) if any(explicit(x)) else x

    return jax.tree.map(of_one, tree)


def of_these(values: Array, these: Members, axis_name: Any) -> Array:
    """Of a value for each member of the whole batch those of the members that this device has."""
    if axis_name is None:
        return values
    return jax.lax.dynamic_slice_in_dim(values, these.place[0], these.place.shape[0])


def directions(loss: str, similarity: str, *vectors: Array) -> tuple[Array, ...]:
    """The vectors whose products are the similarities: unit ones for the cosine."""
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"{loss}: similarity must be 'cosine' or 'dot', got {similarity!r}.")
    return tuple(map(unit_vector, vectors)) if similarity == "cosine" else vectors


def products(anchors: Array, others: Array) -> Array:
    """`[c, n]`, of each anchor with each other; a temperature of 0.01 makes an error of 0.1 of one of 1e-3."""
    return jnp.matmul(anchors, others.T, precision=jax.lax.Precision.HIGHEST)


def nearness(anchors: Array, others: Array) -> Array:
    """`[c, n]`, numbers that fall as the Euclidean distance grows, to choose by: without a gradient, and rounded.

    They are products, of vectors about their mean, so that what all have in common is not in the way.
    """
    anchors, others = jax.lax.stop_gradient((anchors, others))
    largest = jnp.max(jnp.abs(others))
    scale = 1 / jnp.where(largest == 0, 1, largest)
    centre = jnp.mean(others * scale, axis=0, keepdims=True)
    anchors, others = anchors * scale - centre, others * scale - centre
    return 2 * products(anchors, others) - jnp.sum(jnp.square(others), axis=-1)[None]


def chosen(vectors: Array, scores: Array, counted: Array) -> Array:
    """`[c, d]`, for each anchor the vector of the largest score that counts; any one where none does."""
    place = place_of_largest(jnp.where(counted, scores, -0.5 * largest_like(scores)))
    if any(explicit(place)):
        return vectors.at[place].get(out_sharding=jax.P(*explicit(place), None))
    return jnp.take(vectors, place, axis=0, mode="clip")


def log_sum(logits: Array, counted: Array | None = None, axis: int = -1) -> Array:
    """Log sum exp along an axis of the logits that count; a hugely negative number, with gradient 0, where none does.

    With it the surprisal of a positive is `softplus(log_sum(negatives) - positive)`, which is 1e-9 when it should.
    """
    if counted is not None:
        logits = jnp.where(counted, logits, -0.5 * largest_like(logits))
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True))
    return jnp.squeeze(largest, axis) + jnp.log(jnp.sum(jnp.exp(logits - largest), axis=axis))


def by_anchors(
    rows: Callable[[Any], tuple[Any, Any]], anchors: Any, others: int, memory: Any = None
) -> tuple[Any, Any]:
    """What `rows` says of all anchors, taken some at a time, and again for the gradient.

    Args:
        rows: Takes some anchors, and returns numbers for each of them and numbers of them together, such as sums.
        anchors: Arrays with an axis of anchors first.
        others: The similarities that are formed for an anchor.
        memory: The bytes that the similarities at hand may take.

    Returns the numbers for each anchor, and those of them together stacked along a first axis, of which there may be 1.
    Where a mesh may split the anchors, each device has as many of those at hand as the others.
    """
    leaves = jax.tree.leaves(anchors)
    count = leaves[0].shape[0]
    if not export.is_symbolic_dim(count * others):
        shards = math.gcd(count, math.lcm(*map(mesh_size, leaves)))
        affordable = (memory or _MEMORY) // (others * 4 * shards)
        if affordable < count // shards:
            return _in_blocks(rows, anchors, shards, max(int(affordable), 1))
    values, together = rows(anchors)
    return values, jax.tree.map(lambda x: x[None], together)


def _in_blocks(rows: Callable[[Any], tuple[Any, Any]], anchors: Any, shards: int, most: int) -> tuple[Any, Any]:
    """Blocks of at most so many anchors from each of the shards."""
    count = jax.tree.leaves(anchors)[0].shape[0] // shards  # on one of them
    size = math.ceil(count / math.ceil(count / most))
    whole_blocks = count // size * size

    def merged(x: Array) -> Array:
        return x.reshape(shards * x.shape[1], *x.shape[2:])

    @jax.checkpoint
    def block(part: Any) -> tuple[Any, Any]:
        values, together = rows(jax.tree.map(merged, part))
        return jax.tree.map(lambda x: x.reshape(shards, -1), values), together

    split = jax.tree.map(lambda x: x.reshape(shards, count, *x.shape[1:]), anchors)
    stacked = jax.tree.map(
        lambda x: jnp.moveaxis(x[:, :whole_blocks].reshape(shards, -1, size, *x.shape[2:]), 1, 0), split
    )
    values, together = jax.lax.map(block, stacked)
    values = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(shards, whole_blocks), values)
    if whole_blocks < count:
        last, last_together = block(jax.tree.map(lambda x: x[:, whole_blocks:], split))
        values = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), values, last)
        together = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), together, last_together)
    return jax.tree.map(lambda x: x.reshape(shards * count), values), together
