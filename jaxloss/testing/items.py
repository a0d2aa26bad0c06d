"""The laws about many items: what a mask, a weight, an order and a split may change, which is nothing."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.gradient import value_and_grad
from jaxloss.testing.subject import Broken, DoesNotApply, NotRun, Subject, all_same, same
from jaxloss.types import is_mask

_POISONS = (np.nan, np.inf, -np.inf, 1e30)


def vmap(s: Subject) -> None:
    """Law 2: vmap over items, a Python loop over items, and the unreduced values agree."""
    arrays, items = s.arrays(), s.items
    one = jax.jit(s.cost())
    loop = [one(*_item(s, arrays, i)) for i in range(items)]
    mapped, _ = s.item_by_item()(*arrays)
    values, counted = (np.reshape(x, (items, -1)) for x in (s.values()(*arrays), s.counted()))
    same(mapped, loop, "the vmapped value of an item")
    same(np.sum(values, 1) / np.maximum(np.sum(counted, 1), 1), loop, "the value of an item among others")


def masked_equals_deleted(s: Subject) -> None:
    """Law 5: a poisoned slot behind the mask gives the value and the gradients of the data without it."""
    items = s.items
    where = np.arange(items) % 3 != 1
    kept, gone = np.flatnonzero(where), np.flatnonzero(~where)
    deleted = s.rows(s.arrays(), kept)
    names = [s.names[i] for i in s.real]
    for how in ("mean", "sum"):
        gradient = s.value_and_gradient(how)
        value, slopes = gradient(*deleted)
        for poison in _POISONS:
            arrays = s.poisoned(s.arrays(), gone, poison)
            what = f"of a {how} with {poison} behind the mask"
            got, got_slopes = gradient(*arrays, where=where)
            same(got, value, f"the value {what}")
            for i, name, slope, expected in zip(s.real, names, got_slopes, slopes, strict=True):
                if s.mapped[i] and np.any(np.asarray(slope)[gone] != 0):
                    raise Broken(
                        f"the gradient {what} in {name} is {np.asarray(slope)[gone].flat[0]} at a masked slot."
                    )
                same(slope[kept] if s.mapped[i] else slope, expected, f"the gradient {what} in {name}")
    arrays = s.poisoned(s.arrays(), gone, np.nan)
    value, slopes = s.value_and_gradient()(*deleted)
    forward = s.forward_gradient()(*arrays, where=where)
    kept_slopes = [f[kept] if s.mapped[i] else f for i, f in zip(s.real, forward, strict=True)]
    all_same(kept_slopes, slopes, names, "jacfwd behind a mask")
    with jax.debug_nans(True):
        same(s.cost()(*arrays, where=where), value, "the value under jax_debug_nans")
    if all(s.mapped):
        masked = jax.vmap(lambda where, *arrays: jax.grad(s.cost(), s.real)(*arrays, where=where))
        _, alone = s.item_by_item()(*s.arrays())
        expected = [np.where(_column(where, g), g, 0) for g in alone]
        all_same(jax.jit(masked)(where, *arrays), expected, names, "the vmapped gradient of items masked one by one")


def deleted_slots(s: Subject) -> None:
    """Law 5 inside an item: what a `..._mask` deletes may hold anything, and gives the data without it."""
    masks = [i for i, name in enumerate(s.names) if is_mask(name) and s.cores[i]]
    if not masks:
        left_out = [name for name in s.loss._term.arrays if is_mask(name)]
        if left_out:
            raise NotRun(f"the example has no mask inside an item; give {left_out[0]}.")
        raise DoesNotApply("the loss takes no mask inside an item.")
    for position in masks:
        _without_the_last(s, position)


def _without_the_last(s: Subject, position: int) -> None:
    """The last slot along the last axis of a mask, deleted by the mask and cut from the arrays."""
    mask, axes = s.names[position], s.cores[position]
    size = s.arrays()[position].shape[-1]
    if size < 2:
        raise NotRun(f"{mask} has {size} slots along its last axis; give it two or more.")

    def places(i: int) -> list[int]:
        core, rank = s.cores[i], s.arrays()[i].ndim
        return [rank - len(core) + n for n, axis in enumerate(core) if axis == axes[-1]]

    def cut(i: int, array: Any) -> Any:
        for axis in places(i):
            array = np.delete(array, -1, axis)
        return array

    def last(i: int, array: Any, value: Any) -> Any:
        array = np.array(array)
        for axis in places(i):
            np.moveaxis(array, axis, 0)[-1] = value
        return array

    # A label of the class that goes would be none.
    whole: list[Any] = [np.minimum(a, size - 2) if i in s.labels else a for i, a in enumerate(s.arrays())]
    whole[position] = last(position, whole[position], False)
    gradient = s.value_and_gradient()
    value, slopes = gradient(*(cut(i, a) for i, a in enumerate(whole)))
    deleted = [i for i, core in enumerate(s.cores) if set(axes) <= set(core) and not is_mask(s.names[i])]
    for poison in _POISONS:
        spoilt = [last(i, a, poison if i in s.real else -100) if i in deleted else a for i, a in enumerate(whole)]
        what = f"with {poison} in a slot that {mask} deletes"
        got, got_slopes = gradient(*spoilt)
        same(got, value, f"the value {what}")
        for i, slope, expected in zip(s.real, got_slopes, slopes, strict=True):
            same(cut(i, slope), expected, f"the gradient {what} in {s.names[i]}")
            if i in deleted and np.any(np.asarray(slope) != last(i, slope, 0)):
                raise Broken(f"the gradient {what} in {s.names[i]} is not 0 there.")
    if not set(deleted) & set(s.real):  # labels alone: an item without any has a cost
        return
    nothing = [np.zeros_like(a) if i == position else a for i, a in enumerate(whole)]
    got, got_slopes = gradient(*nothing)
    if got != 0 or any(np.any(np.asarray(slope) != 0) for slope in got_slopes):
        raise Broken(f"with every slot deleted by {mask} the value is {got}, its gradient not 0.")


def weights_are_copies(s: Subject) -> None:
    """Law 6: weight k is k copies, weight 0 is a mask, and a constant weight changes no mean."""
    items = s.items
    weights = np.ones(items, int)
    weights[: items // 3 * 3] = np.tile([0, 1, 2], items // 3)
    copies = np.repeat(np.arange(items), weights)  # as many as there are items, so that no other program is compiled
    names = [s.names[i] for i in s.real]
    rank = len(s.call.values)
    for how, axis in [("mean", None), ("sum", None)] + [("mean", -1)] * (rank > 1):
        gradient = s.value_and_gradient(how, axis)
        what = f"of a {how}" + (f" after a mean over axis {axis}" if axis else "")
        value, slopes = gradient(*s.rows(s.arrays(), copies))
        arrays = s.poisoned(s.arrays(), np.flatnonzero(weights == 0), np.nan)
        got, got_slopes = gradient(*arrays, weights=weights.astype(np.float32))
        same(got, value, f"the value {what} with weights 0, 1, 2")
        summed = [
            _sum_copies(slope, copies, items) if s.mapped[i] else slope for i, slope in zip(s.real, slopes, strict=True)
        ]
        all_same(got_slopes, summed, names, f"the gradient {what} with weights 0, 1, 2")
    constant, _ = s.value_and_gradient()(*s.arrays(), weights=np.full(items, 2.5, np.float32))
    same(constant, s.cost()(*s.arrays()), "the mean with a constant weight")


def _sum_copies(slope: jax.Array, copies: Any, items: int) -> Any:
    total = np.zeros((items, *slope.shape[1:]), slope.dtype)
    np.add.at(total, copies, np.asarray(slope))
    return total


def nothing_counts(s: Subject) -> None:
    """Law 7: where nothing counts, value and gradients are 0."""
    items = s.items
    arrays = s.poisoned(s.arrays(), np.arange(items), np.nan)
    nothing = {"where": np.zeros(items, bool)}, {"weights": np.zeros(items, np.float32)}
    for how in ("mean", "sum"):
        gradient = s.value_and_gradient(how)
        for keyword in nothing:
            value, slopes = gradient(*arrays, **keyword)
            if value != 0 or any(np.any(np.asarray(slope) != 0) for slope in slopes):
                raise Broken(f"of nothing the {how} is {value}, its gradient {[np.ravel(g)[:1] for g in slopes]}.")
    values = s.values()(*arrays, **nothing[0])
    if np.any(np.asarray(values) != 0):
        raise Broken(f"an unreduced value that does not count is {np.ravel(values)[0]}.")


def split(s: Subject) -> None:
    """Law 8: however the items are split, the cost and its gradient are those of all: by parts, chunks, micro-batches,
    and devices where there are several.
    """
    items, arrays = s.items, s.arrays()
    values = np.asarray(s.values()(*arrays))
    alone = np.asarray(s.values()(*s.poisoned(arrays, [0], 1e3)))
    same(alone[1:], values[1:], "an item's value, after another item changed,")

    rng = np.random.default_rng(0)
    where = np.arange(items) % 3 != 1
    arrays = s.poisoned(arrays, np.flatnonzero(~where), np.nan)
    value, slopes = s.value_and_gradient()(*arrays, where=where)
    names = [s.names[i] for i in s.real]

    index, first = rng.permutation(items), items // 3
    tally = jax.jit(lambda where, *a: s.loss.tally(**s.named(a), where=where, **s.options))
    tallies = [tally(where[part], *s.rows(arrays, part)) for part in (index[:first], index[first:])]
    finish = jax.jit(lambda tallies: s.loss.finish(sum(tallies)))
    same(finish(tallies), value, "the mean of two uneven parts")

    size = int(rng.integers(2, items))
    chunked = jax.jit(jax.value_and_grad(s.cost(chunk_size=size), s.real))(*arrays, where=where)
    same(chunked[0], value, f"the mean by chunks of {size} items")
    all_same(chunked[1], slopes, names, f"the gradient by chunks of {size} items")

    # The factors of the next are a model, whose own gradient is NaN at NaN.
    _micro_batches(s, s.arrays(), where, size, value, slopes)
    _devices(s, arrays, where, rng, value, slopes)


def _micro_batches(
    s: Subject, arrays: Sequence[jax.Array], where: Any, size: int, value: Any, slopes: Sequence[jax.Array]
) -> None:
    """The parameters are factors of 1, one for each real array: their gradients are the arrays times their slopes."""
    cut = {i for i, m in enumerate(s.mapped) if m}

    def cost(factors: dict[int, jax.Array], batch: Any) -> Any:
        where, parts = batch
        whole = [parts[i] if i in cut else a for i, a in enumerate(arrays)]
        scaled = [a * factors[i].astype(a.dtype) if i in factors else a for i, a in enumerate(whole)]
        return s.loss.tally(**s.named(scaled), where=where, **s.options)

    batch = (jax.device_put(where), {i: arrays[i] for i in cut})
    factors = {i: jnp.ones((), arrays[i].dtype) for i in s.real}
    got, found = jax.jit(value_and_grad(cost, microbatch_size=size))(factors, batch)
    same(got, value, f"the mean by micro-batches of {size} items")
    for i, slope in zip(s.real, slopes, strict=True):
        terms = np.where(np.asarray(slope) == 0, 0, np.asarray(slope, np.float64) * np.asarray(arrays[i], np.float64))
        what = f"the gradient by micro-batches of {size} items, in a factor of {s.names[i]},"
        # The terms may cancel: rounding is that of their sizes.
        same([found[i], np.sum(np.abs(terms))], [np.sum(terms), np.sum(np.abs(terms))], what)


def _devices(
    s: Subject, arrays: Sequence[jax.Array], where: Any, rng: Any, value: Any, slopes: Sequence[jax.Array]
) -> None:
    """The items in random places on all devices, with padding between them."""
    devices = jax.device_count()
    if devices == 1:
        return
    places = devices * -(-2 * s.items // devices)
    index = rng.permutation(places) % s.items
    first = np.unique(index, return_index=True)[1]
    counts = np.zeros(places, bool)
    counts[first] = where
    mesh = jax.make_mesh((devices,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    cost = s.cost(axis_name="devices")
    split = jax.shard_map(
        lambda where, *a: cost(*a, where=where),
        mesh=mesh,
        in_specs=(jax.P("devices"), *(jax.P("devices") if m else jax.P() for m in s.mapped)),
        out_specs=jax.P(),
    )
    positions = tuple(1 + i for i in s.real)
    got, found = jax.jit(jax.value_and_grad(split, positions))(counts, *s.rows(arrays, index))
    same(got, value, f"the mean over {devices} devices")
    for i, slope, expected in zip(s.real, found, slopes, strict=True):
        of_items = slope[first] if s.mapped[i] else slope
        same(of_items, expected, f"the gradient over {devices} devices in {s.names[i]}")


def order(s: Subject) -> None:
    """Law 9: permuting the items changes nothing."""
    items, arrays = s.items, s.arrays()
    permutation = np.random.default_rng(0).permutation(items)
    gradient = s.value_and_gradient()
    value, slopes = gradient(*arrays)
    got, got_slopes = gradient(*s.rows(arrays, permutation))
    same(got, value, "the value of permuted items")
    expected = [slope[permutation] if s.mapped[i] else slope for i, slope in zip(s.real, slopes, strict=True)]
    all_same(got_slopes, expected, [s.names[i] for i in s.real], "the gradient of permuted items")


def _item(s: Subject, arrays: Sequence[jax.Array], i: int) -> tuple[jax.Array, ...]:
    return tuple(np.asarray(a)[i] if m else a for a, m in zip(arrays, s.mapped, strict=True))


def _column(mask: Any, like: Any) -> Any:
    return np.reshape(mask, mask.shape + (1,) * (like.ndim - mask.ndim))
