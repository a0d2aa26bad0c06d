"""Loss and custom_loss: a formula about one item becomes a function of many."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, overload

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core import eager, evaluation
from jaxloss.core.call import Call, bind
from jaxloss.core.tally import Tally
from jaxloss.core.term import RESERVED, Term
from jaxloss.core.weighting import MEAN_OF_ALL, Reduction
from jaxloss.types import Array, Input

P = ParamSpec("P")
_RESERVED = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in RESERVED]


class _WhenAsked(functools.cached_property[inspect.Signature]):
    """Of a loss; the class itself has none, so that `inspect.signature` reads what it is made of."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            raise AttributeError("__signature__")
        return super().__get__(instance, owner)


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False, repr=False)
class Loss(Generic[P]):
    """A formula about one item, applied to many and reduced.

    Made by `custom_loss`, changed by `reduce`. A Loss is frozen and holds no state: calling it is calling a pure
    function of arrays, to be jitted, vmapped and differentiated like any other. Two losses built alike are equal.
    A Loss is a pytree, whose leaves are the arrays that `functools.partial` bound to its options; most have none.
    """

    _term: Term
    _options: tuple[tuple[str, Any], ...] = ()  # those bound that are plain values
    _arrays: tuple[tuple[str, Any], ...] = ()  # those bound that are arrays
    _plan: Reduction = MEAN_OF_ALL

    # From the term, so that a loss looks to Python like the function it was made of.
    __name__: str = field(init=False)
    __wrapped__: Callable[P, Any] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self._term, Term):
            raise TypeError(f"a Loss is made by jaxloss.custom_loss(f), where f is the formula; got {self._term!r}.")
        function = self._term.function
        vars(self).update(
            __name__=self._term.name,
            __qualname__=getattr(function, "__qualname__", self._term.name),
            __module__=getattr(function, "__module__", None),
            __doc__=function.__doc__,
            __wrapped__=function,
        )

    @property
    def signature(self) -> str | None:
        """The term's signature in gufunc notation, or None for an elementwise term."""
        return self._term.signature

    # ---------------------------------------------------------------------------------------------------- what is asked

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Array: ...
    @overload
    def __call__(self, *arrays: Input, where: Input, weights: Input = ..., **options: Any) -> Array: ...
    @overload
    def __call__(self, *arrays: Input, weights: Input, **options: Any) -> Array: ...
    def __call__(self, *arrays: Any, where: Any = None, weights: Any = None, **options: Any) -> Array:
        """The cost: a scalar, unless the last step is "none"."""
        return eager.run(evaluation.cost, self._plan, self._call(arrays, options, where, weights))

    @overload
    def tally(self, *args: P.args, **kwargs: P.kwargs) -> Tally: ...
    @overload
    def tally(self, *arrays: Input, where: Input, weights: Input = ..., **options: Any) -> Tally: ...
    @overload
    def tally(self, *arrays: Input, weights: Input, **options: Any) -> Tally: ...
    def tally(self, *arrays: Any, where: Any = None, weights: Any = None, **options: Any) -> Tally:
        """All steps but the last: what these items add to numerator and denominator of the cost. No communication."""
        return eager.run(evaluation.tally, self._plan, self._call(arrays, options, where, weights))

    def finish(self, tally: Tally) -> Array:
        """The last step: the exact cost of all that the tally has added up."""
        if not isinstance(tally, Tally):
            raise TypeError(f"{self.__name__}: finish takes a Tally, got {type(tally).__name__}; add up one or more.")
        return evaluation.finish(self._plan, tally, self.__name__)

    def _call(self, arrays: Any, options: dict[str, Any], where: Any, weights: Any) -> Call:
        return bind(self._term, arrays, self._bound | options, where, weights)

    @functools.cached_property
    def _bound(self) -> dict[str, Any]:
        return dict(sorted(self._options + self._arrays))

    # ------------------------------------------------------------------------------------------------- what Python asks

    @_WhenAsked
    def __signature__(self) -> inspect.Signature:
        own = self._term.parameters.values()
        bare = [inspect.Parameter(p.name, p.kind, default=self._bound.get(p.name, p.default)) for p in own]
        return inspect.Signature([*bare, *_RESERVED])

    def __get__(self, instance: Any, owner: Any = None) -> "Loss[P]":
        # As an attribute of a class a loss stays itself, like a static method. `help` takes it for a function by this.
        return self

    def _no_arithmetic(self, *_: Any) -> Any:
        raise TypeError(
            f"{self.__name__} is a function, and has no sum or product: combine the values of losses, as in "
            f"0.5 * {self.__name__}(...) + other(...), or their tallies, as in value_and_grad."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _no_arithmetic

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], Any]:
        names = tuple(name for name, _ in self._arrays)
        leaves = tuple((jax.tree_util.GetAttrKey(name), array) for name, array in self._arrays)
        return leaves, (self._term, self._options, names, self._plan)

    @classmethod
    def tree_unflatten(cls, structure: Any, leaves: tuple[Any, ...]) -> "Loss[...]":
        term, options, names, plan = structure
        return Loss(term, options, tuple(zip(names, leaves, strict=True)), plan)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        (ours, structure), (theirs, of_other) = self.tree_flatten_with_keys(), other.tree_flatten_with_keys()
        return structure == of_other and all(_same(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True))

    def __hash__(self) -> int:
        return hash((self._term, self._options, self._arrays, self._plan))

    def __repr__(self) -> str:
        text = f"jaxloss.{self.__name__}" if self._term.is_of_the_library else self.__name__
        if self._bound:
            text = f"functools.partial({text}, {', '.join(f'{name}={value!r}' for name, value in self._bound.items())})"
        for step in self._plan.steps:
            axis = step.axes[0] if len(step.axes) == 1 else step.axes
            text = f"jaxloss.reduce({text}, {step.how!r}, axis={axis})"
        if self._plan.last is not None:
            last = getattr(self._plan.last, "__name__", None) or repr(self._plan.last)
            text = f"jaxloss.reduce({text}, {last})"
        for name in ("axis_name", "chunk_size"):
            if getattr(self._plan, name):
                text = f"jaxloss.reduce({text}, {name}={getattr(self._plan, name)!r})"
        return text

    def __reduce__(self) -> str | tuple[Any, ...]:
        qualname: str = vars(self)["__qualname__"]
        found: Any = sys.modules.get(self.__module__)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if not (isinstance(found, Loss) and found._term == self._term):
            return Loss, (self._term, self._options, self._arrays, self._plan)
        # The decorator left a loss in place of its term, so that the term cannot be pickled by its own name.
        changed = functools.partial(replace, found, _options=self._options, _arrays=self._arrays, _plan=self._plan)
        return qualname if found is self else (changed, ())


