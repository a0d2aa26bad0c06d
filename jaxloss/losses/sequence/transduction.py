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
from jaxloss.numerics.classes import entry, is_class, nan_unless
from jaxloss.numerics.lattice import add_offset, alike, compacted, log_add, log_sum, relative, shares, shifted
from jaxloss.numerics.remainders import expm1
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
    log_p, there = (logits - largest[..., None]) - log_total[..., None], (by_blank + by_label)[..., None]
    p = jnp.exp(log_p)
    place = jax.lax.broadcasted_iota(labels.dtype, logits.shape, 2)
    is_blank, is_label = place == blank, place == labels[None, :, None]
    here = jnp.where(is_blank, by_blank[..., None], jnp.where(is_label, by_label[..., None], 0))
    elsewhere = jnp.where(is_blank, by_label[..., None], jnp.where(is_label, by_blank[..., None], there))
    slope = jnp.where(p > 0.5, elsewhere + there * expm1(log_p), there * p - here)
    return nll, jnp.sum(slope * tangents[0])


def _steps(logits: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int) -> tuple[Array, Array]:
    """The log-probabilities of a blank and of the next label in each cell, [t, s]."""
    largest, log_total = partition(logits)
    at_label = entry(logits, jnp.broadcast_to(labels, largest.shape))
    to_frame, to_label = ((x - largest) - log_total for x in (logits[..., blank], at_label))
    return _left_out(to_frame, to_label, count, frame_mask)


def _left_out(to_frame: Array, to_label: Array, count: Array, frame_mask: Array | None) -> tuple[Array, Array]:
    """The steps, of which a masked frame emits nothing, and is left for nothing."""
    may_emit = jax.lax.broadcasted_iota(jnp.int32, to_label.shape, 1) < count
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


# ------------------------------------------------------------------------------------------- of a sum of two networks


@custom_loss(
    signature="(t,k),(s,k),(n),(t),(n)->()", stand_in={"acoustic_logits": 0.0, "text_logits": 0.0, "labels": 1}
)
def additive_transducer(
    acoustic_logits: Input,
    text_logits: Input,
    labels: Input,
    frame_mask: Input = None,
    label_mask: Input = None,
    *,
    blank: int = 0,
) -> Array:
    r"""The transducer of logits that are a sum: of those of a frame and those after a number of labels.

    $$ -\log \sum_{\pi} \; \prod_{(t, u, c) \in \pi} \mathrm{softmax}(a_t + b_u)_c $$

    The sums themselves, t s k numbers, are never formed: the partition functions are a product of matrices.

    Args:
        acoustic_logits: `[..., t, k]`, a, a row for each frame. No axis but the leading ones may be sharded.
        text_logits: `[..., s, k]`, b, a row after each number of labels: s = n + 1.
        labels: `[..., n]`, without blanks.
        frame_mask: `[..., t]`, True for the frames of the sequence, all by default. It may have holes.
        label_mask: `[..., n]`, True for its labels, all by default. It may have holes; of N labels the first N + 1
            places of s count.
        blank: The class of the blank, from 0 to k - 1.

    It is that of `transducer(a[:, None] + b, labels)`, but for the last digits of each log-probability. Memory is that
    of t s numbers beside the gradients. A frame whose largest logit and those of the text are at classes so far apart
    that their products underflow takes the slow way, by its s k sums.

    Corners: those of `transducer`. With every frame deleted it is 0 with gradient 0, and counts in the mean;
    `where=frame_mask.any(-1)` leaves such a sequence out.

    Raises:
        ValueError: `blank` is no class, or s is not n + 1.

    Source: Graves (2012), Sequence transduction with recurrent neural networks, equations 13 to 20; Kuang et al.
    (2022), Pruned RNN-T for fast, memory-efficient ASR training, section 2.2.

    >>> import jax.numpy as jnp
    >>> acoustic, text = jnp.array([[0.0, 1, 2], [1, 0, 1]]), jnp.array([[0.0, 1, 0], [2, 0, 0], [0, 0, 1]])
    >>> print(f"{additive_transducer(acoustic, text, jnp.array([1, 2])):.6f}")
    4.809617
    """
    places, classes = text_logits.shape
    _check("additive_transducer", blank, classes, places, labels.shape[0])
    labels, count = compacted(labels, label_mask)
    there = jax.lax.iota(jnp.int32, labels.shape[0]) < count
    valid = is_class(labels, classes) & (labels != blank)
    labels = shifted(jnp.where(there & valid, labels, blank), 0, 1, blank)
    nll = _additive_nll(acoustic_logits, text_logits, labels, count, frame_mask, blank)
    return nll + nan_unless(jnp.all(valid | ~there), acoustic_logits.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(5,))  # a sweep that makes its gradient on the way
