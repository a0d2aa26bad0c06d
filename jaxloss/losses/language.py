"""Language: the head of a model with a large vocabulary, and the losses of its softmax."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import Loss, custom_loss
from jaxloss.numerics.classes import is_at, pick
from jaxloss.numerics.head.linear import linear_softmax_sum
from jaxloss.numerics.safe import is_zero
from jaxloss.numerics.softmax import cross_entropy, label_row, linked_softmax, logsumexp
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, Memory, NonNegative, Positive, UnitInterval, is_label, is_mask


def _weighted_sum(*arrays: Any, label_smoothing: Any, z_loss: Any, groups: tuple[int, ...], **options: Any) -> Any:
    shared = {"label_smoothing": label_smoothing, "z_loss": z_loss}
    return _linked_sum("linear_softmax_cross_entropy", cross_entropy, {}, shared, *arrays, groups=groups, **options)


@custom_loss(signature="(d),(),(d,v),(v),(v),(v,d)->()", weighted_sum=_weighted_sum, stand_in=0.5)
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
    memory: Memory = None,
) -> Array:
    r"""The softmax cross entropy of the head of a language model, without its logits.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j}, \qquad
       x = c \tanh\frac{h^T W + b}{c} $$

    Means and sums, over all or of each sequence, are taken without the logits of all rows at once, as suits the
    platform that a program is lowered for. With N rows, value and gradient are three products of N x d x v, or four in
    the least memory and for sums of sequences; forward mode and second order work, and take their time. Unreduced
    values are taken from logits.

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
        strategy: How value and gradient are made. "fast" keeps the logits of the rows at hand (three products), "slope"
            forms them twice and keeps their gradient in 16 bits (four products, half the memory), "small" keeps a tile
            of classes at a time (four products, memory that does not grow with v). "auto" takes the one of least
            flops / peak + bytes / bandwidth, by the figures of a TPU v5e or an H100, among those that keep within
            `memory`; on a CPU it is fast where the logits of enough rows fit, but small for bfloat16.
        memory: How many bytes the logits at hand may take; None is 32 MiB on a CPU and 2 GiB elsewhere, or an eighth of
            the kernel if that is more.

    Corners: a label outside 0 to v - 1 gives NaN: mask it with `where=`. A confident row may cost 1e-9, and is as exact
    as its logits. Nothing is gathered where a mesh splits rows or classes; there the rows are taken in
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
    name = "linear_softmax_cross_entropy"
    logits = _logits(name, hidden, kernel, bias, class_mask, embedding, softcap, strategy, memory)
    if class_axis_name is not None:
        options = {"label_smoothing": label_smoothing, "z_loss": z_loss}
        return linked_softmax(cross_entropy, logits, labels, class_axis_name, options)
    return cross_entropy(label_row(logits, labels, spread=not is_zero(label_smoothing)), label_smoothing, z_loss)


