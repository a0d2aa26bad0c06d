"""Transducers: a frame emits labels, and then a blank that goes to the next frame.

A state is a cell (t, u): in frame t, after u labels. A path goes from (0, 0) by labels, to (t, u + 1), and by blanks,
to (t + 1, u), until the last frame is left after all labels. Each step adds 1 to t + u. So a sweep goes from diagonal
to diagonal, with entry u of diagonal d for the cell (d - u, u).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_class, nan_unless
from jaxloss.numerics.lattice import add_offset, alike, compacted, log_add, relative, shares, shifted
from jaxloss.numerics.softmax import partition
from jaxloss.types import Array, Input


@custom_loss(signature="(t,s,k),(n),(t),(n)->()", stand_in={"logits": 0.0, "labels": 1})
def transducer(
    logits: Input, labels: Input, frame_mask: Input = None, label_mask: Input = None, *, blank: int = 0
) -> Array:
    r"""The negative log-probability of a sequence of labels, when a frame may emit several of them.

    $$ -\log \sum_{\pi} \; \prod_{(t, u, c) \in \pi} \mathrm{softmax}(x_{t,u})_c $$

    A path names a class at each step: the next label, after which u is one more, or the blank, after which t is. It has
    all labels in their order and a blank for each frame, the last after all labels.

    Args:
        logits: `[..., t, s, k]`, x, in each frame and after each number of labels: s = n + 1. No axis but the leading
            ones may be sharded.
        labels: `[..., n]`, without blanks.
        frame_mask: `[..., t]`, True for the frames of the sequence, all by default. It may have holes.
        label_mask: `[..., n]`, True for its labels, all by default. It may have holes; of N labels the first N + 1
            places of s count.
        blank: The class of the blank, from 0 to k - 1.

    It is the sum over the sequence, not divided by a length. There may be more labels than frames. Memory is that of
    t s numbers beside the gradient, which is one array of the size of the logits.

    Corners: without labels it is the cost of a blank in each frame. With every frame deleted it is 0 with gradient 0,
    and counts in the mean; `where=frame_mask.any(-1)` leaves such a sequence out. A label that is the blank or no class
    gives NaN. Logits may be -inf; where they leave no path it is inf, with gradient 0.

    Raises:
        ValueError: `blank` is no class, or s is not n + 1.

    Source: Graves (2012), Sequence transduction with recurrent neural networks, equations 12 to 20.

    >>> import jax.numpy as jnp
    >>> acoustic, text = jnp.array([[0.0, 1, 2], [1, 0, 1]]), jnp.array([[0.0, 1, 0], [2, 0, 0], [0, 0, 1]])
    >>> print(f"{transducer(acoustic[:, None] + text[None], jnp.array([1, 2])):.6f}")
    4.809617
    """
    places, classes = logits.shape[1:]
    _check("transducer", blank, classes, places, labels.shape[0])
    labels, count = compacted(labels, label_mask)
    there = jax.lax.iota(jnp.int32, labels.shape[0]) < count
    valid = is_class(labels, classes) & (labels != blank)
    labels = shifted(jnp.where(there & valid, labels, blank), 0, 1, blank)
    return _nll(logits, labels, count, frame_mask, blank) + nan_unless(jnp.all(valid | ~there), logits.dtype)


def _check(loss: str, blank: Any, classes: int, places: int, labels: int) -> None:
    if isinstance(blank, bool) or not isinstance(blank, int) or not 0 <= blank < classes:
        raise ValueError(
            f"{loss}: blank must be a class from 0 to {classes - 1}, got {blank!r}; the last class is "
            f"blank={classes - 1}."
        )
    if places != labels + 1:
        raise ValueError(
            f"{loss}: the axis s must have n + 1 = {labels + 1} places, one before the {labels} labels and one after "
            f"each, got {places}."
        )


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))  # a sweep that makes its gradient on the way
def _nll(logits: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int) -> Array:
    return _sweeps(*_steps(logits, labels, count, frame_mask, blank), count, sloped=False)[0]


@_nll.defjvp
def _(blank: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, labels, count, frame_mask = primals
    nll, by_blank, by_label = _sweeps(*_steps(logits, labels, count, frame_mask, blank), count, sloped=True)
    if frame_mask is not None:
        by_blank = jnp.where(frame_mask[:, None], by_blank, 0)
    # The softmax of a cell as often as a path is there, less the steps that it takes. Of a probable class that is the
    # steps to all others, less what these have of the softmax, which does not cancel.
    largest, log_total = partition(logits)
    p = jnp.exp((logits - largest[..., None]) - log_total[..., None])
    there, beside = by_blank + by_label, (by_blank + by_label) * -jnp.expm1(-log_total)
    place = jax.lax.broadcasted_iota(labels.dtype, logits.shape, 2)
    is_blank, is_label = place == blank, place == labels[None, :, None]
    here = jnp.where(is_blank, by_blank[..., None], jnp.where(is_label, by_label[..., None], 0))
    elsewhere = jnp.where(is_blank, by_label[..., None], jnp.where(is_label, by_blank[..., None], there[..., None]))
    slope = jnp.where(p > 0.5, elsewhere - beside[..., None], there[..., None] * p - here)
    return nll, jnp.sum(slope * tangents[0])


def _steps(logits: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int) -> tuple[Array, Array]:
    """The log-probabilities of a blank and of the next label in each cell, [t, s]. To leave a masked frame is free."""
    largest, log_total = partition(logits)
    at_label = jnp.take_along_axis(logits, labels[None, :, None], axis=2, mode="clip")[..., 0]
    to_frame, to_label = ((x - largest) - log_total for x in (logits[..., blank], at_label))
    may_emit = jax.lax.iota(jnp.int32, labels.shape[0])[None] < count
    if frame_mask is not None:
        to_frame, may_emit = jnp.where(frame_mask[:, None], to_frame, 0), may_emit & frame_mask[:, None]
    return to_frame, jnp.where(may_emit, to_label, -jnp.inf)


def _sweeps(to_frame: Array, to_label: Array, count: Array, *, sloped: bool) -> tuple[Array, Any, Any]:
    """The loss, and how likely a path takes each step, [t, s]."""
    frames = to_frame.shape[0]
    steps = _diagonals(to_frame, 0.0), _diagonals(to_label, -jnp.inf)  # behind the last frame a path waits

    def forward(carry: Any, steps: Any) -> Any:
        state, total = carry
        by_blank, by_label = (state + step for step in steps)
        (onwards,), offset = relative(log_add(by_blank, shifted(by_label, 1, -1)))
        return (onwards, add_offset(total, offset)), (state, offset) if sloped else None

    place = jax.lax.iota(jnp.int32, to_frame.shape[1])
    zero = alike(jnp.zeros_like(to_frame, shape=()), to_frame)
    first = jnp.where(place == 0, zero, -jnp.inf)
    (last, (total, _)), kept = jax.lax.scan(forward, (first, (zero, zero)), steps)
    at_end = place == count
    end = jnp.max(jnp.where(at_end, last, -jnp.inf))
    nll = jnp.maximum(-(total + end), 0)
    if not sloped:
        return nll, None, None

    def backward(onwards: Array, inputs: Any) -> Any:
        (to_frame, to_label), (state, offset) = inputs
        by_blank, by_label = onwards + (to_frame - offset), shifted(onwards, -1, 1) + (to_label - offset)
        return log_add(by_blank, by_label), shares(state + by_blank, state + by_label)

    # What the forward sweep has taken away the backward sweep takes away too: the sum of both states is a probability.
    ends = jnp.where(at_end & (end > -jnp.inf), -end, -jnp.inf)
    by_blank, by_label = jax.lax.scan(backward, ends, (steps, kept), reverse=True)[1]
    return nll, _straight(by_blank, frames), _straight(by_label, frames)


def _diagonals(x: Array, fill: float) -> Array:
    """The diagonals of an array of cells, [t, s], as rows."""
    frames, places = x.shape
    padded = jnp.pad(x.T, ((0, 0), (0, places)), constant_values=fill).reshape(-1)
    return padded[: places * (frames + places - 1)].reshape(places, -1).T


def _straight(diagonals: Array, frames: int) -> Array:
    """The cells, [t, s], of which these are the diagonals."""
    places = diagonals.shape[1]
    flat = jnp.pad(diagonals.T.reshape(-1), (0, places))
    return flat.reshape(places, -1)[:, :frames].T