def _additive_nll(a: Array, b: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int) -> Array:
    log_z, _ = _log_partitions(a, b)
    return _sweeps(*_sum_steps(a, b, log_z, labels, count, frame_mask, blank), count, sloped=False)[0]


@_additive_nll.defjvp
def _(blank: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    a, b, labels, count, frame_mask = primals
    log_z, slow = _log_partitions(a, b)
    steps = _sum_steps(a, b, log_z, labels, count, frame_mask, blank)
    nll, by_blank, by_label = _sweeps(*steps, count, sloped=True)
    if frame_mask is not None:
        by_blank = jnp.where(frame_mask[:, None], by_blank, 0)
    by_a, by_b = _expected(a, b, log_z, slow, by_blank + by_label)
    by_a = by_a.at[:, blank].add(-jnp.sum(by_blank, 1)).at[:, labels].add(-by_label)
    place = jax.lax.broadcasted_iota(labels.dtype, b.shape, 1)
    by_b -= jnp.where(place == blank, jnp.sum(by_blank, 0)[:, None], 0)
    by_b -= jnp.where(place == labels[:, None], jnp.sum(by_label, 0)[:, None], 0)
    return nll, jnp.sum(by_a * tangents[0]) + jnp.sum(by_b * tangents[1])


def _sum_steps(
    a: Array, b: Array, log_z: Array, labels: Array, count: Array, frame_mask: Array | None, blank: int
) -> tuple[Array, Array]:
    of_labels = jnp.take_along_axis(b, labels[:, None], axis=1, mode="clip")[:, 0]
    to_frame = a[:, blank, None] + b[None, :, blank] - log_z
    to_label = a[:, labels] + of_labels[None] - log_z
    return _left_out(to_frame, to_label, count, frame_mask)


def _factors(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """The exponentials of both, relative to the largest of a row, and the logarithm of what the products lack."""
    largest = [jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True)) for x in (a, b)]
    return jnp.exp(a - largest[0]), jnp.exp(b - largest[1]), largest[0] + largest[1].T


def _product(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def _log_partitions(a: Array, b: Array) -> tuple[Array, Array]:
    """The log-partition of each cell, [t, s], and for which it is by sums and not by the product of matrices."""
    x, y, lacking = _factors(a, b)
    z = _product(x, y.T)
    slow = z < 1e-25  # far above what a product that underflows may have lost

    def frame(t: Array, log_z: Array) -> Array:
        row = log_sum(jax.lax.dynamic_index_in_dim(a, t, keepdims=True) + b)
        return jax.lax.dynamic_update_index_in_dim(log_z, row, t, 0)

    log_z = jnp.log(jnp.where(slow, 1, z)) + lacking
    return _over_slow_frames(slow, frame, log_z), slow


def _expected(a: Array, b: Array, log_z: Array, slow: Array, counts: Array) -> tuple[Array, Array]:
    """The sums over cells of a count times the softmax there, for each row of a and of b."""
    x, y, lacking = _factors(a, b)
    fast = jnp.where(slow, 0, counts * jnp.exp(lacking - jnp.where(slow, lacking, log_z)))

    def frame(t: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        row, log_z_row, counts_row, slow_row = (
            jax.lax.dynamic_index_in_dim(z, t, keepdims=True) for z in (a, log_z, counts, slow)
        )
        p = jnp.exp(row + b - log_z_row.T) * jnp.where(slow_row, counts_row, 0).T
        by_a, by_b = sums
        more = jax.lax.dynamic_index_in_dim(by_a, t, keepdims=False) + jnp.sum(p, 0)
        return jax.lax.dynamic_update_index_in_dim(by_a, more, t, 0), by_b + p

    return _over_slow_frames(slow, frame, (x * _product(fast, y), y * _product(fast.T, x)))


def _over_slow_frames(slow: Array, step: Any, start: Any) -> Any:
    """Takes a step for each frame that has a slow cell, in most cases none."""
    slow = jnp.any(slow, axis=1)
    frames = jax.lax.iota(jnp.int32, slow.shape[0])

    def following(t: Array | int) -> Array:
        return jnp.min(jnp.where(slow & (frames >= t), frames, slow.shape[0]))

    def take(carry: Any) -> Any:
        t, state = carry
        return following(t + 1), step(t, state)

    return jax.lax.while_loop(lambda carry: carry[0] < slow.shape[0], take, (following(0), start))[1]
