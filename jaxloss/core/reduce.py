"""reduce: the same loss with other steps from values to cost."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, overload

import numpy as np

from jaxloss.core.chunks import checked_size
from jaxloss.core.loss import Loss, P, as_loss
from jaxloss.core.weighting import How, Step

AxisName: TypeAlias = Hashable | tuple[Hashable, ...]


@overload
def reduce(
    loss: Loss[P],
    how: How | None = ...,
    *,
    axis: int | Sequence[int] | None = ...,
    axis_name: AxisName | None = ...,
    chunk_size: int | None = ...,
) -> Loss[P]: ...
@overload
def reduce(
    loss: Callable[P, Any],
    how: How | None = ...,
    *,
    axis: int | Sequence[int] | None = ...,
    axis_name: AxisName | None = ...,
    chunk_size: int | None = ...,
) -> Loss[P]: ...
def reduce(
    loss: Any,
    how: How | None = None,
    *,
    axis: int | Sequence[int] | None = None,
    axis_name: AxisName | None = None,
    chunk_size: int | None = None,
) -> Loss[...]:
    r"""Names how the values of a loss become a cost.

    $$ \text{mean} = \frac{\sum_i w_i v_i}{\sum_i w_i}, \qquad \text{sum} = \sum_i w_i v_i, \qquad
       \text{none} = (w_i v_i)_i $$

    Without `axis` it names the last step. With `axis` it adds an inner step, which reduces those axes within each
    group; what is left over goes to the next step. A group in which nothing counts does not count in the next step.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> prediction, target = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.zeros((2, 2))
    >>> mask = jnp.array([[True, True], [True, False]])
    >>> error = jaxloss.absolute_error
    >>> print(error(prediction, target, where=mask))  # the mean over all that counts: 6 / 3
    2.0
    >>> per_row = jaxloss.reduce(error, axis=-1)  # the mean over rows of the mean in each row: (1.5 + 3) / 2
    >>> print(per_row(prediction, target, where=mask))
    2.25
    >>> sums = jaxloss.reduce(jaxloss.reduce(error, "sum", axis=-1), "none")
    >>> print(sums(prediction, target, where=mask))
    [3. 3.]

    A callable of the `Tally` makes any other last step. Where nothing counts its gradient is 0.

    >>> rmse = jaxloss.reduce(jaxloss.squared_error, lambda tally: jaxloss.numerics.safe_sqrt(tally.mean))
    >>> print(rmse(jnp.array([3.0, 0.0]), jnp.array([0.0, 3.0])))
    3.0

    Args:
        loss: A Loss, a `functools.partial` of one that binds options, or an elementwise function.
        how: "mean", "sum", "none" or a callable of a Tally; None keeps the last step, and means "mean" with `axis`.
        axis: An axis, or several, of the values as the steps before this one left them.
        axis_name: A mesh axis, or several, over which the data are split, inside `shard_map`.
        chunk_size: How many items are evaluated at a time, counted over all leading axes that no inner step reduces.

    With `axis_name` a call adds up numerator and denominator over the devices, separately, and then takes the last
    step: the cost of all the data, on every device, also where masks leave some devices more than others, or nothing.

    >>> mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    >>> cost = jaxloss.reduce(error, axis_name="data")
    >>> split = jax.shard_map(cost, mesh=mesh, in_specs=jax.P("data"), out_specs=jax.P())
    >>> print(jax.jit(split)(jnp.ones(8 * jax.device_count()), jnp.zeros(8 * jax.device_count())))
    1.0

    Under `shard_map` with its default `check_vma=True`, `jax.grad` of such a cost is the gradient of the cost of all
    the data: inside the map, with respect to a parameter that all devices share, it comes summed over them. With
    `check_vma=False`, and under `pmap`, the sum of the devices' costs is what is differentiated, which counts the one
    cost once for each device: there, differentiate the local tally and add up the gradients yourself.

    With `chunk_size` the values of that many items exist at a time, and are computed again for the gradient: the same
    number and the same gradient, in memory that follows the chunk and not the data: no copy of these is made. Any size
    works; on a sharded axis a multiple of the shards, where each device works on each chunk.

    >>> chunked = jaxloss.reduce(error, chunk_size=3)
    >>> print(chunked(prediction, target), error(prediction, target))
    1.5 1.5

    A weight belongs to the axes it has: a step that reduces one of them uses the weights, and each group it leaves then
    counts once; a step that reduces none of them leaves them to the step that does. A constant weight from 1e-30 to
    1e30 changes nothing in a mean. A weight of 0 or a subnormal one is a mask, a negative one makes its value NaN.

    Raises:
        ValueError: `how` is none of these, or does not go with `axis`; or `axis` comes after the last step was named.
        TypeError: `loss` is none of these.
    """
    if not callable(loss):
        last = next((word for word in (loss, how) if isinstance(word, str)), "mean")
        raise TypeError(
            f"reduce takes a loss first, a function and not its value, got {type(loss).__name__}; "
            f"write jaxloss.reduce(loss, {last!r})(prediction, target)."
        )
    base = as_loss(loss)
    known = how is None or (isinstance(how, str) and how in ("mean", "sum", "none"))
    if not known and (not callable(how) or isinstance(how, Loss)):
        raise ValueError(f"reduce: how must be 'mean', 'sum', 'none' or a callable of a Tally, got {how!r}.")
    plan = base._plan
    if axis_name is not None:
        plan = replace(plan, axis_name=axis_name if isinstance(axis_name, tuple) else (axis_name,))
    if chunk_size is not None:
        plan = replace(plan, chunk_size=checked_size("reduce: chunk_size", chunk_size))
    if axis is not None:
        if plan.last is not None:
            raise ValueError(
                f"reduce: axis={axis} comes after the last step of {base!r}; add inner steps before naming the last."
            )
        if how is not None and how not in ("mean", "sum"):
            raise ValueError(
                f"reduce: axis={axis} takes 'mean' or 'sum', got {how!r}; only the last step may be another."
            )
        plan = replace(plan, steps=(*plan.steps, Step(how or "mean", _axes(axis))))
    elif how is not None:
        plan = replace(plan, last=how)
    if plan.last == "none" and plan.axis_name:
        raise ValueError(
            f"reduce: axis_name={plan.axis_name} adds up over devices, which 'none' does not; name another last step."
        )
    return replace(base, _plan=plan)


def _axes(axis: int | Sequence[int]) -> tuple[int, ...]:
    axes: tuple[Any, ...] = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    if any(isinstance(one, bool) or not isinstance(one, int | np.integer) for one in axes):
        raise ValueError(f"reduce: axis must be an int or a tuple of ints, got {axis!r}.")
    return tuple(map(int, axes))
