"""Tally: a numerator and a denominator that add up, and are divided last."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core import compensated
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

    Both are kept in at least float32, and beside each array what its additions have rounded away. So `+` and `sum` do
    not drift: a mean over 10^9 tokens in 10^5 batches is right to 1e-6, and a count does not stop at 2^24. Additions
    leaf by leaf (`psum`, `jax.tree.map`) carry both numbers along, but round as float32 does. So does a pytree of
    gradients, beside which nothing is kept, as it would take as much memory again: over 10^5 additions it drifts by
    1e-6 where gradients vary and by 1e-4 where all are equal, over 10^6 by 1e-5 and 1e-2.

    Adding pools data; it does not compose a cost out of two different losses. Tallies stacked along an axis, by `vmap`
    or `scan`, add up with `jax.tree.map(jnp.sum, tallies)`.

    >>> import jaxloss
    >>> a = jaxloss.Tally(2.0, 1.0)
    >>> b = jaxloss.Tally(90.0, 9.0)
    >>> print(f"{(a + b).mean:.1f}")
    9.2
    """

    numerator: Any
    denominator: Any
    _rests: tuple[Any, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numerator, denominator = jax.tree.map(jnp.asarray, (self.numerator, self.denominator))
        dtype = computing_dtype(jax.tree.leaves((numerator, denominator)))
        widen = functools.partial(_widen, dtype=dtype)
        numerator, denominator = jax.tree.map(widen, (numerator, denominator))
        compensates = isinstance(numerator, jax.Array)
        rests = (jnp.zeros_like(numerator) if compensates else None, jnp.zeros_like(denominator))
        self._set(numerator, denominator, rests)

    def _set(self, *values: Any) -> None:
        for name, value in zip(("numerator", "denominator", "_rests"), values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def mean(self) -> Any:
        """The numerator over the denominator; 0, with zero gradient, where the denominator is 0."""
        return jax.tree.map(lambda n: ratio(n, self.denominator.astype(n.dtype)), self.numerator)

    def __add__(self, other: Any) -> "Tally":
        if isinstance(other, int) and other == 0:  # the start value of `sum`
            return self
        if not isinstance(other, Tally):
            return NotImplemented
        return _add(self, other)

    __radd__ = __add__

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], None]:
        key = jax.tree_util.GetAttrKey
        return tuple((key(name), getattr(self, name)) for name in ("numerator", "denominator", "_rests")), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[Any, ...]) -> "Tally":
        # Without __post_init__: JAX also builds trees of shapes, of axis numbers and of placeholders.
        tally = object.__new__(cls)
        tally._set(*children)
        return tally


@functools.partial(jax.jit, inline=True)
def _add(a: Tally, b: Tally) -> Tally:
    a, b = jax.tree.map(_as_wide_as, b, a), jax.tree.map(_as_wide_as, a, b)
    (a_rest, a_rest_below), (b_rest, b_rest_below) = a._rests, b._rests
    if a_rest is None:
        numerator, rest = jax.tree.map(jnp.add, a.numerator, b.numerator), None
    else:
        numerator, rest = compensated.add((a.numerator, a_rest), (b.numerator, b_rest))
    denominator, rest_below = compensated.add((a.denominator, a_rest_below), (b.denominator, b_rest_below))
    return Tally.tree_unflatten(None, (numerator, denominator, (rest, rest_below)))


def _as_wide_as(other: Array, array: Array) -> Array:
    return array.astype(computing_dtype([array, other]))


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