def _same(a: Any, b: Any) -> bool:
    traced = isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer)
    return a is b or (not traced and np.array_equal(a, b) and jnp.result_type(a) == jnp.result_type(b))


# ----------------------------------------------------------------------------------------------------------- the makers


@overload
def custom_loss(
    term: Callable[P, Any],
    /,
    *,
    signature: str | None = ...,
    weighted_sum: Callable[..., Any] | None = ...,
    stand_in: float | Mapping[str, float] | None = ...,
) -> Loss[P]: ...
@overload
def custom_loss(
    *,
    signature: str | None = ...,
    weighted_sum: Callable[..., Any] | None = ...,
    stand_in: float | Mapping[str, float] | None = ...,
) -> Callable[[Callable[P, Any]], Loss[P]]: ...
def custom_loss(
    term: Callable[..., Any] | None = None,
    /,
    *,
    signature: str | None = None,
    weighted_sum: Callable[..., Any] | None = None,
    stand_in: float | Mapping[str, float] | None = None,
) -> Any:
    """Makes a loss of a formula about one item.

    Positional parameters of the term are arrays: integers if named `labels` (or `..._labels`), booleans if named
    `..._mask`, real numbers otherwise. Keyword-only parameters are options. Batch axes, `where`, `weights` and
    reductions come with the decorator and have no place in the term. A term is a pure function: outside `jit` a call
    is compiled for the loss and the shapes of its arrays, and the program is used again.

    An option annotated with a range, `scale: jaxloss.types.Positive` or any other `jaxloss.types.Interval`, is refused
    as a number out of it, and is NaN as an array out of it, which may be traced.

    Without a signature the term is elementwise: all arrays have one shape, and it returns that shape.

    >>> import jax.numpy as jnp
    >>> import jaxloss
    >>> @jaxloss.custom_loss
    ... def log_squared(prediction, target):
    ...     return jnp.log1p((prediction - target) ** 2)
    >>> prediction, target = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1.0, 4.0, 0.0])
    >>> print(f"{log_squared(prediction, target, where=jnp.array([True, True, False])):.4f}")
    0.8047

    With a signature, in NumPy's gufunc notation, the term is written for one example and mapped over all leading axes.

    >>> @jaxloss.custom_loss(signature="(d),(d)->()")
    ... def squared_distance(u, v):
    ...     return jnp.sum((u - v) ** 2)
    >>> print(squared_distance(jnp.ones((8, 3)), jnp.zeros((8, 3))))
    3.0

    Where the values of many items should never exist all at once, `weighted_sum` gives the same formula summed. Every
    chain of means and sums is linear in the values, so a mask, weights and steps become one coefficient for each value
    before any value exists. The term stays the definition, and is what gives unreduced values.

    >>> def sum_of_products(u, v, weights):
    ...     return jnp.einsum("...d,...d,...->", u, v, weights)
    >>> @jaxloss.custom_loss(signature="(d),(d)->()", weighted_sum=sum_of_products)
    ... def product(u, v):
    ...     return u @ v
    >>> print(product(jnp.ones((8, 3)), jnp.ones((8, 3))))
    3.0

    What stands behind a mask is replaced before the term runs. Any term may be masked: an item that counts is looked
    for in the data and takes the place of those that do not, at the cost of a second pass over masked arrays and a copy
    of them where XLA cannot fuse it. A term that names a constant inside its domain costs neither:

    >>> @jaxloss.custom_loss(stand_in={"rate": 1.0, "count": 0.0})
    ... def poisson(rate, count):
    ...     return rate - count * jnp.log(rate)
    >>> rate, count = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([3.0, 1.0, 0.0])
    >>> print(f"{poisson(rate, count, where=count > 0):.4f}")
    1.1534

    An array named `..._mask` says which slots inside an item are there. What it deletes may hold anything, in every
    array that has its core axes, as behind `where`; the term only leaves it out of its sums. Where its core axes are
    those of the output it also says which values count. An item without any slot costs 0, and counts.

    >>> @jaxloss.custom_loss(signature="(n),(n),(n)->()", stand_in=1.0)
    ... def log_error(prediction, target, pixel_mask):
    ...     return jnp.mean((jnp.log(prediction) - jnp.log(target)) ** 2, where=pixel_mask)
    >>> prediction, target = jnp.array([1.0, 2.0, 7.0]), jnp.array([1.0, 1.0, -1.0])
    >>> print(f"{log_error(prediction, target, target > 0):.4f}")
    0.2402

    Args:
        term: The formula. An array parameter may default to None, and is then left out of the call.
        signature: The core axes of each array and of the value, such as "(k),()->()". Arrays that have leading axes
            all have the same; an array with its core axes only is shared by all items.
        weighted_sum: `weighted_sum(*arrays, weights, **options)` is the sum of weight * value over all items: the
            arrays as the caller passed them, in their own dtypes, None where left out, those of masked items replaced,
            but for the slots that a mask deletes from arrays that all items share; weights of the shape of the values,
            0 where masked. To be differentiable wherever the term is, in the
            weights too, or to return NotImplemented for arguments that it leaves to the term. It is used wherever all
            is summed, by each chunk where there is a `chunk_size`. One with a keyword `groups` is used wherever a step
            sums, such as for one sum for each sequence of tokens: `groups` are the axes of the values that stay, in
            their order the axes of what it returns; () where all is summed.
        stand_in: What may take the place of a masked item: a number for all arrays of real numbers, or one for each by
            name, such as {"probabilities": 0.5}. With these the value and the slopes of the term are finite, whatever
            the shared arrays and options are. Labels stand in as 0 and masks as True, unless the mapping says else.

    Raises:
        TypeError: The parameter list of the term does not fit, or `stand_in` does not.
        ValueError: The signature cannot be read or names another number of arrays.
    """
    if term is None:
        return functools.partial(custom_loss, signature=signature, weighted_sum=weighted_sum, stand_in=stand_in)
    if isinstance(term, str):
        raise TypeError(f"custom_loss takes a function; a signature goes by name: custom_loss(signature={term!r}).")
    if not callable(term):
        raise TypeError(f"custom_loss takes a function, got {type(term).__name__}.")
    if isinstance(term, Loss):
        raise TypeError(f"custom_loss takes a term, got the loss {term!r}; change its reduction with reduce.")
    return Loss(Term(term, signature, weighted_sum, stand_in))


