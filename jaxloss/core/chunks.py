"""A call on some of its items at a time, forgotten after use and computed again for the gradient.

A chunk is the same call on fewer items, so the cost of all is what their tallies add up to. How items are cut is
`splitting`'s affair.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from jaxloss.core import splitting
from jaxloss.core.arguments import Given, cast
from jaxloss.core.evaluation import Items
from jaxloss.core.tally import Tally
from jaxloss.numerics.devices import vary, varying
from jaxloss.types import Array

Call = Callable[[Given], Any]


@dataclass(frozen=True)
class Chunks:
    """The items of one call, and the most that are to be evaluated at a time. Axes that inner steps reduce stay whole.

    `items` are those of the whole call, which have passed every check.
    """

    items: Items
    reduced: tuple[int, ...]
    size: int

    def tally(self, call: Call, given: Given) -> Tally:
        """The sum of the tallies that `call` returns."""
        kinds = {name: x.dtype for name, x in given.arrays.items()}

        def as_they_came(part: Given) -> Tally:  # for a weighted sum; the loop adds up wide
            return call(part._replace(arrays={name: x.astype(kinds[name]) for name, x in part.arrays.items()}))

        def add_up(step: Call, along: Any, axis: int, rows: int) -> Tally:
            return splitting.add_up(lambda part: (step(part), None), along, rows, self._asked, axis)[0]

        one = call if self.items.term.weighted_sum is None else as_they_came
        return self._by_axis(one, add_up, self._shared_wide(given), self._cut(), self.size)

    def values(self, call: Call, given: Given) -> Array:
        """The values that `call` returns, which have lost the axes that are reduced."""

        def put_together(step: Call, along: Any, axis: int, rows: int) -> Array:
            kept = axis - sum(reduced < axis for reduced in self.reduced)
            return splitting.put_together(step, along, rows, self._asked, axis, kept)

        return self._by_axis(call, put_together, self._shared_wide(given), self._cut(), self.size)

    @property
    def _asked(self) -> str:
        return f"{self.items.term.name}: chunk_size={self.size}"

    def _cut(self) -> tuple[int, ...]:
        leading = self.items.layout.leading
        return tuple(axis for axis, count in enumerate(leading) if axis not in self.reduced and count != 1)

    def _by_axis(self, call: Call, loop: Callable[..., Any], given: Given, axes: tuple[int, ...], size: int) -> Any:
        """Cuts the first of some axes; where one index of it is more than a chunk, each of its parts along the next."""
        leading = self.items.layout.leading
        if math.prod(leading[axis] for axis in axes) <= size:
            return call(given)
        axis, *others = axes
        along = self._along(given, axis)
        fit = splitting.block_count(along, axis, size)  # as many rows as devices share, and multiples of these
        rows = max(size // math.prod(leading[other] for other in others) // fit, 1) * fit

        def step(part: Any) -> Any:
            selection = {"where": given.where, "weights": given.weights} | part["selection"]
            chunk = Given(given.arrays | part["arrays"], given.options | part["options"], **selection)
            return self._by_axis(call, loop, chunk, tuple(others), max(size // rows, 1))

        return loop(step, along, axis, rows)

    def _along(self, given: Given, axis: int) -> dict[str, dict[str, Array]]:
        """What varies along an axis of the values, which is the same axis of each of these."""
        layout, elementwise = self.items.layout, self.items.term.signature is None
        rank, selection = len(layout.values), {"where": given.where, "weights": given.weights}
        return {
            "arrays": {name: x for name, x in given.arrays.items() if layout.mapped[name]},
            "options": {
                name: x
                for name, x in given.options.items()
                if elementwise and isinstance(x, jax.Array) and x.ndim == rank and x.shape[axis] > 1
            },
            "selection": {name: x for name, x in selection.items() if x is not None and x.ndim > axis},
        }

    def _shared_wide(self, given: Given) -> Given:
        """What all items share, ready for a loop that adds up its gradients: in the wide dtype, varying as items do."""
        mapped = self.items.layout.mapped
        varied = [x for name, x in given.arrays.items() if mapped[name]] + [given.where, given.weights]
        along = frozenset[Any]().union(*(varying(x) for x in varied if x is not None))
        shared = cast({name: x for name, x in given.arrays.items() if not mapped[name]}, self.items.dtype)
        return given._replace(
            arrays=given.arrays | {name: vary(x, along) for name, x in shared.items()},
            options={name: vary(x, along) for name, x in self.items.options.items()},
        )