def linear_softmax_loss(link: Callable[..., Any]) -> Loss[...]:
    r"""Makes a loss of the head of a language model, without its logits, of a formula of the softmax of one token.

    $$ \varphi(S(x, y), e), \qquad x = c \tanh\frac{h^T W + b}{c}, \qquad
       S = \Big(-\log p_y,\; \sum_{j \ne y} p_j,\; -\frac{1}{k} \sum_j \log p_j,\; -\sum_j p_j \log p_j,\; \log Z\Big),
       \qquad p_j = \frac{e^{x_j}}{Z} $$

    The formula is differentiated by JAX, and gives the gradient of each row of logits; the rest is the sweep of
    `linear_softmax_cross_entropy`, with its counts of products, its memory and its modes. Each of these is one line of
    a decorated function `(softmax, ...)`:

    - label smoothing: `(1 - s) * softmax.surprisal + s * softmax.mean_surprisal`
    - focal: `softmax.complement**gamma * softmax.surprisal`
    - an entropy bonus: `softmax.surprisal - beta * softmax.entropy`
    - REINFORCE: `advantage * softmax.surprisal`
    - unlikelihood: `-jnp.log(softmax.complement)`
    - PPO and GRPO: `grpo(-softmax.surprisal, old_log_probability, advantage, reference_log_probability)`
    - the divergence from a reference: `sampled_kl_divergence(-softmax.surprisal, reference_log_probability)`

    A loss of whole answers (`dpo`, `ipo`, `kto`, `simpo`, `orpo`) is no link, since the slope of a token depends on its
    answer. It takes the sum, or the mean, of each answer, which is made without logits as well: see the second example.

    Args:
        link: `link(softmax, *arrays, **options)`, phi, gives one number for one token. `softmax` has the numbers
            `surprisal` (-log p of the label), `complement` (1 - p of the label), `mean_surprisal` (over the k classes
            that may be chosen), `entropy` and `log_partition`, in the order above, each exact where it is small; what
            is not read is not computed. Further positional parameters are arrays, a number for each token; keyword-only
            ones are options, as of `custom_loss`. What is differentiated is passed, not closed over.

    The loss takes `hidden` and `labels`, the arrays of the link, then `kernel`, `bias`, `class_mask`, `embedding`, and
    the options of both: all of `linear_softmax_cross_entropy` but `label_smoothing` and `z_loss`.

    Corners: a label outside 0 to v - 1 gives NaN: mask it with `where=`. A label behind the class mask has an infinite
    surprisal and the complement 1. Where the link has an infinite slope, such as `softmax.complement**0.5` at a
    confident label, the gradient is the one that JAX computes.

    Raises:
        TypeError: The link is not a function, or its parameters are not as above.
        ValueError: The link does not give one number, or does not use the softmax; raised when the loss is called.

    Source: without the logits: Wijmans et al. (2024), Cut your losses in large-vocabulary language models, section 4;
    the example: Schulman et al. (2017), Proximal policy optimization algorithms, equation 7.

    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> @jaxloss.linear_softmax_loss
    ... def clipped_policy(softmax, old_log_probability, advantage, *, clip=0.2):
    ...     ratio = jnp.exp(-softmax.surprisal - old_log_probability)
    ...     return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)
    >>> hidden, labels, kernel = jnp.eye(2), jnp.array([0, 2]), jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> print(f"{clipped_policy(hidden, labels, jnp.array([-1.0, -0.6]), jnp.array([1.0, -1.0]), kernel):.4f}")
    -0.0751
    >>> log_probability = linear_softmax_loss(lambda softmax: -softmax.surprisal)
    >>> of_answers = jaxloss.reduce(jaxloss.reduce(log_probability, "sum", axis=-1), "none")
    >>> hidden, labels = jnp.ones((2, 3, 2)), jnp.array([[0, 2, 1], [1, 1, 0]])
    >>> is_token = jnp.array([[True, True, False], [True, True, True]])
    >>> chosen, rejected = of_answers(hidden, labels, kernel, where=is_token)
    >>> print(f"{jaxloss.dpo(chosen, rejected, -2.0, -3.0):.4f}")
    0.6044
    """
    if not callable(link) or isinstance(link, Loss):
        raise TypeError(f"linear_softmax_loss takes a function of a softmax, got {type(link).__name__}.")
    term = _Linked(link)
    signature = f"(d),(){',()' * len(term.extra)},(d,v),(v),(v),(v,d)->()"
    return custom_loss(
        term,
        signature=signature,
        weighted_sum=_LinkedSum(term),
        stand_in=dict.fromkeys(("hidden", "kernel", "bias", "embedding"), 0.5),
    )


_OF_A_HEAD = {
    name: parameter
    for name, parameter in inspect.signature(linear_softmax_cross_entropy.__wrapped__).parameters.items()
    if name not in ("label_smoothing", "z_loss")
}
"""The parameters of every loss of a head: hidden and labels of each token; the arrays that all share; options."""


