"""Language: the head of a model with a large vocabulary, and its loss."""

from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input, NonNegative, Positive, UnitInterval
from jaxloss.numerics import (
    expected_surprisal,
    linear_cross_entropy_sum,
    logsumexp,
    multiply_no_nan,
    one_hot,
    safe_square,
    split_cross_entropy,
)


def _weighted_sum(
    hidden: Array,
    labels: Array,
    kernel: Array | None,
    bias: Array | None,
    class_mask: Array | None,
    embedding: Array | None,
    weights: Array,
    *,
    class_axis_name: Any,
    **options: Any,
) -> Any:
    columns = _the_one(kernel, embedding)
    _check(options["strategy"], options["memory"])
    shared = columns.ndim == 2 and all(x is None or x.ndim == 1 for x in (bias, class_mask))
    if not shared or labels.shape != hidden.shape[:-1]:
        return NotImplemented
    return linear_cross_entropy_sum(
        hidden,
        labels,
        columns,
        bias,
        class_mask,
        weights,
        classes_first=kernel is None,
        axis_name=class_axis_name,
        **options,
    )


@custom_loss(signature="(d),(),(d,v),(v),(v),(v,d)->()", weighted_sum=_weighted_sum)
def linear_softmax_cross_entropy(
    hidden: Input,
    labels: Input,
    kernel: Input = None,
    bias: Input = None,
    class_mask: Input = None,
    embedding: Input = None,
    *,
    label_smoothing: UnitInterval = 0.0,
    z_loss: NonNegative = 0.0,
    softcap: Positive = None,
    class_axis_name: Any = None,
    strategy: str = "auto",
    memory: Positive = None,
) -> Array:
    r"""The softmax cross entropy of the head of a language model, without its logits.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j}, \qquad
       x = c \tanh\frac{h^T W + b}{c} $$

    Means and sums over all are taken a few rows at a time, so that memory follows the arrays and not the logits. With
    N rows, value and gradient are three products of N x d x v, or four in the least memory, where the logits at hand
    are three; forward mode and second order work, and take their time. Unreduced values are taken from logits.

    Args:
        hidden: `[..., d]`, the last hidden states.
        labels: `[...]`, integers from 0 to v - 1.
        kernel: `[d, v]`, W, shared by all rows.
        bias: `[v]`, b.
        class_mask: `[v]`: True where a class may be chosen. The others have no probability and no gradient, are not
            smoothed over, and may hold anything.
        embedding: `[v, d]`, the transpose of W in place of `kernel`, for a head tied to the embedding; never copied.
        label_smoothing: s, in [0, 1], spread over the k classes that may be chosen.
        z_loss: z, the weight of the squared log-partition, >= 0.
        softcap: c, the largest size of a logit, > 0; None is without bound (x = h W + b).
        class_axis_name: Inside `shard_map`, the mesh axis, or axes, over which kernel, bias, class_mask and embedding
            are split by classes. Labels count over all of them.
        strategy: "fast" forms the gradient of some rows beside their value (three products), "small" forms a tile of
            logits twice (four); "auto" is fast where the logits of enough rows fit `memory`.
        memory: How many bytes the logits at hand may take; None is 32 MiB on a CPU and 2 GiB elsewhere, or an eighth of
            the kernel if that is more.

    Corners: a label outside 0 to v - 1 gives NaN: mask it with `where=`. A confident row, whose cost of 1e-9 is 1e-9,
    is as exact as its logits. Nothing is gathered where a mesh splits rows or classes; there the rows are taken in
    strides, of a number that divides them.

    Raises:
        TypeError: The labels are not integers; not exactly one of kernel and embedding is given; `memory` is traced.
        ValueError: An option is out of range, or `strategy` is an unknown name.

    Source: Bridle (1990), Probabilistic interpretation of feedforward network outputs, its softmax; without the logits:
    Wijmans et al. (2024), Cut your losses in large-vocabulary language models, section 4; cap: Gemma Team (2024), Gemma
    2, section 2; classes over devices: Shoeybi et al. (2019), Megatron-LM, section 3.

    >>> import jax.numpy as jnp
    >>> hidden, labels, kernel = jnp.eye(2), jnp.array([0, 2]), jnp.array([[20.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> print(f"{linear_softmax_cross_entropy(hidden, labels, kernel):.4f}")
    0.2757
    """
    columns = _the_one(kernel, embedding)
    _check(strategy, memory)
    if class_mask is not None:
        columns = jnp.where(class_mask if kernel is not None else class_mask[:, None], columns, 0)
    logits = hidden @ columns if embedding is None else columns @ hidden
    if bias is not None:
        logits = logits + bias
    if softcap is not None:
        logits = softcap * jnp.tanh(logits / softcap)
    if class_mask is not None:
        logits = jnp.where(class_mask, logits, -jnp.inf)
    if class_axis_name is not None:
        return split_cross_entropy(logits, labels, class_axis_name, label_smoothing, z_loss)
    possible = (logits > -jnp.inf).astype(logits.dtype)
    uniform = possible / jnp.maximum(jnp.sum(possible), 1)
    targets = (1 - label_smoothing) * one_hot(labels, logits.shape[-1], logits.dtype) + label_smoothing * uniform
    return expected_surprisal(targets, logits) + multiply_no_nan(z_loss, safe_square(logsumexp(logits)))


def _the_one(kernel: Array | None, embedding: Array | None) -> Array:
    if kernel is not None and embedding is None:
        return kernel
    if embedding is not None and kernel is None:
        return embedding
    raise TypeError("linear_softmax_cross_entropy: give one of kernel [d, v] and embedding [v, d].")


def _check(strategy: Any, memory: Any) -> None:
    if strategy not in ("auto", "fast", "small"):
        raise ValueError(f"linear_softmax_cross_entropy: strategy must be auto, fast or small, got {strategy!r}.")
    if memory is not None and not isinstance(memory, int | float):
        raise TypeError(
            f"linear_softmax_cross_entropy: memory must be a number of bytes, as shapes depend on it, got {memory!r}."
        )
