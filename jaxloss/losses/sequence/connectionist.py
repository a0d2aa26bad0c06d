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
from jaxloss.numerics.lattice import add_offset, chosen, compacted, log_add, relative, shares
from jaxloss.numerics.softmax import surprisal
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
    frames = jnp.ones(logits.shape[0], bool) if frame_mask is None else frame_mask
    labels = jnp.where(there & valid, labels, blank)
    return _nll(logits, labels, count, frames, blank) + nan_unless(jnp.all(valid | ~there), logits.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))  # a sweep that makes its gradient on the way
def _nll(logits: Array, labels: Array, count: Array, frames: Array, blank: int) -> Array:
    return _forward(-surprisal(logits), labels, count, frames, blank, keep=False)[0]


@_nll.defjvp
def _(blank: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, labels, count, frames = primals
    log_p = -surprisal(logits)
    nll, states = _forward(log_p, labels, count, frames, blank, keep=True)
    posterior = _backward(log_p, states, labels, count, frames, blank)
    slope = jnp.where(frames[:, None] & (nll < jnp.inf), jnp.exp(log_p) - posterior, 0)
    top = jax.lax.broadcasted_iota(jnp.int32, slope.shape, 1) == jax.lax.argmax(logits, 1, jnp.int32)[:, None]
    others = jnp.sum(jnp.where(top, 0, slope), axis=-1, keepdims=True)
    return nll, jnp.sum(jnp.where(top, -others, slope) * tangents[0])  # in a frame, the slopes add up to 0


def _forward(
    log_p: Array, labels: Array, count: Array, frames: Array, blank: int, *, keep: bool
) -> tuple[Array, State | None]:
    """The loss, and the states after each frame."""
    may_skip = _may_skip(labels)

    def step(carry: tuple[State, tuple[Array, Array]], frame: tuple[Array, Array]) -> Any:
        (blanks, after), total = carry
        log_p, counts = frame
        at_blank, at_label = _emissions(log_p, labels, count, blank)
        before = jnp.concatenate([_nothing(log_p), after])
        skipped = jnp.where(may_skip, before[:-1], -jnp.inf)
        reached = log_add(blanks, before) + at_blank, log_add(log_add(after, blanks[:-1]), skipped) + at_label
        state, offset = relative(*chosen(counts, reached, (blanks, after)))
        return (state, add_offset(total, offset)), state if keep else None

    places = jax.lax.iota(jnp.int32, labels.shape[0] + 1)
    zero = jnp.zeros_like(log_p, shape=())
    start = jnp.where(places == 0, zero, -jnp.inf), jnp.full_like(log_p, -jnp.inf, shape=labels.shape)
    (last, total), states = jax.lax.scan(step, (start, (zero, zero)), (log_p, frames))
    ends = [jnp.max(a + b, initial=-jnp.inf) for a, b in zip(last, _ends(log_p, labels, count), strict=True)]
    return jnp.maximum(-(total[0] + log_add(*ends)), 0), states


def _backward(log_p: Array, states: Any, labels: Array, count: Array, frames: Array, blank: int) -> Array:
    """The probability of each class in each frame, given the labels."""
    may_skip = _may_skip(labels)

    def step(onwards: State, frame: Any) -> tuple[Any, Array]:
        log_p, counts, state = frame
        blanks, after = shares(*(a + b for a, b in zip(state, onwards, strict=True)))
        posterior = jnp.zeros_like(log_p).at[labels].add(after).at[blank].add(jnp.sum(blanks))
        at_blank, at_label = _emissions(log_p, labels, count, blank)
        blanks, after = onwards[0] + at_blank, onwards[1] + at_label
        skipped = jnp.concatenate([jnp.where(may_skip, after, -jnp.inf), _nothing(log_p)])[1:]
        through = jnp.concatenate([after, _nothing(log_p)])
        before = log_add(blanks, through), log_add(log_add(after, blanks[1:]), skipped)
        return relative(*chosen(counts, before, onwards))[0], posterior

    return jax.lax.scan(step, _ends(log_p, labels, count), (log_p, frames, states), reverse=True)[1]


def _nothing(like: Array) -> Array:
    return jnp.full_like(like, -jnp.inf, shape=(1,))


def _may_skip(labels: Array) -> Array:
    """Whether a label may follow the one before without a blank."""
    return jnp.concatenate([jnp.zeros_like(labels, bool)[:1], labels[1:] != labels[:-1]])


def _emissions(log_p: Array, labels: Array, count: Array, blank: int) -> State:
    """What a frame adds in the lane of blanks, and in that of labels."""
    return log_p[blank], jnp.where(jax.lax.iota(jnp.int32, labels.shape[0]) < count, log_p[labels], -jnp.inf)


def _ends(log_p: Array, labels: Array, count: Array) -> State:
    """0 where a path may end: after the last label, or in the blanks behind it."""
    zero = jnp.zeros_like(log_p, shape=())
    places = jax.lax.iota(jnp.int32, labels.shape[0] + 1)
    return jnp.where(places == count, zero, -jnp.inf), jnp.where(places[:-1] == count - 1, zero, -jnp.inf)
