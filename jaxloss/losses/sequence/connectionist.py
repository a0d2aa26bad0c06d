"""Connectionist temporal classification: labels in order, and no word of when.

A state is either after label i (the label lane, n of them) or in the blanks before label i (the blank lane, n + 1 of
them, the last after all labels). The forward sweep sums over all paths to a state, the backward sweep over all paths
from it, and their product is the probability of the state.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_class, nan_unless
from jaxloss.numerics.lattice import add_offset, alike, chosen, compacted, log_add, relative, shares, shifted
from jaxloss.numerics.softmax import partition
from jaxloss.types import Array, Input

State = tuple[Array, Array]
"""The lane of blanks, [n + 1], and the lane of labels, [n]."""


@custom_loss(signature="(t,k),(n),(t),(n)->()", stand_in={"logits": 0.0, "labels": 1})
def ctc(logits: Input, labels: Input, frame_mask: Input = None, label_mask: Input = None, *, blank: int = 0) -> Array:
    r"""The negative log-probability of a sequence of labels, over all their alignments with the frames.

    $$ -\log \sum_{\pi:\,\mathrm{collapse}(\pi) = y} \; \prod_t \mathrm{softmax}(x_t)_{\pi_t} $$

    A path names a class in each frame. It collapses to the labels when repeats are merged, and blanks dropped.

    Args:
        logits: `[..., t, k]`, x, a row for each frame. Neither of these axes may be sharded.
        labels: `[..., n]`, y, without blanks.
        frame_mask: `[..., t]`, True for the frames of the sequence, all by default. It may have holes.
        label_mask: `[..., n]`, True for its labels, all by default. It may have holes.
        blank: The class of the blank, from 0 to k - 1.

    It is the sum over the frames, not divided by a length. The gradient is the softmax less the probability of each
    class in each frame, given the labels. Memory is that of t (2n + 1) numbers beside the gradient.

    Corners: too few frames for the labels, and a blank between equal ones, cost inf, with gradient 0;
    `where=frames >= labels + repeats` leaves such a sequence out. Without labels it is the cost of a blank in each
    frame. With every frame deleted it is 0 with gradient 0, and counts in the mean; `where=frame_mask.any(-1)` leaves
    such a sequence out. A label that is the blank or no class gives NaN. Logits may be -inf.

    Raises:
        ValueError: `blank` is no class.

    Source: Graves et al. (2006), Connectionist temporal classification, section 4.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [2.0, 0.0, 1.0]])
    >>> print(*(f"{ctc(logits, jnp.array(labels, int)):.6f}" for labels in ([1, 2], [1, 1], [], [1, 1, 2])))
    0.751073 5.222818 4.222818 inf
    """
    classes = logits.shape[-1]
    if isinstance(blank, bool) or not isinstance(blank, int) or not 0 <= blank < classes:
        raise ValueError(
            f"ctc: blank must be a class from 0 to {classes - 1}, got {blank!r}; the last class is blank={classes - 1}."
        )
    labels, count = compacted(labels, label_mask)
    there = jax.lax.iota(jnp.int32, labels.shape[0]) < count
    valid = is_class(labels, classes) & (labels != blank)
    labels = jnp.where(there & valid, labels, blank)
    return _nll(logits, labels, count, frame_mask, blank) + nan_unless(jnp.all(valid | ~there), logits.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))  # a sweep that makes its gradient on the way
def _nll(logits: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int) -> Array:
    return _sweeps(logits, labels, count, frame_mask, blank, sloped=False)[0]


@_nll.defjvp
def _(blank: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, labels, count, frame_mask = primals
    nll, slope = _sweeps(logits, labels, count, frame_mask, blank, sloped=True)
    return nll, jnp.sum(slope * tangents[0])


def _sweeps(
    logits: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int, *, sloped: bool
) -> tuple[Array, Any]:
    """The loss, and its slope in the logits: the softmax less the probability of each class, given the labels."""
    largest, log_total = partition(logits)
    places = jax.lax.iota(jnp.int32, labels.shape[0] + 1)
    may_skip = jnp.concatenate([places[1:2] < 0, labels[1:] != labels[:-1]])  # to a label from the one before
    counts = jnp.ones_like(largest, bool) if frame_mask is None else frame_mask
    frames = jax.lax.iota(jnp.int32, logits.shape[0]), largest, log_total, counts

    def emissions(frame: Any) -> State:
        t, largest, log_total, _ = frame
        row = jax.lax.dynamic_index_in_dim(logits, t, keepdims=False)
        at_blank, at_label = ((x - largest) - log_total for x in (row[blank], row[labels]))
        return at_blank, jnp.where(places[:-1] < count, at_label, -jnp.inf)

    def forward(carry: Any, frame: Any) -> Any:
        (blanks, after), total = carry
        at_blank, at_label = emissions(frame)
        to_blank = log_add(blanks, shifted(after, 1, 0))
        to_label = log_add(after, jnp.where(may_skip, to_blank[:-1], blanks[:-1]))
        reached = chosen(frame[-1], (to_blank + at_blank, to_label + at_label), (blanks, after))
        state, offset = relative(*reached)
        return (state, add_offset(total, offset)), (state, offset) if sloped else None

    zero = alike(jnp.zeros_like(largest, shape=()), largest)
    start = jnp.where(places == 0, zero, -jnp.inf), jnp.where(places[:-1] < 0, zero, -jnp.inf)
    ends = jnp.where(places == count, zero, -jnp.inf), jnp.where(places[:-1] == count - 1, zero, -jnp.inf)
    (last, (total, _)), states = jax.lax.scan(forward, (start, (zero, zero)), frames)
    end = log_add(*(jnp.max(a + b, initial=-jnp.inf) for a, b in zip(last, ends, strict=True)))
    nll = jnp.maximum(-(total + end), 0)
    if not sloped:
        return nll, None
    possible = end > -jnp.inf
    p = jnp.exp((logits - largest[:, None]) - log_total[:, None])

    def backward(carry: Any, inputs: Any) -> Any:
        onwards, slope = carry
        frame, (state, offset) = inputs
        t, counts = frame[0], frame[-1]
        blanks, after = shares(*(a + b for a, b in zip(state, onwards, strict=True)))
        row = jax.lax.dynamic_index_in_dim(slope, t, keepdims=False).at[labels].add(-after)
        row = jnp.where(counts & possible, row.at[blank].add(-jnp.sum(blanks)), 0)
        at_blank, at_label = (x - offset for x in emissions(frame))
        blanks, after = onwards[0] + at_blank, onwards[1] + at_label
        from_blank = log_add(blanks, shifted(after, 0, 1))
        from_label = log_add(after, jnp.where(shifted(may_skip, -1, 1, False), from_blank[1:], blanks[1:]))
        onwards = chosen(counts, (from_blank, from_label), onwards)
        return (onwards, jax.lax.dynamic_update_index_in_dim(slope, row, t, 0)), None

    # What the forward sweep has taken away the backward sweep takes away too: the sum of both states is a probability.
    until_end = tuple(jnp.where(possible, x - end, -jnp.inf) for x in ends)
    (_, slope), _ = jax.lax.scan(backward, (until_end, p), (frames, states), reverse=True)
    others = jnp.sum(jnp.where(p > 0.5, 0, slope), axis=-1, keepdims=True)
    return nll, jnp.where(p > 0.5, -others, slope)  # in a frame, the slopes add up to 0
