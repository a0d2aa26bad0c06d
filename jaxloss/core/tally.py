"""Tally: a numerator and a denominator that add up, and are divided last."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.safe import ratio
from jaxloss.types import Array, computing_dtype


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True)
class Tally:
    r"""What a cost has added up so far: the weighted sum of the values, and the sum of the weights.

    $$ (n_1, d_1) + (n_2, d_2) = (n_1 + n_2,\; d_1 + d_2), \qquad \mathrm{mean} = n / d $$

    Addition is associative and commutative, and `Tally(0, 0)` is its zero. That is why the mean over any split of the
    data (batches, devices, hosts, steps) is exact: add the tallies, divide once. A Tally is a pytree, so
    `jax.lax.psum`, `jax.tree.map`, a `scan` carry and `jax.vmap` carry it as it is.

    Args:
        numerator: An array, or a pytree of arrays such as gradients.
        denominator: A scalar, the weight of what counts.

    Both are kept in at least float32. Adding pools data; it does not compose a cost out of two different losses.
    Tallies stacked along an axis, by `vmap` or `scan`, add up with `jax.tree.map(jnp.sum, tallies)`.

    >>> import jaxloss
    >>> a = jaxloss.Tally(2.0, 1.0)
    >>> b = jaxloss.Tally(90.0, 9.0)
    >>> print(f"{(a + b).mean:.1f}")
    9.2
    """

    numerator: Any
    denominator: Any

    def __post_init__(self) -> None:
        numerator, denominator = jax.tree.map(jnp.asarray, (self.numerator, self.denominator))
        dtype = computing_dtype(jax.tree.leaves((numerator, denominator)))
        widen = functools.partial(_widen, dtype=dtype)
        object.__setattr__(self, "numerator", jax.tree.map(widen, numerator))
        object.__setattr__(self, "denominator", jax.tree.map(widen, denominator))

    @property
    def mean(self) -> Any:
        """The numerator over the denominator; 0, with zero gradient, where the denominator is 0."""
        return jax.tree.map(lambda n: ratio(n, self.denominator.astype(n.dtype)), self.numerator)

    def __add__(self, other: Any) -> "Tally":
        if isinstance(other, int) and other == 0:  # the start value of `sum`
            return self
        if not isinstance(other, Tally):
            return NotImplemented
        return jax.tree.map(_add, self, other)

    __radd__ = __add__

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], None]:
        key = jax.tree_util.GetAttrKey
        return ((key("numerator"), self.numerator), (key("denominator"), self.denominator)), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[Any, Any]) -> "Tally":
        # Without __post_init__: JAX also builds trees of shapes, of axis numbers and of placeholders.
        tally = object.__new__(cls)
        object.__setattr__(tally, "numerator", children[0])
        object.__setattr__(tally, "denominator", children[1])
        return tally


def _add(a: Array, b: Array) -> Array:
    dtype = jnp.float64 if jnp.float64 in (a.dtype, b.dtype) else a.dtype
    return a.astype(dtype) + b.astype(dtype)


def _widen(array: Array, dtype: Any) -> Array:
    kept = array.dtype in (jnp.float32, jnp.float64) and not array.weak_type
    return array if kept else array.astype(dtype)


def finish_by(how: Callable[[Any], Any], tallies: Any, asked: str) -> Array:
    """A last step of the user's own. A tally of nothing has its value and no gradient."""

    def gated(tally: Tally) -> Tally:
        return jax.tree.map(functools.partial(_gradient_where, tally.denominator != 0), tally)

    result = jnp.asarray(how(jax.tree.map(gated, tallies, is_leaf=is_tally)))
    if result.shape:
        raise ValueError(
            f"{asked}: the last step must return a scalar, got shape {result.shape}; tallies that vmap or scan has "
            f"stacked add up with jax.tree.map(jnp.sum, tallies)."
        )
    leaves = jax.tree.leaves(tallies, is_leaf=is_tally)
    something = functools.reduce(jnp.logical_or, (jnp.any(tally.denominator != 0) for tally in leaves))
    return _gradient_where(something, result)


def is_tally(x: Any) -> bool:
    """Whether a node of a pytree is a Tally."""
    return isinstance(x, Tally)


def _gradient_where(condition: Array, value: Array) -> Array:
    return jnp.where(condition, value, jax.lax.stop_gradient(value))
