"""value_and_grad: the cost of a whole batch and its gradient, with the activations of one micro-batch in memory."""

import functools
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.arguments import from_host
from jaxloss.core.splitting import Parts, add_up, cut
from jaxloss.core.tally import finish_by, is_tally
from jaxloss.numerics.devices import vary, varying
from jaxloss.types import Array, computing_dtype

AxisNames: TypeAlias = tuple[Hashable, ...]
_NAME = "value_and_grad"
_ASKED = f"{_NAME}: microbatch_size"


def value_and_grad(
    cost: Callable[..., Any],
    how: Literal["mean", "sum"] | Callable[[Any], Any] = "mean",
    *,
    microbatch_size: int | None = None,
    axis_name: Hashable | AxisNames | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    r"""The value and the gradient of a cost over a whole batch, however the batch is split.

    $$ f(\theta) = \mathrm{how}\Big( \sum_b T_b(\theta) \Big), \qquad
       \nabla f = \sum_b \Big( \frac{\partial\, \mathrm{how}}{\partial T} \Big)^{\!\top}
       \frac{\partial T_b}{\partial \theta} $$

    over the micro-batches b, with the tallies T_b that `cost` returns. The derivative of the last step is taken at the
    tally of the whole batch, which makes the sum exact: for ragged masks, for several tallies with denominators of
    their own, for last steps that are not linear, and for denominators that depend on the parameters.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> def cost(params, batch):
    ...     return jaxloss.squared_error.tally(batch["x"] @ params, batch["y"], where=batch["counts"])
    >>> batch = {"x": jnp.eye(5), "y": jnp.arange(5.0), "counts": jnp.arange(5) != 2}
    >>> step = jax.jit(jaxloss.value_and_grad(cost, microbatch_size=2))
    >>> value, gradient = step(jnp.zeros(5), batch)
    >>> print(value, gradient)
    6.5 [ 0.  -0.5  0.  -1.5 -2. ]

    Args:
        cost: `cost(params, batch, *rest)`, which returns a Tally or a pytree of Tallies; with `has_aux`,
            `(tallies, aux)`. A term of the parameters alone is `Tally(l2, 1.0)`: each micro-batch adds it once, and its
            mean stays what it is.
        how: The last step: "mean", the sum of the means of the tallies; "sum", the sum of their numerators; or a
            callable of the pytree of tallies that returns a scalar, such as
            `lambda t: t["ce"].mean + 0.1 * t["kl"].mean` or `lambda t: jnp.exp(t.mean)`.
        microbatch_size: How many items are evaluated at a time, any number of 1 or more; None takes the batch whole.
            On a sharded axis one that divides the items and is a multiple of the shards.
        axis_name: A mesh axis, or several, over which the batch is split, inside `shard_map`. Value and gradient are
            then those of all devices' data, on every device, and nothing is communicated for a micro-batch.
        has_aux: Whether `cost` returns something beside its tallies. Tallies in it are added up, all else is stacked
            along a new first axis, one entry for each micro-batch.

    Returns:
        A function of `(params, batch, *rest)` that returns `(value, gradient)`, or `((value, aux), gradient)` with
        `has_aux`, as `jax.value_and_grad` does. Every leaf of `batch` is cut along its first axis; `rest` goes whole to
        each micro-batch. The gradient has the structure and the dtypes of `params` and is added up in at least
        float32.

    Where nothing counts the value is 0 (that of a callable stands) and the gradient 0.

    Cost: a forward and a backward pass, one micro-batch at a time. The denominators have to be known first; where they
    come from masks and weights alone, the model is dead code of the pass that learns them, which `jit` removes. A last
    step that is not linear in the numerators, or a denominator that depends on the parameters, needs the numerators
    too: there the forward pass runs twice, unless the batch is taken whole.

    Raises:
        TypeError: `cost` returns arrays: a mean that has lost its denominator cannot be split.
        ValueError: An option is out of range, or the leaves of `batch` differ in their first axis.
    """
    _check_how(how)
    if microbatch_size is not None and (
        isinstance(microbatch_size, bool) or not isinstance(microbatch_size, int | np.integer) or microbatch_size < 1
    ):
        raise ValueError(f"{_NAME}: microbatch_size must be an int of 1 or more, got {microbatch_size!r}.")
    names: AxisNames = () if axis_name is None else axis_name if isinstance(axis_name, tuple) else (axis_name,)
    finish = functools.partial(finish_by, functools.partial(_last_step, how), asked=_NAME)

    def value_and_gradient(params: Any, batch: Any, *rest: Any) -> Any:
        _check_params(params)
        parts = _microbatches(batch, microbatch_size)
        # Each device's share of the gradient is summed once, after the loop, and not for each micro-batch.
        over = jax.tree.map(lambda x: tuple(name for name in names if name not in varying(x)), params)
        own = jax.tree.map(lambda x: vary(x, _varied(batch, names)), params)

        def evaluate(own: Any, part: Any) -> tuple[Any, Any]:
            tallies, aux = cost(own, part, *rest) if has_aux else (cost(own, part, *rest), None)
            _check_tallies(tallies)
            return tallies, aux

        def step(part: Any, slopes_at: Callable[[Any], Any]) -> tuple[Any, Any]:
            tallies, pull, aux = jax.vjp(lambda own: evaluate(own, part), own, has_aux=True)
            slopes = jax.tree.map(lambda slope, like: vary(slope, varying(like)), slopes_at(tallies), tallies)
            added, stacked = _partition(aux)
            return (tallies, jax.tree.map(_widen, pull(slopes)[0]), added), stacked

        def slopes_of(tallies: Any) -> Any:
            return jax.grad(finish)(_psum(tallies, names))

        if isinstance(parts, Parts):
            slopes = slopes_of(add_up(parts, lambda part: (evaluate(own, part)[0], None))[0])
            (tallies, gradient, added), stacked = add_up(parts, lambda part: step(part, lambda _: slopes))
        else:
            (tallies, gradient, added), stacked = step(parts, slopes_of)
            stacked = jax.tree.map(lambda x: x[None], stacked)

        value = finish(_psum(tallies, names))
        gradient = jax.tree.map(lambda g, p, over: _psum(g, over).astype(p.dtype), gradient, params, over)
        return ((value, _merge(_psum(added, names), stacked)), gradient) if has_aux else (value, gradient)

    return value_and_gradient


# -------------------------------------------------------------------------------------------------------- what is asked


def _check_how(how: Any) -> None:
    if how not in ("mean", "sum") if isinstance(how, str) else not callable(how):
        raise ValueError(f"{_NAME}: how must be 'mean', 'sum' or a callable of the tallies, got {how!r}.")


def _check_params(params: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(
                f"{_NAME}: params{jax.tree_util.keystr(path)} must be real to have a gradient, got "
                f"{jnp.result_type(leaf)}; what has none goes into rest."
            )


def _check_tallies(tallies: Any) -> None:
    leaves = jax.tree.leaves(tallies, is_leaf=is_tally)
    wrong = [leaf for leaf in leaves if not is_tally(leaf)]
    if wrong or not leaves:
        came = f"an array of shape {jnp.shape(wrong[0])}" if wrong else "nothing"
        raise TypeError(
            f"{_NAME}: cost must return a Tally or a pytree of Tallies, got {came}, which has lost its denominator; "
            f"return loss.tally(...) in place of loss(...)."
        )


def _microbatches(batch: Any, size: int | None) -> Any:
    """The batch in Parts, or as it is where it is one part."""
    leaves = jax.tree_util.tree_leaves_with_path(batch)
    lengths = {jax.tree_util.keystr(path): jnp.shape(leaf)[:1] for path, leaf in leaves}
    if not leaves or () in lengths.values() or len(set(lengths.values())) > 1:
        found = ", ".join(f"batch{path} {jnp.shape(leaf)}" for path, (_, leaf) in zip(lengths, leaves, strict=True))
        raise ValueError(
            f"{_NAME}: the leaves of batch must have the items along their first axis, as many in each, got "
            f"{found or 'no leaf'}; what all items share goes into rest."
        )
    count = next(iter(lengths.values()))[0]
    if size is None or count <= size:
        return batch
    arrays = jax.tree.map_with_path(lambda path, x: from_host(_NAME, f"batch{jax.tree_util.keystr(path)}", x), batch)
    return cut(arrays, int(size), _ASKED)


# ------------------------------------------------------------------------------------------------------- how it is done


def _last_step(how: Any, tallies: Any) -> Any:
    if callable(how):
        return how(tallies)
    each = jax.tree.leaves(tallies, is_leaf=is_tally)
    return sum(tally.mean if how == "mean" else tally.numerator for tally in each)


def _widen(gradient: Array) -> Array:
    return gradient.astype(computing_dtype([gradient]))


def _psum(tree: Any, names: AxisNames) -> Any:
    return jax.lax.psum(tree, names) if names else tree


def _varied(batch: Any, names: AxisNames) -> frozenset[Any]:
    """The mesh axes, of those named, over which the batch varies."""
    return frozenset(names) & frozenset[Any]().union(*map(varying, jax.tree.leaves(batch)))


def _partition(aux: Any) -> tuple[Any, Any]:
    """The Tallies, and all else, each with None in the places of the other."""
    return (
        jax.tree.map(lambda x: x if is_tally(x) else None, aux, is_leaf=is_tally),
        jax.tree.map(lambda x: None if is_tally(x) else jnp.asarray(x), aux, is_leaf=is_tally),
    )


def _merge(tallies: Any, others: Any) -> Any:
    return jax.tree.map(lambda a, b: b if a is None else a, tallies, others, is_leaf=lambda x: x is None or is_tally(x))