@dataclass(unsafe_hash=True)
class _Linked:
    """The loss of one token. To Python it is the link, with the parameters of a head."""

    link: Callable[..., Any]

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.link)
        self.__name__ = getattr(self.link, "__name__", type(self.link).__name__)
        _, *own = self._parameters_of_link()
        self.extra = tuple(p.name for p in own if p.kind is p.POSITIONAL_OR_KEYWORD)
        hidden, labels, *head = _OF_A_HEAD.values()
        arrays, options = own[: len(self.extra)], own[len(self.extra) :]
        columns = [p for p in head if p.kind is p.POSITIONAL_OR_KEYWORD]
        parameters = [hidden, labels, *arrays, *columns, *options, *head[len(columns) :]]
        self.__signature__ = inspect.Signature(parameters)
        self.__annotations__ = {p.name: p.annotation for p in parameters}

    def _parameters_of_link(self) -> list[inspect.Parameter]:
        own = list(inspect.signature(self.link).parameters.values())
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        if not own or own[0].kind is own[0].KEYWORD_ONLY or any(p.kind not in by_name for p in own[1:]):
            raise TypeError(
                f"{self.__name__} must take the softmax of a token, then arrays and options, each by its name; "
                f"it takes ({', '.join(map(str, own))})."
            )
        taken = [p.name for p in own[1:] if p.name in _OF_A_HEAD]
        if taken:
            raise TypeError(
                f"{self.__name__} declares {taken[0]!r}, which every loss of a head has already; rename it."
            )
        return own

    def __reduce__(self) -> tuple[Any, ...]:
        return _Linked, (self.link,)

    def split(self, arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """By name: the arrays of the link, its options, and the arguments of the head."""
        named = dict(zip(self.__signature__.parameters, arrays, strict=False)) | options
        extra = {name: named[name] for name in self.extra}
        of_head = {name: named[name] for name in _OF_A_HEAD}
        return extra, {name: x for name, x in options.items() if name not in of_head}, of_head

    def __call__(self, *arrays: Any, **options: Any) -> Array:
        extra, own, head = self.split(arrays, options)
        labels, axis_name = head.pop("labels"), head.pop("class_axis_name")
        return linked_softmax(self.link, _logits(self.__name__, **head), labels, axis_name, extra | own)


@dataclass(frozen=True)
class _LinkedSum:
    """The weighted sum over many tokens."""

    term: _Linked

    def __call__(self, *arrays: Any, groups: tuple[int, ...], **options: Any) -> Any:
        weights = arrays[-1]
        extra, own, head = self.term.split(arrays[:-1], options)
        real = {
            name: x if x is None or is_label(name) or is_mask(name) else x.astype(weights.dtype)
            for name, x in extra.items()
        }
        each = {name: x for name, x in real.items() if x is not None and x.shape == weights.shape}
        shared = {name: x for name, x in real.items() if name not in each}
        name, link = self.term.__name__, self.term.link
        return _linked_sum(name, link, each, own | shared, weights=weights, groups=groups, **head)


def _linked_sum(
    name: str,
    link: Callable[..., Any],
    each: dict[str, Array],
    shared: dict[str, Any],
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
    columns = _columns(name, kernel, embedding, options["strategy"], options["memory"])
    one_head = columns.ndim == 2 and all(x is None or x.ndim == 1 for x in (bias, class_mask))
    if not one_head or labels.shape != hidden.shape[:-1]:
        return NotImplemented
    return linear_softmax_sum(
        link,
        hidden,
        labels,
        columns,
        bias,
        class_mask,
        weights,
        each=each,
        shared=shared,
        classes_first=kernel is None,
        axis_name=class_axis_name,
        **options,
    )


def _logits(
    name: str,
    hidden: Array,
    kernel: Array | None,
    bias: Array | None,
    class_mask: Array | None,
    embedding: Array | None,
    softcap: Any,
    strategy: str,
    memory: Any,
) -> Array:
    """The logits of one token; -inf where a class may not be chosen."""
    columns = _columns(name, kernel, embedding, strategy, memory)
    logits = hidden @ columns if embedding is None else columns @ hidden
    if bias is not None:
        logits = logits + bias
    if softcap is not None:
        logits = softcap * jnp.tanh(logits / softcap)
    return logits if class_mask is None else jnp.where(class_mask, logits, -jnp.inf)


def _columns(name: str, kernel: Array | None, embedding: Array | None, strategy: Any, memory: Any) -> Array:
    """The one of kernel and embedding that is given, and the sentences for what cannot be."""
    if strategy not in ("auto", "fast", "slope", "small"):
        raise ValueError(f"{name}: strategy must be auto, fast, slope or small, got {strategy!r}.")
    if memory is not None and not isinstance(memory, int | float):
        raise TypeError(f"{name}: memory must be a number of bytes, as shapes depend on it, got {memory!r}.")
    if kernel is not None and embedding is None:
        return kernel
    if embedding is not None and kernel is None:
        return embedding
    raise TypeError(f"{name}: give one of kernel [d, v] and embedding [v, d].")


@custom_loss(signature="(k),()->()", stand_in=0.5)
def unlikelihood(logits: Input, labels: Input) -> Array:
    r"""What a model pays for the probability of a token that it is not to say.

    $$ -\log(1 - p_y) = \log\Big(1 + e^{x_y} \Big/ \sum_{j \ne y} e^{x_j}\Big), \qquad p = \operatorname{softmax}(x) $$

    Args:
        logits: x, `[..., k]`.
        labels: `[...]`, integers from 0 to k - 1: the token that is to become unlikely, one that was said before, say.

    Corners: right where p is nearly 1, whose cost may be 1e4. Where no other class is possible it is inf, with a finite
    gradient; a label of logit -inf costs 0. A label outside 0 to k - 1 gives NaN: mask it with `where=`.

    Raises:
        TypeError: The labels are not integers.

    Source: Welleck et al. (2020), Neural text generation with unlikelihood training, equation 5.

    >>> import jax.numpy as jnp
    >>> print(f"{unlikelihood(jnp.array([2.0, 1.0, 0.0]), 0):.6f}")
    1.094344
    """
    others = logsumexp(jnp.where(is_at(logits, labels), -jnp.inf, logits))
    return softplus(pick(logits, labels) - others)
