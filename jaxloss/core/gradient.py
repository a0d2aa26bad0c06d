"""value_and_grad: the cost of a whole batch and its gradient, with the activations of one micro-batch in memory."""

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Literal, Never

import jax
import jax.numpy as jnp

from jaxloss.core.call import convert
from jaxloss.core.chunks import add_up, check_known, checked_size
from jaxloss.core.tally import finish_by, is_tally
from jaxloss.numerics.devices import check_axis_names, vary, varying
from jaxloss.types import Array, computing_dtype

_NAME = "value_and_grad"


def value_and_grad(
    cost: Callable[..., Any],
    how: Literal["mean", "sum"] | Callable[[Any], Any] = "mean",
    *,
    microbatch_size: int | None = None,
    axis_name: Hashable | tuple[Hashable, ...] | None = None,
    has_aux: bool = False,
    **unknown: Never,
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
            Inside `shard_map` it counts the items of each device, everywhere else those of all; on a sharded axis it is
            a multiple of the shards. For k micro-batches of n items pass `n // k`.
        axis_name: A mesh axis, or several, over which the batch is split, inside `shard_map`. Value and gradient are
            then those of all devices' data, on every device, and nothing is communicated for a micro-batch. Inside
            `shard_map` it may not be left out: without it each device has the value of its own items. This is refused
            where it can be seen, which `check_vma=False` prevents: do not take that way out of an error.
        has_aux: Whether `cost` returns something beside its tallies. Tallies in it are added up, all else is stacked
            along a new first axis, one entry for each micro-batch.
        **unknown: Nothing else; what comes is refused with a sentence.

    Returns:
        A function of `(params, batch, *rest)` that returns `(value, gradient)`, or `((value, aux), gradient)` with
        `has_aux`, as `jax.value_and_grad` does. Every leaf of `batch` is cut along its first axis, inside the loop, so
        that no copy of the batch is made; `rest` goes whole to each micro-batch. So inputs and targets go together,
        `f(params, (x, y))`. The gradient has the structure and the dtypes of `params` and is added up in at least
        float32.

    Where nothing counts the value is 0 (that of a callable stands) and the gradient 0.

    Cost: a forward and a backward pass, one micro-batch at a time. The denominators have to be known first; where they
    come from masks and weights alone, the model is dead code of the pass that learns them, which `jit` removes. A last
    step that is not linear in the numerators, or a denominator that depends on the parameters, needs the numerators
    too: there the forward pass runs twice, unless the batch is taken whole.

    Raises:
        TypeError: `cost` returns arrays (a mean that has lost its denominator cannot be split), or a leaf of `params`
            is not real.
        ValueError: An option is out of range, the leaves of `batch` differ in their first axis, or `axis_name` is not
            that of the `shard_map` around the call.
    """
    for name, value in dict[str, Any](unknown).items():
        raise TypeError(
            f"{_NAME} has no argument {name}={value!r}: it takes how, microbatch_size, axis_name and has_aux. "
            f"microbatch_size counts items: for k micro-batches of n items pass n // k."
        )
    if how not in ("mean", "sum") if isinstance(how, str) else not callable(how):
        raise ValueError(f"{_NAME}: how must be 'mean', 'sum' or a callable of the tallies, got {how!r}.")
    size = None if microbatch_size is None else checked_size(f"{_NAME}: microbatch_size", microbatch_size)
    names = () if axis_name is None else axis_name if isinstance(axis_name, tuple) else (axis_name,)
    finish = functools.partial(finish_by, functools.partial(_last_step, how), asked=_NAME)

    def value_and_gradient(params: Any, batch: Any, *rest: Any) -> Any:
        _check_params(params)
        count, asked = _count(batch), f"{_NAME}: microbatch_size={size}"
        if size is not None:
            check_known((count,), asked)
        params = jax.tree.map(jnp.asarray, params)
        batch = jax.tree.map_with_path(lambda path, x: convert(_NAME, f"batch{jax.tree_util.keystr(path)}", x), batch)
        check_axis_names(_NAME, names, jax.tree.leaves(batch))
        # Each device's share of the gradient is summed once, after the loop, and not for each micro-batch.
        over = jax.tree.map(lambda x: tuple(name for name in names if name not in varying(x)), params)
        own = vary(params, frozenset(names) & varying(batch))

        def evaluate(own: Any, part: Any) -> tuple[Any, Any]:
            with _hint_of_rest(rest, count):
                tallies, aux = cost(own, part, *rest) if has_aux else (cost(own, part, *rest), None)
            _check_tallies(tallies)
            _check_devices(varying(tallies) - frozenset(names) - varying(params))
            return tallies, aux

        def step(part: Any, slopes_at: Callable[[Any], Any]) -> tuple[Any, Any]:
            tallies, pull, aux = jax.vjp(lambda own: evaluate(own, part), own, has_aux=True)
            slopes = jax.tree.map(lambda slope, like: vary(slope, varying(like)), slopes_at(tallies), tallies)
            added, stacked = _partition(aux)
            return (tallies, jax.tree.map(_widen, pull(slopes)[0]), added), stacked

        def slopes_of(tallies: Any) -> Any:
            return jax.grad(finish)(jax.lax.psum(tallies, names))

        if size is None or count <= size:
            (tallies, gradient, added), stacked = step(batch, slopes_of)
            stacked = jax.tree.map(lambda x: x[None], stacked)
        else:
            by_parts = functools.partial(add_up, tree=batch, size=size, asked=asked)
            slopes = slopes_of(by_parts(lambda part: (evaluate(own, part)[0], None))[0])
            (tallies, gradient, added), stacked = by_parts(lambda part: step(part, lambda _: slopes))

        value = finish(jax.lax.psum(tallies, names))
        gradient = jax.tree.map(lambda g, p, over: jax.lax.psum(g, over).astype(p.dtype), gradient, params, over)
        return ((value, _merge(jax.lax.psum(added, names), stacked)), gradient) if has_aux else (value, gradient)

    return value_and_gradient


# -------------------------------------------------------------------------------------------------------- what is asked


def _check_params(params: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        try:
            came = jnp.result_type(leaf)
            real = jnp.issubdtype(came, jnp.floating)
        except TypeError:
            came, real = leaf, False
        if real:
            continue
        raise TypeError(
            f"{_NAME}: params{jax.tree_util.keystr(path)} must be real to have a gradient, got {came}. Pass what has "
            f"none in rest, and put the model together inside the cost. "
            f"Equinox: params, static = eqx.partition(model, eqx.is_inexact_array), then eqx.combine(params, static). "
            f"Flax: graph, params, others = nnx.split(model, nnx.Param, ...), then nnx.merge(graph, params, others)."
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


def _check_devices(axes: frozenset[Any]) -> None:
    """A cost that differs between devices, with params that do not, has one value only over all of these devices."""
    if axes:
        one = ", ".join(sorted(map(repr, axes)))
        raise ValueError(
            f"{_NAME}: the batch is split over the mesh axis {one}, and params are not: pass axis_name={one}, or each "
            f"device has the value of its own items. (check_vma=False hides this error and not the mistake.)"
        )


def _count(batch: Any) -> Any:
    """How many items the batch has."""
    leaves = jax.tree_util.tree_leaves_with_path(batch)
    lengths = {jax.tree_util.keystr(path): jnp.shape(leaf)[:1] for path, leaf in leaves}
    if not leaves or () in lengths.values() or len(set(lengths.values())) > 1:
        found = ", ".join(f"batch{path} {jnp.shape(leaf)}" for path, (_, leaf) in zip(lengths, leaves, strict=True))
        raise ValueError(
            f"{_NAME}: the leaves of batch must have the items along their first axis, as many in each, got "
            f"{found or 'no leaf'}; what all items share goes into rest."
        )
    return next(iter(lengths.values()))[0]


@contextlib.contextmanager
def _hint_of_rest(rest: Any, count: int) -> Iterator[None]:
    """Tells whoever passed `(params, x, y)`, in an error of the cost, that only x was cut."""
    try:
        yield
    except Exception as error:
        for path, leaf in jax.tree_util.tree_leaves_with_path(rest):
            if jnp.shape(leaf)[:1] == (count,):
                error.add_note(
                    f"{_NAME}: rest{jax.tree_util.keystr(path)} has as many items as the batch, {count}, and rest goes "
                    f"whole to each micro-batch. If it is to be cut too, pass it in the batch: f(params, (x, y))."
                )
                break
        raise


# ------------------------------------------------------------------------------------------------------- how it is done


def _last_step(how: Any, tallies: Any) -> Any:
    if callable(how):
        return how(tallies)
    each = jax.tree.leaves(tallies, is_leaf=is_tally)
    return sum(tally.mean if how == "mean" else tally.numerator for tally in each)


def _widen(gradient: Array) -> Array:
    return gradient.astype(computing_dtype([gradient]))


def _partition(aux: Any) -> tuple[Any, Any]:
    """The Tallies, and all else, each with None in the places of the other."""
    return (
        jax.tree.map(lambda x: x if is_tally(x) else None, aux, is_leaf=is_tally),
        jax.tree.map(lambda x: None if is_tally(x) else jnp.asarray(x), aux, is_leaf=is_tally),
    )


def _merge(tallies: Any, others: Any) -> Any:
    return jax.tree.map(lambda a, b: b if a is None else a, tallies, others, is_leaf=lambda x: x is None or is_tally(x))
