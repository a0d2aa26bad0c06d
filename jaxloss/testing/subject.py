"""What the laws look at: a loss, an example of its arguments, and the ways to vary them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core import slots
from jaxloss.core.call import bind
from jaxloss.core.loss import as_loss
from jaxloss.core.reduce import reduce
from jaxloss.core.weighting import MEAN_OF_ALL
from jaxloss.types import is_label, is_mask


class Broken(Exception):
    """A law does not hold; the message gives the numbers."""


class NotRun(Exception):
    """A law cannot be tried on this example; the message says why."""


class DoesNotApply(NotRun):
    """A law says nothing of this loss, whatever the example; the message says why."""


class Subject:
    """A loss without its reductions, and an example of a call."""

    def __init__(self, loss: Any, arrays: Sequence[Any], options: Mapping[str, Any]) -> None:
        self.loss: Any = dataclasses.replace(as_loss(loss), _plan=MEAN_OF_ALL)
        self.name: str = self.loss.__name__
        self.options = dict(options)
        term = self.loss._term
        self.call = bind(term, arrays, {**self.loss._bound, **options})
        self.names: tuple[str, ...] = tuple(self.call.arrays)
        self.cores = tuple(term.cores[name] for name in self.names)
        self.mapped = tuple(map(self.call.is_mapped, self.names))
        # Real numbers are kept in float64, so that each law can take them in the dtype that it is about.
        self._given = tuple(
            np.asarray(array, np.float64 if jnp.issubdtype(np.asarray(array).dtype, jnp.floating) else None)
            for array in self.call.arrays.values()
        )
        self._programs: dict[Any, Callable[..., Any]] = {}

    # ------------------------------------------------------------------------------------------------------ the example

    @property
    def real(self) -> tuple[int, ...]:
        """The positions of the arrays that have a gradient: those that were given as real numbers."""
        return tuple(i for i, array in enumerate(self._given) if jnp.issubdtype(array.dtype, jnp.floating))

    @property
    def labels(self) -> tuple[int, ...]:
        return tuple(i for i, name in enumerate(self.names) if is_label(name))

    @property
    def items(self) -> int:
        """How many there are along the first axis; the laws about many items need three."""
        if not self.call.leading:
            raise NotRun("the example has no leading axis; give it one of three items or more.")
        count = self.call.leading[0]
        if count < 3:
            raise NotRun(f"the example has {count} items along its first axis; give it three or more.")
        return count

    def arrays(self, dtype: Any = jnp.float32) -> tuple[jax.Array, ...]:
        real = self.real
        with np.errstate(over="ignore"):  # a law on low precision looks for infinities itself
            return tuple(jax.device_put(a.astype(dtype) if i in real else a) for i, a in enumerate(self._given))

    # Arrays are changed in NumPy, as each step in JAX would be compiled.

    def rows(self, arrays: Sequence[jax.Array], index: Any) -> tuple[jax.Array, ...]:
        """Some items, by number, along the first axis."""
        return tuple(jax.device_put(np.asarray(a)[index]) if m else a for a, m in zip(arrays, self.mapped, strict=True))

    def filled(self, arrays: Sequence[jax.Array], position: int, value: Any, index: Any = ...) -> tuple[jax.Array, ...]:
        """One of the arrays with this value, in all places or at an index."""
        array = np.array(arrays[position])
        array[index] = value
        return (*arrays[:position], jax.device_put(array), *arrays[position + 1 :])

    def poisoned(self, arrays: Sequence[jax.Array], index: Any, poison: float) -> tuple[jax.Array, ...]:
        """Some items of every mapped array spoilt: reals by the poison, labels out of range, masks all False."""
        spoilt = tuple(arrays)
        for i, name in enumerate(self.names):
            if self.mapped[i]:
                bad = poison if i in self.real else False if is_mask(name) else -100
                spoilt = self.filled(spoilt, i, bad, index)
        return spoilt

    def counted(self) -> Any:
        """Which unreduced values count, by the masks of the outputs in the example."""
        by_masks = slots.of_outputs(self.call)
        return np.broadcast_to(True if by_masks is None else np.asarray(by_masks), self.call.values)

    # -------------------------------------------------------------------------------------------------------- the calls

    def named(self, arrays: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.names, arrays, strict=True))

    def cost(
        self, how: Any = None, axis: Any = None, chunk_size: Any = None, axis_name: Any = None, **options: Any
    ) -> Callable[..., jax.Array]:
        """The loss as a function of its arrays in the order of `names`, and of where and weights."""
        loss = self.loss if axis is None else reduce(self.loss, axis=axis)
        loss = reduce(loss, how, chunk_size=chunk_size, axis_name=axis_name)
        fixed = {**self.options, **options}

        def call(*arrays: Any, where: Any = None, weights: Any = None) -> jax.Array:
            result: jax.Array = loss(**self.named(arrays), where=where, weights=weights, **fixed)
            return result

        return call

    # Compiled programs, each kept for all the laws that ask for it. They give NumPy arrays: what follows a call in JAX
    # would be compiled too.

    def values(self) -> Callable[..., Any]:
        """The unreduced values."""
        return self._program("values", lambda: self.cost("none"))

    def value_and_gradient(self, how: str = "mean", axis: int | None = None) -> Callable[..., Any]:
        """Value and gradients in every real array."""
        return self._program(("gradient", how, axis), lambda: jax.value_and_grad(self.cost(how, axis), self.real))

    def forward_gradient(self) -> Callable[..., Any]:
        """The gradients of the mean in every real array, in forward mode."""
        return self._program("forward", lambda: jax.jacfwd(self.cost(), self.real))

    def item_by_item(self) -> Callable[..., Any]:
        """Value and gradients of each item alone, mapped by vmap."""
        axes = [0 if m else None for m in self.mapped]
        return self._program("items", lambda: jax.vmap(jax.value_and_grad(self.cost(), self.real), axes))

    def _program(self, key: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        if key not in self._programs:
            self._programs[key] = jax.jit(make())
        return lambda *arrays, **keywords: jax.device_get(self._programs[key](*arrays, **keywords))


def same(got: Any, expected: Any, what: str, relative: float = 1e-5) -> None:
    """Raises Broken unless equal, up to rounding of the largest entry."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        raise Broken(f"{what} has shape {got.shape}, expected {expected.shape}.")
    finite = expected[np.isfinite(expected)]
    scale = float(np.max(np.abs(finite), initial=1e-30))
    if not np.allclose(got, expected, rtol=relative, atol=relative * scale, equal_nan=True):
        with np.errstate(invalid="ignore"):
            worst = np.argmax(np.nan_to_num(np.abs(got - expected), nan=np.inf))
        raise Broken(f"{what} is {got.flat[worst]:.8g}, expected {expected.flat[worst]:.8g}.")


def all_same(
    got: Sequence[Any], expected: Sequence[Any], names: Sequence[str], what: str, relative: float = 1e-5
) -> None:
    """`same` for the gradients in several arrays."""
    for name, one, other in zip(names, got, expected, strict=True):
        same(one, other, f"{what} in {name}", relative)
