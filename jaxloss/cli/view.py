"""A view of a loss: one item at each point of an axis, with the few helpers that write such items."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp

from jaxloss.types import Array

Item = Callable[[Array], tuple[Any, ...]]


@dataclass(frozen=True)
class Scene:
    """Pictures of what a loss compares at a few points of a view.

    Attributes:
        draw: Draws the arrays of one item; it takes axes of matplotlib, then the arrays.
        at: The points: the label of an item, and x.
        says: What is what in the pictures.
    """

    draw: Callable[..., None]
    at: Sequence[tuple[str, float]]
    says: str


@dataclass(frozen=True)
class View:
    """A loss seen along one number.

    Attributes:
        along: What varies, with its unit, for the axis.
        low: Where the range begins.
        high: Where it ends.
        items: The arrays of one item at x, for each curve by its label.
        scene: How what is compared is shown, for what can be seen: regions, boxes, images.
    """

    along: str
    low: float
    high: float
    items: Mapping[str, Item]
    scene: Scene | None = None

    def showing(self, scene: Scene) -> "View":
        """The same view, with pictures."""
        return replace(self, scene=scene)


def view(along: str, low: float, high: float, item: Item | None = None, **items: Item) -> View:
    """One curve without a label, or several."""
    return View(along, low, high, {"": item} if item else items)


def each(name: str, values: Sequence[float], item: Callable[[Any, Array], tuple[Any, ...]]) -> dict[str, Item]:
    """An item for each of several values of something that is kept."""
    return {f"{name} = {value:g}": functools.partial(item, value) for value in values}


def row(*entries: Any) -> Array:
    """A vector; the entries that are numbers take the dtype of the others."""
    dtype = next(entry.dtype for entry in entries if hasattr(entry, "dtype"))
    return jnp.stack([jnp.asarray(entry, dtype) for entry in entries])


def constant(x: Array, *entries: float) -> Array:
    """A vector of numbers in the dtype of x."""
    return jnp.asarray(entries, x.dtype)