def as_loss(loss: Any) -> Loss[...]:
    """A Loss, a partial of one with options bound, or an elementwise function, as a Loss."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, functools.partial):
        return _bind(as_loss(loss.func), loss)
    try:
        return custom_loss(loss)
    except TypeError as error:
        if not callable(loss):
            raise
        name = getattr(loss, "__name__", "function")
        wrapped = f"jaxloss.reduce(lambda prediction, target: {name}(prediction, target))"
        raise TypeError(f"{error} A function that is not yours fits in a term: {wrapped}.") from None


def _bind(loss: Loss[...], partial: functools.partial[Any]) -> Loss[...]:
    refused = [f"array {number}" for number, _ in enumerate(partial.args, 1)]
    refused += [repr(name) for name in partial.keywords if name not in loss._term.options]
    if refused:
        raise TypeError(
            f"{loss.__name__}: a partial may bind options ({', '.join(loss._term.options) or 'it has none'}), "
            f"never arrays, where or weights; got {', '.join(refused)}."
        )
    bound = loss._bound | partial.keywords
    arrays, plain = dict[str, Any](), dict[str, Any]()
    for name in sorted(bound):
        is_array = isinstance(bound[name], np.ndarray | jax.Array) or hasattr(bound[name], "__jax_array__")
        (arrays if is_array else plain)[name] = bound[name]
    return replace(loss, _options=tuple(plain.items()), _arrays=tuple(arrays.items()))
