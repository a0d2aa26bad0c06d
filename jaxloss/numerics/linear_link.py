"""A loss of the softmax of a linear head over many rows: what is given, made ready for the sweep."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.linear_head import Given, total_cost
from jaxloss.numerics.linear_softmax import Link, Softmax
from jaxloss.numerics.linear_tiles import Head, Tiling, explicit
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array, Input, Number, computing_dtype


def linear_softmax_sum(
    link: Callable[..., Any],
    hidden: Array,
    labels: Array,
    kernel: Array,
    bias: Array | None,
    class_mask: Array | None,
    weights: Array,
    *,
    each: Mapping[str, Array],
    shared: Mapping[str, Any],
    classes_first: bool = False,
    softcap: Number | None = None,
    axis_name: Input = None,
    strategy: str = "auto",
    memory: int | float | None = None,
) -> Array:
    r"""The weighted sum of a loss of the softmax of a linear head, whose logits never exist all at once.

    $$ \sum_i w_i\, \varphi(S(x_i, y_i), e_i), \qquad x_{ij} = c \tanh\frac{h_i^T W_j + b_j}{c} $$

    With hidden `[..., d]`, labels and weights `[...]`, a kernel `[d, v]` (`[v, d]` if `classes_first`), a bias and a
    class_mask `[v]` or None. Sums are taken in float32 or wider, of products of the arrays as they are; only the
    gradient of a bfloat16 logit is rounded to bfloat16 before it meets a bfloat16 array. Classes behind the mask, like
    those of bias -inf, are not there. The gradient at a confident label is the sum of the other probabilities.

    `link(softmax, **each, **shared)` is phi, the loss of one row, of a `Softmax` S (surprisal, complement,
    mean_surprisal, entropy, log_partition), of numbers of its own, from arrays `[...]`, and of what all rows share. It
    is differentiated by JAX, in all of these. What it does not read of the softmax is not computed.

    `strategy` is "fast": the logits of some rows exist, and their gradient is formed beside their value, in three
    products of matrices for value and gradient; "small": a tile of logits exists at a time, four products; or "auto":
    fast, if the logits of enough rows fit `memory` bytes, but on a CPU small for bfloat16. Inside
    `shard_map`, `axis_name` names the mesh axes over which the classes of kernel, bias and class_mask are split; what
    is given else is the same on all of them.

    >>> hidden, kernel = jnp.array([[1.0, 0.0], [0.0, 40.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> def focal(softmax, power):
    ...     return softmax.complement**power * softmax.surprisal
    >>> total = linear_softmax_sum(
    ...     focal, hidden, jnp.array([0, 1]), kernel, None, None, jnp.array([0.0, 1.0]), each={}, shared={"power": 1.0}
    ... )
    >>> print(f"{total:.3e}")
    1.805e-35
    """
    dtype = jnp.promote_types(computing_dtype((hidden, kernel)), weights.dtype)
    possible = class_mask
    if bias is not None and softcap is None:
        finite = bias != -jnp.inf
        possible = finite if possible is None else possible & finite
    head = Head(
        kernel,
        None if bias is None else bias if possible is None else jnp.where(possible, bias, jnp.zeros((), bias.dtype)),
        possible,
        None if softcap is None else jnp.asarray(softcap).astype(dtype),
    )
    rows, classes = math.prod(labels.shape), kernel.shape[0 if classes_first else 1]
    tiling = _tiling(rows, classes, hidden, kernel, classes_first, axis_name, strategy, memory, dtype)
    bound, given = _bound(link, {name: x.reshape(rows) for name, x in each.items()}, shared, dtype)
    return total_cost(
        tiling,
        bound,
        hidden.reshape(rows, -1),
        _columns(labels).reshape(rows),
        weights.reshape(rows).astype(dtype),
        head,
        given,
    )


def linked_softmax(
    link: Callable[..., Any], logits: Array, label: Array, axis_name: Input, shared: Mapping[str, Any]
) -> Array:
    r"""A loss of the softmax of one row of logits `[k]`, its classes whole or split over devices.

    $$ \varphi(S(x, y), e), \qquad S = \Big(-\log p_y,\; \sum_{j \ne y} p_j,\; -\frac{1}{k} \sum_j \log p_j,\;
       -\sum_j p_j \log p_j,\; \log Z\Big), \qquad p_j = \frac{e^{x_j}}{Z} $$

    The link, and what is shared, are those of `linear_softmax_sum`. Inside `shard_map`, `axis_name` names the mesh
    axes of the classes: the label counts over all of them, and sums are reduced over them, never the row. A class of
    logit -inf is not there. A label that is no class gives NaN. The gradient is that of the linear head whose only
    hidden number is 1.

    >>> print(f"{linked_softmax(lambda softmax: softmax.entropy, jnp.array([20.0, 0.0]), jnp.array(0), None, {}):.3e}")
    4.328e-08
    """
    dtype = logits.dtype
    possible = logits != -jnp.inf
    head = Head(jnp.where(possible, logits, 0)[None, :], None, possible, None)
    tiling = Tiling(1, len(logits), True, False, False, False, axis_name, dtype)
    bound, given = _bound(link, {}, shared, dtype)
    return total_cost(
        tiling, bound, jnp.ones((1, 1), dtype), _columns(label).reshape(1), jnp.ones(1, dtype), head, given
    )


def cross_entropy(softmax: Softmax, label_smoothing: Number = 0.0, z_loss: Number = 0.0) -> Array:
    r"""The softmax cross entropy of one row, of its label or of smoothed ones, as a link.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j} $$

    >>> print(cross_entropy(Softmax(2.0, None, 4.0, None, None), label_smoothing=0.25))
    2.5
    """
    value = softmax.surprisal
    if not _is_absent(label_smoothing):
        mean = multiply_no_nan(label_smoothing, softmax.mean_surprisal)
        value = multiply_no_nan(1 - label_smoothing, value) + mean
    return value if _is_absent(z_loss) else value + z_loss * jnp.square(softmax.log_partition)


def split_cross_entropy(
    logits: Array, label: Array, axis_name: Input, label_smoothing: Number = 0.0, z_loss: Number = 0.0
) -> Array:
    r"""The softmax cross entropy of one row of logits whose classes are split over devices, inside `shard_map`.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j} $$

    The label counts over all devices, as do the k classes, which are those of a logit above -inf. The largest logit,
    the sum of exponentials and the logit of the label are reduced over `axis_name`, and never the row. A label that is
    no class gives NaN. The gradient is that of the linear head whose only hidden number is 1.

    >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> cost = jax.shard_map(
    ...     lambda logits: split_cross_entropy(logits, jnp.array(0), "classes"),
    ...     mesh=mesh, in_specs=jax.P("classes"), out_specs=jax.P(),
    ... )
    >>> print(f"{cost(jnp.array([20.0, 0.0])):.3e}")
    2.061e-09
    """
    return linked_softmax(
        cross_entropy, logits, label, axis_name, {"label_smoothing": label_smoothing, "z_loss": z_loss}
    )


def _is_absent(option: Any) -> bool:
    return isinstance(option, int | float) and option == 0


def _bound(
    link: Callable[..., Any], each: Mapping[str, Array], shared: Mapping[str, Any], dtype: Any
) -> tuple[Link, Given]:
    """Arrays as such, real ones in the computing dtype; what else the rows share is a part of the link."""
    arrays = {name: jnp.asarray(x) for name, x in shared.items() if isinstance(x, np.ndarray | np.generic | jax.Array)}
    fixed = {name: x for name, x in shared.items() if name not in arrays}

    def real(x: Array) -> Array:
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    given = Given({name: real(x) for name, x in each.items()}, {name: real(x) for name, x in arrays.items()})
    shapes = {name: jax.ShapeDtypeStruct((), x.dtype) for name, x in given.each.items()}
    return Link.of(link, fixed, dtype, shapes | given.shared), given


def _columns(labels: Array) -> Array:
    """Labels as numbers of columns, in 32 bits; one that does not fit them is none, and stays none."""
    beyond = (labels < 0) | (labels > jnp.iinfo(jnp.int32).max)
    return jnp.where(beyond, -1, labels.astype(jnp.int32))


def _tiling(
    rows: int,
    classes: int,
    hidden: Array,
    kernel: Array,
    classes_first: bool,
    axis_name: Any,
    strategy: str,
    memory: Any,
    dtype: Any,
) -> Tiling:
    on_cpu = jax.default_backend() == "cpu"
    # A GPU wants matrices as large as they may be; a CPU wants what it forms to stay in the cache.
    most, enough, columns, tile = (256, 128, 1024, (1024, 512)) if on_cpu else (8192, 1024, classes, (4096, 4096))
    size = jnp.dtype(dtype).itemsize
    if memory is None:
        memory = max(2**25 if on_cpu else 2**31, kernel.size * kernel.dtype.itemsize // 8)
    mesh = jax.typeof(hidden).sharding.mesh if not _alone(hidden) else jax.typeof(kernel).sharding.mesh
    words = on_cpu and hidden.dtype == jnp.bfloat16
    if not (_alone(hidden) and _alone(kernel)):
        shards = _shards(hidden) or mesh.size
        affordable = max(int(memory * mesh.size // (classes * size)), 8 * shards)
        taken = _divisor(rows, min(affordable, most * mesh.size), shards)
        return Tiling(taken, classes, True, classes_first, False, True, axis_name, dtype)
    affordable = int(memory // (classes * size))
    # Where products are cheap, as in a CPU's units for bfloat16, the traffic of logits kept costs more than a fourth.
    cheap = words and kernel.dtype == jnp.bfloat16
    if strategy == "small" or (strategy == "auto" and (cheap or affordable < min(rows, enough))):
        side = max(2 ** int(math.log2(memory / size) / 2), 128)
        return Tiling(
            _even(rows, min(side, tile[0])), min(side, tile[1]), False, classes_first, words, False, axis_name, dtype
        )
    return Tiling(
        _even(rows, max(min(affordable, most), 8)), columns, True, classes_first, words, False, axis_name, dtype
    )


def _alone(array: Array) -> bool:
    """Whether no mesh is in view over whose devices the compiler may have split the array."""
    mesh = jax.typeof(array).sharding.mesh
    return mesh.empty or mesh.size == 1 or set(mesh.axis_types) == {jax.sharding.AxisType.Manual}


def _shards(array: Array) -> int:
    names = (explicit(array) or (None,))[0] or ()
    mesh = jax.typeof(array).sharding.mesh
    return math.prod(mesh.shape[name] for name in (names if isinstance(names, tuple) else (names,)))


def _even(rows: int, most: int) -> int:
    """The size of the parts when as few as may be are about the same; a multiple of 8, as matrices like it."""
    parts = max(math.ceil(rows / most), 1)
    return max(rows, 1) if parts == 1 else -(-math.ceil(rows / parts) // 8) * 8


def _divisor(rows: int, most: int, shards: int) -> int:
    """The largest size of equal parts, each as much from each device as from the others."""
    fitting = (size for size in range(max(min(most, rows), 1), 0, -1) if rows % size == 0 and size % shards == 0)
    return next(fitting, max(rows, 1))
