"""The laws about the formula: its value, its derivatives, its corners, and what it refuses."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.testing.subject import Broken, DoesNotApply, NotRun, Subject, all_same, same

_PROBABILITIES = ("probabilities", "p", "q")


def call(s: Subject) -> None:
    """The loss can be called on the example at all."""
    value = s.cost()(*s.arrays())
    if not np.isfinite(value):
        raise Broken(f"on the example itself the value is {value}; give an example inside the domain.")


def scalar(s: Subject) -> None:
    """Law 1: a call returns a scalar, whatever the leading axes."""
    value = s.cost()(*s.arrays())
    if value.shape != ():
        raise Broken(f"a call returns shape {value.shape}.")


def jit(s: Subject) -> None:
    """Law 3: jitted equals eager, also with number options traced, and equal shapes do not retrace."""
    arrays = s.arrays()
    traces = []

    def counted(*arrays: Any) -> Any:
        traces.append(1)
        return s.cost()(*arrays)

    jitted = jax.jit(counted)
    eager = s.cost()(*arrays)
    same(jitted(*arrays), eager, "the jitted value")
    jitted(*s.arrays())
    if len(traces) != 1:
        raise Broken(f"two calls of equal shapes are traced {len(traces)} times.")
    numbers = {name: value for name, value in s.options.items() if isinstance(value, float)}
    if numbers:
        traced = jax.jit(lambda arrays, numbers: s.cost(**numbers)(*arrays))(arrays, numbers)
        same(traced, eager, f"the value with {', '.join(numbers)} traced")


def differentiation(s: Subject) -> None:
    """Law 4: reverse, forward and forward over reverse agree with finite differences in float64."""
    with jax.enable_x64(True):
        arrays = s.arrays(jnp.float64)
        derivatives = jax.jit(lambda points, directions: _derivatives(s, arrays, points, directions))
        at_the_border = []
        for place in range(len(s.real)):
            try:
                _differentiate(s, derivatives, [arrays[i] for i in s.real], place)
            except NotRun as reason:  # an array of signs, say, has no neighbours
                at_the_border.append(reason)
        if at_the_border and len(at_the_border) == len(s.real):
            raise at_the_border[0]


def _derivatives(s: Subject, arrays: Sequence[jax.Array], points: Any, directions: Any) -> Any:
    """Value and forward derivative, gradients and second derivatives in the real arrays along a direction."""

    def cost(*points: jax.Array) -> jax.Array:
        whole = {**dict(enumerate(arrays)), **dict(zip(s.real, points, strict=True))}
        return s.cost()(*whole.values())

    gradient = jax.grad(cost, tuple(range(len(points))))
    return jax.jvp(cost, points, directions), jax.jvp(gradient, points, directions)


def _differentiate(s: Subject, derivatives: Any, points: Sequence[jax.Array], place: int) -> None:
    """In one of the real arrays, along three random directions."""
    name, x = s.names[s.real[place]], np.asarray(points[place])
    rng = np.random.default_rng(0)
    step = 1e-6

    def at(x: Any, v: Any) -> Any:
        directions = [np.zeros(p.shape) for p in points]
        directions[place] = v
        (value, forward), (slopes, curves) = derivatives((*points[:place], x, *points[place + 1 :]), tuple(directions))
        return np.asarray(value), np.asarray(forward), np.asarray(slopes[place]), np.asarray(curves[place])

    for _ in range(3):
        # A number that is exactly 0 stays: it may lie at the border of the domain.
        v = np.where(x != 0, rng.normal(size=x.shape), 0)
        value, forward, gradient, second = at(x, v)
        (after, _, gradient_after, _), (before, _, gradient_before, _) = at(x + step * v, v), at(x - step * v, v)
        slope = (after - before) / (2 * step)
        if not np.isfinite(slope):
            raise NotRun(f"the example lies at the border of the domain of {name}.")
        scale = 1e-6 * float(np.sum(np.abs(gradient * v)) + np.abs(value))
        _near(np.vdot(gradient, v), slope, f"the gradient in {name} along a random direction", scale)
        _near(forward, slope, f"the forward derivative in {name} along a random direction", scale)
        curve = (gradient_after - gradient_before) / (2 * step)
        scale = 1e-5 * float(np.max(np.abs(curve)) + np.max(np.abs(gradient)))
        _near(second, curve, f"the second derivative in {name} along a random direction", scale)


def _near(got: Any, expected: Any, what: str, tolerance: float) -> None:
    error = np.max(np.abs(np.asarray(got) - np.asarray(expected)))
    if not error <= tolerance + 1e-9:
        raise Broken(
            f"{what} is off by {error:.3g}: {np.ravel(got)[0]:.8g} against {np.ravel(expected)[0]:.8g} by differences."
        )


def corners(s: Subject) -> None:
    """Law 4: where the value is finite so is the gradient, forward and backward, and it is nowhere NaN."""
    gradient, forward = s.value_and_gradient(), s.forward_gradient()
    for what, arrays, inside in _corners(s):
        value, reverse = gradient(*arrays)
        if np.isnan(value):
            if inside:
                raise Broken(f"with {what} the value is nan.")
            continue
        for position, *slopes in zip(s.real, reverse, forward(*arrays), strict=True):
            for slope in slopes:
                if np.any(np.isnan(slope)) or (np.isfinite(value) and not np.all(np.isfinite(slope))):
                    bad = np.ravel(slope)[~np.isfinite(np.ravel(slope))][0]
                    raise Broken(f"with {what} the value is {value} and the gradient in {s.names[position]} is {bad}.")


def _corners(s: Subject) -> list[tuple[str, tuple[jax.Array, ...], bool]]:
    """Where losses break: zeros, equal arguments, probabilities of 0 and 1, extreme logits; is it surely inside?"""
    arrays, found = s.arrays(), []

    for i in s.real:
        name = s.names[i]
        probability, logit = _is_probability(name), name.split("_")[-1] == "logits"
        found.append((f"{name} = 0", s.filled(arrays, i, 0), probability or logit))
        if probability:
            found.append((f"{name} = 1", s.filled(arrays, i, 1), True))
        if logit:
            found += [(f"{name} = {x:g}", s.filled(arrays, i, x), True) for x in (1e4, -1e4)]
        for j in s.real:
            if i < j and arrays[i].shape == arrays[j].shape:
                equal = (*arrays[:i], arrays[j], *arrays[i + 1 :])
                found.append((f"{name} = {s.names[j]}", equal, False))
    return found


def _is_probability(name: str) -> bool:
    *of, last = name.split("_")
    return last in _PROBABILITIES and "log" not in of


def shapes(s: Subject) -> None:
    """Law 10: a shape that does not fit is refused with a sentence, never broadcast."""
    arrays = s.arrays()
    together = [i for i, m in enumerate(s.mapped) if m]
    if not s.call.leading:
        raise NotRun("the example has no leading axis.")
    if len(together) < 2:
        raise DoesNotApply("only one array has leading axes, so no two can differ.")
    for i in together:
        wrong = list(arrays)
        wrong[i] = jax.device_put(np.expand_dims(arrays[i], len(s.call.leading)))
        try:
            value = s.cost()(*wrong)
        except ValueError as error:
            message = str(error)
        else:
            raise Broken(f"{s.names[i]} of shape {wrong[i].shape} among {[a.shape for a in arrays]} gives {value}.")
        if s.name not in message or s.names[i] not in message or str(wrong[i].shape) not in message:
            raise Broken(f"the refusal of {s.names[i]} of shape {wrong[i].shape} does not name it: {message}")


def labels(s: Subject) -> None:
    """Law 11: a label that is no class gives NaN for its item, and a float label is refused."""
    if not s.labels:
        raise DoesNotApply("the loss takes no labels.")
    items, arrays = s.items, s.arrays()
    values = s.values()
    for i in s.labels:
        if not s.mapped[i]:
            raise DoesNotApply(f"{s.names[i]} is shared by all items.")
        # One label for each value is an identity, which may be any number from 0 on.
        of_values = s.cores[i] and s.cores[i] == s.loss._term.output
        for label in (-1, -100) if of_values else (-1, -100, 10**6):
            wrong = s.filled(arrays, i, label, index=0)
            got, expected = np.asarray(values(*wrong)), np.asarray(values(*arrays))
            of_item = got[0][s.counted()[0]]
            if not np.all(np.isnan(of_item)):
                raise Broken(f"{s.names[i]} = {label} gives {of_item[~np.isnan(of_item)][0]}, expected nan.")
            same(got[1:], expected[1:], f"the value of another item than that of {s.names[i]} = {label}")
            same(
                np.sum(values(*wrong, where=np.arange(items) > 0)),
                expected[1:].sum(),
                f"the sum without {s.names[i]} = {label}",
            )
        _refused(TypeError, s, [*arrays[:i], arrays[i].astype(jnp.float32), *arrays[i + 1 :]], f"float {s.names[i]}")


def precision(s: Subject) -> None:
    """Law 12: 16-bit inputs are computed and reduced in float32, and their gradients are 16-bit."""
    for low in (jnp.bfloat16, jnp.float16):
        arrays = s.arrays(low)
        widened = tuple(jax.device_put(np.float32(a)) if i in s.real else a for i, a in enumerate(arrays))
        if not all(np.all(np.isfinite(a)) for a in widened):
            raise NotRun(f"the example does not fit {low.__name__}.")
        gradient = s.value_and_gradient()
        value, slopes = gradient(*arrays)
        expected, wide_slopes = gradient(*widened)
        if value.dtype != jnp.float32 or any(slope.dtype != low for slope in slopes):
            raise Broken(f"{low.__name__} gives a {value.dtype} value and {[str(g.dtype) for g in slopes]} gradients.")
        if not np.isfinite(expected):
            raise NotRun(f"the example, rounded to {low.__name__}, leaves the domain.")
        same(value, expected, f"the value from {low.__name__}", relative=1e-6)
        rounded = [np.asarray(slope).astype(low) for slope in wide_slopes]
        all_same(slopes, rounded, [s.names[i] for i in s.real], f"the gradient from {low.__name__}", relative=1e-2)


def truth(s: Subject) -> None:
    """Law 13: float32 tells what float64 tells, on the example and at the ends of a probability, and clips nothing.

    Without a formula from outside this is what can be said of any loss; a loss of your own wants an oracle as well.
    """
    arrays = s.arrays()
    single = np.asarray(s.values()(*arrays), np.float64)
    with jax.enable_x64(True):
        wide = (jax.device_put(np.float64(a)) if i in s.real else a for i, a in enumerate(arrays))
        double = np.asarray(s.values()(*wide))
    same(single, double, "the value in float32, against float64,")
    for position in s.real:
        if _is_probability(s.names[position]):
            for end in (0.0, 1.0):
                _not_clipped(s, position, end)


def _not_clipped(s: Subject, position: int, end: float) -> None:
    name = s.names[position]

    def at(x: float, dtype: Any) -> tuple[jax.Array, ...]:
        return s.filled(s.arrays(dtype), position, x)

    def finite(*arrays: jax.Array) -> jax.Array:
        values = s.cost("none")(*arrays)
        return jnp.sum(jnp.where(jnp.isfinite(values), values, 0))

    values = s.values()
    single = np.asarray(values(*at(end, jnp.float32)), np.float64)
    with jax.enable_x64(True):
        double = np.asarray(values(*at(end, jnp.float64)))
        inside, beside = (np.asarray(values(*at(abs(end - x), jnp.float64))) for x in (0.01, 1e-14))
        slope = np.asarray(jax.jit(jax.grad(finite, position))(*at(end, jnp.float64)))
    for got, expected in zip(np.ravel(single), np.ravel(double), strict=True):
        if not np.isclose(got, expected, rtol=1e-3, atol=0):
            raise Broken(
                f"with {name} = {end:g} the value is {got:.6g} in float32 and {expected:.6g} in float64; is it clipped?"
            )
    flat = np.all(slope == 0, axis=tuple(range(double.ndim, slope.ndim)))
    # A clipped value stays where it is beside the end; one that moves has an infinite slope there, which is given as 0.
    stays = (beside == double) & (np.abs(inside - double) > 1e-3 * np.abs(double))
    dead = np.isfinite(double) & (double > 0) & flat & stays
    if np.any(dead):
        raise Broken(f"with {name} = {end:g} the value is {double[dead][0]:.6g} and the gradient 0; is it clipped?")


def strict_world(s: Subject) -> None:
    """Law 14: it runs under strict promotion of dtypes and ranks, with warnings as errors, and x64 on or off."""
    for x64 in (False, True):
        with (
            jax.enable_x64(x64),
            jax.numpy_dtype_promotion("strict"),
            jax.numpy_rank_promotion("raise"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            options: dict[str, Any] = {k: np.float64(v) if isinstance(v, float) else v for k, v in s.options.items()}
            # What is refused or warned of here is so while it is traced.
            value = jax.eval_shape(s.cost(**options), *s.arrays())
            if value.dtype != jnp.float32:
                raise Broken(f"float32 arrays give a {value.dtype} value with x64 {'on' if x64 else 'off'}.")
            if s.call.leading:
                items = s.call.leading[0]
                counts = {"where": np.ones(items, bool), "weights": np.ones(items)}
                gradient = jax.grad(s.cost(**options), s.real)
                jax.eval_shape(functools.partial(gradient, **counts), *s.arrays())


def refused_early(s: Subject) -> None:
    """Law 16: an unknown option, a complex array and a mask of floats are refused."""
    arrays = s.arrays()
    _refused(TypeError, s, arrays, "an unknown option", no_such_option=1.0)
    for i in s.real:
        _refused(
            TypeError, s, [*arrays[:i], arrays[i].astype(jnp.complex64), *arrays[i + 1 :]], f"complex {s.names[i]}"
        )
    try:
        s.cost()(*arrays, where=np.ones(s.call.values, np.float32))
    except TypeError:
        return
    raise Broken("a mask of floats is accepted.")


def _refused(kind: type[Exception], s: Subject, arrays: Sequence[Any], what: str, **options: Any) -> None:
    try:
        value = s.cost(**options)(*arrays)
    except kind as error:
        if s.name not in str(error):
            raise Broken(f"the refusal of {what} does not name the loss: {error}") from None
        return
    raise Broken(f"{what} is accepted and gives {value}.")
