"""The judge of law 13: how far a value or a gradient is from the truth, in units of what the law allows.

The truth is the oracle of the case in 250 digits, at the inputs and options as they are rounded to the format; its
slopes are difference quotients of the same oracle.

The rule. A value may be off by the larger of 1e-5 of the truth (1e-12 in float64) and of 4 times its conditioning:
what moving each input and option by half a last digit does to it. A gradient is judged array by array in the same way,
but relative to its largest component, or to value and gradient of the item where the case says so; its
conditioning is how far its slopes move. Both are computed only for the items that are beyond 1e-5. At a kink every
subgradient is right; where a slope is infinite and the value is not, the gradient is 0 (law 4). A truth beyond the
format must be infinite, with the right sign; a slope beyond it may be the largest number too. A subnormal truth may be
flushed to 0.

No component of a gradient may have the wrong sign or be 0 where the truth is a normal number and has a sign. This
holds below 1e-5 of the largest component too, down to 16 roundings of it and to 4 times the component's conditioning:
what is smaller is the difference of numbers of which rounding decides. A gradient that is 0 as a whole counts however
small the truth is.
"""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from cases import CASES, Case
from mpmath import isfinite, mp, mpf

import jaxloss

ORDINARY = 12
DIGITS = 250
# Of a difference quotient, relative to the input: 140 and 125 digits are left for the difference.
STEP, SMALLER_STEP = mpf(10) ** -60, mpf(10) ** -75
SAME = mpf(10) ** -6
RELATIVE = {np.dtype(np.float32): mpf(10) ** -5, np.dtype(np.float64): mpf(10) ** -12}
CONDITIONING = 4
ROUNDINGS = 16


class Row(NamedTuple):
    """A case with one of its sets of options."""

    case: Case
    options: dict[str, Any]

    @property
    def name(self) -> str:
        masked = "-class_mask" if self.case.masked else ""
        settings = "".join(f"-{name}={value}" for name, value in self.options.items())
        return self.case.name + masked + self.case.variant + settings

    @property
    def is_default(self) -> bool:
        return self.options == self.case.options[0]

    def grid(self, dtype: Any) -> tuple[np.ndarray, ...]:
        """All items, rounded to the format."""
        arrays = self.case.draw(np.random.default_rng(11), ORDINARY)
        drawn = zip(*([a] * ORDINARY if i in self.case.shared else a for i, a in enumerate(arrays)), strict=True)
        hard = self.case.hard(float(np.finfo(dtype).epsneg))
        columns = zip(*drawn, strict=True), zip(*self.case.corners, strict=True), zip(*hard, strict=True)
        joined = ([*a, *b, *c] for a, b, c in itertools.zip_longest(*columns, fillvalue=()))
        return tuple(rounded(np.array(column), dtype) for column in joined)

    def rounded_options(self, dtype: Any) -> dict[str, Any]:
        """As the loss sees them, also those that are left at their defaults."""
        parameters = inspect.signature(jaxloss.catalogue[self.case.name]).parameters.values()
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not None}
        return {
            name: np.asarray(option, dtype).item() if isinstance(option, float) else option
            for name, option in (options | self.options).items()
        }


def rounded(array: np.ndarray, dtype: Any) -> np.ndarray:
    return array.astype({"f": dtype, "i": np.int32, "b": bool}[array.dtype.kind])


ROWS = [Row(case, dict(options)) for case in CASES for options in case.options]
ROW = {row.name: row for row in ROWS}

# --------------------------------------------------------------------------------------------------------------- truth


class Slope(NamedTuple):
    """The interval of the subgradients of one number.

    Attributes:
        low: The smaller of the slopes on both sides.
        high: The larger.
        infinite: Whether there is none; law 4 asks for 0 then.
        curvature: The second derivative, None where there is none.
    """

    low: Any
    high: Any
    infinite: bool = False
    curvature: Any = None

    @property
    def size(self) -> Any:
        return max(abs(self.low), abs(self.high))

    def __str__(self) -> str:
        return mp.nstr(self.low, 9) + (f" to {mp.nstr(self.high, 9)}" if self.low != self.high else "")


INFINITE = Slope(mpf(0), mpf(0), infinite=True)


class Truth(NamedTuple):
    """The truth about one item.

    Attributes:
        item: Its arrays, as numbers and lists.
        options: The options, rounded.
        value: The value of the formula.
        slopes: A list of slopes for each differentiable array, None where the value is infinite.
    """

    item: tuple[Any, ...]
    options: dict[str, Any]
    value: Any
    slopes: list[list[Slope]] | None


@functools.cache
def truths(name: str, dtype: Any) -> list[Truth]:
    """The truth about each item of the grid of a row."""
    row = ROW[name]
    options = row.rounded_options(dtype)
    with mp.workdps(DIGITS):
        items = zip(*(array.tolist() for array in row.grid(dtype)), strict=True)
        return [truth(row.case, item, options) for item in items]


class Number(NamedTuple):
    """A number of an item, or an option.

    Attributes:
        place: The position of its array and its index there, or the name of the option.
        x: The number.
        low: The lower end of its domain.
        high: The upper end.
    """

    place: tuple[int, ...] | str
    x: float
    low: float = -mp.inf
    high: float = mp.inf


def numbers_of(case: Case, item: Any) -> list[list[Number]]:
    """Those of each differentiable array."""
    return [
        [
            Number((position, *index), x.item(), *case.domain.get(position, ()))
            for index, x in np.ndenumerate(np.asarray(item[position]))
        ]
        for position in case.differentiable
    ]


def option_of(options: dict[str, Any], name: str) -> Number:
    return Number(name, options[name], 0 if options[name] >= 0 else -mp.inf)


def put(array: Any, index: tuple[int, ...], x: Any) -> Any:
    """The nested sequence with x at an index."""
    if not index:
        return x
    first, *rest = index
    return [*array[:first], put(array[first], tuple(rest), x), *array[first + 1 :]]


def along(case: Case, item: Any, options: dict[str, Any], place: tuple[int, ...] | str) -> Callable[[Any], Any]:
    """The formula as a function of one number."""
    if isinstance(place, str):
        return lambda x: mpf(case.oracle(*item, **options | {place: x}))
    return lambda x: mpf(case.oracle(*put(item, place, x), **options))


def truth(case: Case, item: tuple[Any, ...], options: dict[str, Any]) -> Truth:
    value = mpf(case.oracle(*item, **options))
    if not isfinite(value):
        return Truth(item, options, value, None)
    arrays = numbers_of(case, item)
    return Truth(item, options, value, [[slope_of(case, item, options, value, n) for n in array] for array in arrays])


def slope_of(case: Case, item: Any, options: dict[str, Any], value: Any, number: Number) -> Slope:
    return subgradients(along(case, item, options, number.place), number.x, value, number.low, number.high)


def quotients(function: Any, x: Any, value: Any, step: Any, lowest: Any = -mp.inf, highest: Any = mp.inf) -> list[Any]:
    """Those on both sides. At an end of the domain there is only one."""
    step *= abs(x) or mpf(10) ** -30
    return [(function(x + h) - value) / h for h in (step, -step) if lowest <= x + h <= highest]


def subgradients(function: Any, x: Any, value: Any, lowest: Any = -mp.inf, highest: Any = mp.inf) -> Slope:
    """From the smallest to the largest one-sided slope."""
    if not isfinite(x):
        return INFINITE
    coarse, fine = (quotients(function, mpf(x), value, step, lowest, highest) for step in (STEP, SMALLER_STEP))
    slopes = []
    for first, second in zip(coarse, fine, strict=True):
        # An infinite slope grows as the step shrinks. One that shrinks with it is 0.
        if not isfinite(first) or abs(second) > (1 + SAME) * abs(first):
            return INFINITE
        slopes.append(second if abs(second) > (1 - SAME) * abs(first) else mpf(0))
    bends = bends_of(x, coarse, fine)
    size = abs(mpf(x)) or mpf(10) ** -30
    # An infinite second derivative, as that of |x|^(3/2) at 0, grows as the step shrinks, too.
    seconds = [(ends[0] - ends[-1]) / (step * size) for ends, step in ((coarse, STEP), (fine, SMALLER_STEP))]
    # What is below the digits of the value and of the slope is 0.
    nothing = (abs(value) + max(map(abs, slopes)) * (abs(mpf(x)) or 1)) / size**2 * mpf(10) ** -90
    smooth = (
        len(bends) == 2
        and abs(slopes[0] - slopes[1]) <= SAME * abs(slopes[0])
        and abs(bends[0] - bends[1]) <= SAME * abs(bends[0]) + nothing
        and abs(seconds[1]) <= (1 + SAME) * abs(seconds[0]) + nothing
    )
    bend = bends[0] if abs(bends[0]) > nothing else mpf(0)
    return Slope(min(slopes), max(slopes), curvature=bend if smooth else None)


def bends_of(x: Any, coarse: list[Any], fine: list[Any]) -> list[Any]:
    """The second derivatives on both sides: of the parabola through the number and two neighbours."""
    between = (STEP - SMALLER_STEP) * (abs(mpf(x)) or mpf(10) ** -30)
    return [2 * sign * (a - b) / between for a, b, sign in zip(coarse, fine, (1, -1), strict=False)]


# -------------------------------------------------------------------------------------------------------- conditioning


flat = itertools.chain.from_iterable


def half_digit(x: float, dtype: Any) -> Any:
    return mpf(float(np.spacing(np.abs(np.asarray(x, dtype))))) / 2


def all_slopes(case: Case, true: Truth) -> list[tuple[Number, Slope]]:
    """The slope of the value in each number that a half digit moves; where it is infinite the formula jumps."""
    pairs = list(zip(flat(numbers_of(case, true.item)), flat(true.slopes or []), strict=True))
    options = [name for name, x in true.options.items() if isinstance(x, float) and np.isfinite(x)]
    pairs += [(n, slope_of(case, *true[:3], n)) for n in (option_of(true.options, name) for name in options)]
    return [(number, slope) for number, slope in pairs if number.x and not slope.infinite]


def conditioning_of_value(case: Case, true: Truth, dtype: Any) -> Any:
    """What moving each number and option by half a last digit does to the value, to first order."""
    with mp.workdps(DIGITS):
        return sum(slope.size * half_digit(number.x, dtype) for number, slope in all_slopes(case, true))


def beside(case: Case, true: Truth, dtype: Any, number: Number) -> Iterator[list[tuple[Callable[[Any], Any], Any]]]:
    """The formula as a function of the number, and the number, with each of all numbers and options moved in turn.

    They are moved by half a last digit, either way.
    """
    for moved, _ in all_slopes(case, true):
        half = half_digit(moved.x, dtype)
        moves = []
        for z in (mpf(moved.x) + half, mpf(moved.x) - half):
            by_name = isinstance(moved.place, str)
            item = true.item if by_name else put(true.item, moved.place, z)
            options = true.options | {moved.place: z} if by_name else true.options
            if moved.low <= z <= moved.high:
                x = z if moved.place == number.place else mpf(number.x)
                moves.append((along(case, item, options, number.place), x))
        yield moves


def conditioning_of_slope(case: Case, true: Truth, dtype: Any, slope: Slope, number: Number) -> Any:
    """How far moving each number and option by half a last digit takes the slope in one out of its interval."""
    total = mpf(0)
    with mp.workdps(DIGITS):
        for moves in beside(case, true, dtype, number):
            slopes = [quotients(f, x, f(x), SMALLER_STEP, number.low, number.high) for f, x in moves]
            found = [q for q in flat(slopes) if isfinite(q)]
            total += max([0, *(max(slope.low - q, q - slope.high) for q in found)])
    return total


def conditioning_of_curvature(case: Case, true: Truth, dtype: Any, slope: Slope, number: Number) -> Any:
    """How far the same moves take the second derivative: at most to what it is beyond a kink."""
    total = mpf(0)
    with mp.workdps(DIGITS):
        for moves in beside(case, true, dtype, number):
            found = []
            for f, x in moves:
                steps = (quotients(f, x, f(x), step, number.low, number.high) for step in (STEP, SMALLER_STEP))
                found += [bend for bend in bends_of(x, *steps) if isfinite(bend)]
            total += max([0, *(abs(bend - slope.curvature) for bend in found)])
    return total


# -------------------------------------------------------------------------------------------------------------- errors


class Fault(NamedTuple):
    """What is wrong with a gradient of one array, or with a value.

    Attributes:
        error: In units of what the law allows: at most 1 is right.
        not_a_number: NaN, or infinite where the truth is not.
        wrong_sign: A component has the wrong sign.
        zeroed: A component is 0, and the truth is not.
    """

    error: float
    not_a_number: bool = False
    wrong_sign: bool = False
    zeroed: bool = False

    @property
    def right(self) -> bool:
        return self.error <= 1 and not self.wrong_sign and not self.zeroed


def limits(dtype: Any) -> tuple[Any, Any]:
    """The smallest normal number and the largest."""
    info = np.finfo(dtype)
    return mpf(float(info.tiny)), mpf(float(info.max))


def fault_of_value(got: Any, true: Any, conditioning: Callable[[], Any], dtype: Any) -> Fault:
    tiny, largest = limits(dtype)
    if np.isnan(got) or (np.isinf(got) and mpf(float(got)) * true <= 0):
        return Fault(np.inf, not_a_number=bool(abs(true) <= largest))
    if not isfinite(true):
        return Fault(0.0 if np.isinf(got) else np.inf)
    error = max(largest - abs(true), 0) if np.isinf(got) else abs(mpf(float(got)) - true)
    allowed = max(RELATIVE[np.dtype(dtype)] * abs(true), 2 * tiny if abs(true) < tiny else 0)
    if error > allowed:
        allowed = max(allowed, CONDITIONING * conditioning())
    return Fault(ratio(error, allowed), not_a_number=bool(np.isinf(got) and error > allowed))


def fault_of_gradient(
    got: np.ndarray, slopes: list[Slope], conditioning: Callable[[int], Any], dtype: Any, scale: Any = 0
) -> Fault:
    """That of one array. The conditioning is asked by component; `scale` is a size of which slopes are differences."""
    if np.isnan(got).any():
        return Fault(np.inf, not_a_number=True)
    tiny, largest = limits(dtype)
    conditioning = functools.cache(conditioning)

    def within(x: Any) -> Any:
        return max(-largest, min(largest, mpf(float(x)) if isinstance(x, np.floating | float) else x))

    finite = [slope._replace(low=within(slope.low), high=within(slope.high)) for slope in slopes]
    size = max([slope.size for slope in finite] + [scale])
    relative = RELATIVE[np.dtype(dtype)] * size
    worst, infinite, wrong_sign, zeroed = 0.0, False, False, False
    none = not got.any()
    for place, (x, slope) in enumerate(zip(map(within, got), finite, strict=True)):
        error = max(slope.low - x, x - slope.high, 0)
        allowed = max(relative, 2 * tiny if slope.size < tiny else 0)
        if error > allowed and not slope.infinite:
            allowed = max(allowed, CONDITIONING * conditioning(place))
            if error > allowed:
                others = (k for k, other in enumerate(finite) if not other.infinite)
                allowed = max(allowed, *(CONDITIONING * conditioning(k) for k in others))
        worst = max(worst, ratio(error, allowed))
        infinite |= bool(np.isinf(got[place]) and error > allowed)
        least = min(abs(slope.low), abs(slope.high))
        if slope.low * slope.high > 0 and least >= tiny and x * slope.low <= 0:
            seen = least > ROUNDINGS * float(np.finfo(dtype).eps) * size or (none and not scale)
            if seen and least > CONDITIONING * conditioning(place):
                zeroed |= x == 0
                wrong_sign |= x != 0
    return Fault(worst, infinite, wrong_sign, zeroed)


def curvature_is_wrong(
    got: np.ndarray,
    slopes: list[Slope],
    numbers: list[Number],
    conditioning: Callable[[int], Any],
    dtype: Any,
    scale: Any = 0,
) -> bool:
    """Whether a second derivative of an array is not finite, or further than 1e-2 of their largest from the truth.

    It is judged at smooth points, where it and the slope are within the format. It may be off by 4 times its
    conditioning, too, which near a kink is what it is on the other side. Where a slope is at its rounding limit it need
    only be finite: where moving the number by all of its size moves the slope by less than 16 of its roundings, or of
    those of `scale`, the size of the numbers of which the slope is a difference.
    """
    tiny, largest = limits(dtype)
    judged = [
        (place, float(x), slope, abs(mpf(number.x)) or 1)
        for place, (x, slope, number) in enumerate(zip(got, slopes, numbers, strict=True))
        if slope.curvature is not None and max(abs(slope.curvature), slope.size) <= largest
    ]
    allowed = mpf("0.01") * max((abs(slope.curvature) for _, _, slope, _ in judged), default=0) + 2 * tiny
    eps = float(np.finfo(dtype).eps)

    def wrong(place: int, x: float, slope: Slope, size: Any) -> bool:
        if not np.isfinite(x):
            return True
        error, seen = abs(x - slope.curvature), abs(slope.curvature) * size > ROUNDINGS * eps * max(slope.size, scale)
        return bool(error > allowed and seen and error > CONDITIONING * conditioning(place))

    return any(wrong(*one) for one in judged)


def ratio(error: Any, allowed: Any) -> float:
    return float(error / allowed) if allowed else (0.0 if not error else np.inf)


# ------------------------------------------------------------------------------------------------------------- verdict


RIGHT = Fault(0.0)


class Verdict(NamedTuple):
    """An item as judged: its value, and its gradient in each array, in which the truth is `slopes`."""

    true: Truth
    value: Fault
    gradients: list[Fault]
    got: tuple[Any, list[Any]]
    slopes: list[list[Slope]] | None

    @property
    def gradient(self) -> Fault:
        """The worst of all arrays."""
        return Fault(*map(max, zip(RIGHT, *self.gradients, strict=True)))

    @property
    def right(self) -> bool:
        return self.value.right and self.gradient.right

    @property
    def error(self) -> float:
        return max(self.value.error, self.gradient.error)

    def __str__(self) -> str:
        signs = " wrong sign" * self.gradient.wrong_sign + " zeroed" * self.gradient.zeroed
        slopes = "infinite" if self.slopes is None else [list(map(str, array)) for array in self.slopes]
        return (
            f"value {self.value.error:.3g}, gradient {self.gradient.error:.3g} of what is allowed{signs}, at "
            f"{self.true.item}: got {self.got[0]}, {self.got[1]}; true {mp.nstr(self.true.value, 12)}, {slopes}"
        )


def size_of_item(true: Truth) -> Any:
    """The value, or the largest component of the gradient in all arrays."""
    return max(abs(true.value), *(slope.size for slope in flat(true.slopes or [])))


def of_infinite(got: np.ndarray) -> Fault:
    """The gradient of a value that is truly infinite must not be NaN."""
    return Fault(np.inf, not_a_number=True) if np.isnan(got).any() else RIGHT


def verdict(row: Row, true: Truth, value: Any, gradients: list[np.ndarray], places: list[int], dtype: Any) -> Verdict:
    """One item; `places` are the arrays with a gradient among the differentiable ones of the case."""
    of = fault_of_value(value, true.value, lambda: conditioning_of_value(row.case, true, dtype), dtype)
    got = value, [np.ravel(gradient).tolist() for gradient in gradients]
    if true.slopes is None:
        return Verdict(true, of, [of_infinite(gradient) for gradient in gradients], got, None)
    faults = []
    for place, gradient in zip(places, gradients, strict=True):
        slopes, numbers = true.slopes[place], numbers_of(row.case, true.item)[place]

        def conditioning(k: int, slopes: Any = slopes, numbers: Any = numbers) -> Any:
            return conditioning_of_slope(row.case, true, dtype, slopes[k], numbers[k])

        position = row.case.differentiable[place]
        scale = size_of_item(true) if position in row.case.relative_to_item else 0
        faults.append(fault_of_gradient(np.ravel(gradient), slopes, conditioning, dtype, scale))
    return Verdict(true, of, faults, got, [true.slopes[place] for place in places])


def bent_wrongly(row: Row, true: Truth, bends: list[np.ndarray], places: list[int], dtype: Any) -> bool:
    """Whether the second derivatives of an item are wrong in one of the arrays at these places."""

    def wrong_in(got: np.ndarray, place: int) -> bool:
        slopes, numbers = (true.slopes or [])[place], numbers_of(row.case, true.item)[place]

        def conditioning(k: int) -> Any:
            return conditioning_of_curvature(row.case, true, dtype, slopes[k], numbers[k])

        scale = size_of_item(true) if row.case.differentiable[place] in row.case.relative_to_item else 0
        return curvature_is_wrong(np.ravel(got), slopes, numbers, conditioning, dtype, scale)

    return true.slopes is not None and any(map(wrong_in, bends, places))


def judged(name: str, dtype: Any, **how: Any) -> list[Verdict]:
    """All items of a row."""
    values, gradients = computed(name, dtype, **how)
    places = list(range(len(gradients)))
    rows = zip(truths(name, dtype), values, *gradients, strict=False)
    return [verdict(ROW[name], true, value, list(slopes), places, dtype) for true, value, *slopes in rows]


# ------------------------------------------------------------------------------------------------------------ computed


def unreduced(name: str) -> Any:
    """The loss with a value for each item: the sum, where it has several."""
    loss = jaxloss.catalogue[name]
    scalar = loss.signature is None or loss.signature.endswith("->()")
    return jaxloss.reduce(loss if scalar else jaxloss.reduce(loss, "sum", axis=-1), "none")


def reverse(name: str, options: Any, positions: tuple[int, ...], *arrays: Any) -> Any:
    """The values of all items, and their gradients: an item has one in its own value only."""
    loss = unreduced(name)

    def values_of(*some: Any) -> Any:
        chosen = dict(zip(positions, some, strict=True))
        return loss(*(chosen.get(k, array) for k, array in enumerate(arrays)), **dict(options))

    values, pull = jax.vjp(values_of, *(arrays[position] for position in positions))
    return values, pull(jnp.ones_like(values))


def forward(name: str, options: Any, positions: tuple[int, ...], *arrays: Any) -> Any:
    loss = functools.partial(unreduced(name), **dict(options))
    return jax.vmap(loss)(*arrays), jax.vmap(jax.jacfwd(loss, positions))(*arrays)


@functools.cache
def computed(name: str, dtype: Any, mode: Any = reverse, sample: int | None = None) -> Any:
    """As jitted, over the whole grid; a sample of it eagerly."""
    row = ROW[name]
    positions = row.case.differentiable
    function = functools.partial(mode, row.case.name, tuple(row.options.items()), positions)
    with jax.enable_x64(dtype == np.float64):
        arrays = [jnp.asarray(array[:sample]) for array in row.grid(dtype)]
        values, gradients = (jax.jit(function) if sample is None else function)(*arrays)
    assert {array.dtype for array in (values, *gradients)} == {np.dtype(dtype)}
    return np.asarray(values), [np.asarray(gradient) for gradient in gradients]


def curvatures(gradient_of: Callable[[Any], Any], array: Any) -> Any:
    """The second derivative in each number of each item, by forward over reverse: of the gradients of many items."""
    n, shape = len(array), array.shape[1:]
    size = int(np.prod(shape))

    def along_one(k: Any) -> Any:
        direction = jnp.broadcast_to(jax.nn.one_hot(k, size, dtype=array.dtype).reshape(shape), array.shape)
        return jax.jvp(gradient_of, (array,), (direction,))[1].reshape(n, size)[:, k]

    return jax.vmap(along_one)(jnp.arange(size)).T


@functools.cache
def computed_curvatures(name: str, dtype: Any) -> list[np.ndarray]:
    """Those of all items of a row, an array for each differentiable one."""
    row = ROW[name]
    positions, options = row.case.differentiable, tuple(row.options.items())

    def run(*arrays: Any) -> list[Any]:
        def gradient(k: int) -> Callable[[Any], Any]:
            return lambda x: reverse(row.case.name, options, (k,), *arrays[:k], x, *arrays[k + 1 :])[1][0]

        return [curvatures(gradient(k), arrays[k]) for k in positions]

    with jax.enable_x64(dtype == np.float64):
        return [np.asarray(found) for found in jax.jit(run)(*map(jnp.asarray, row.grid(dtype)))]


def judged_slopes(name: str, option: str) -> list[Verdict]:
    """The slope in an option, in float32.

    It is often the difference of numbers as large as the value, and is summed over the items; so it is judged relative
    to the value and to the item's gradient, too.
    """
    case, options, dtype = ROW[name].case, ROW[name].rounded_options(np.float32), np.float32
    arrays, x = ROW[name].grid(dtype), options.pop(option)

    def values_at(x: Any) -> Any:
        return unreduced(case.name)(*arrays, **options, **{option: x})

    _, slopes = jax.jit(lambda x: jax.jvp(values_at, (x,), (jnp.ones_like(x),)))(jnp.float32(x))
    found = []
    for got, true in zip(np.asarray(slopes).reshape(-1, 1), truths(name, dtype), strict=True):
        if true.slopes is None:
            found.append(Verdict(true, RIGHT, [of_infinite(got)], (None, [got.tolist()]), None))
            continue
        number = option_of(true.options, option)
        with mp.workdps(DIGITS):
            slope = slope_of(case, *true[:3], number)
        if slope.size > limits(dtype)[1]:  # as good as infinite, of which the slope may be 0 too
            slope = Slope(min(slope.low, mpf(0)), max(slope.high, mpf(0)))

        def conditioning(_: int, true: Truth = true, slope: Slope = slope, number: Number = number) -> Any:
            return conditioning_of_slope(case, true, dtype, slope, number)

        scale = size_of_item(true) / max(1, abs(x))
        fault = fault_of_gradient(got, [slope], conditioning, dtype, scale)
        found.append(Verdict(true, RIGHT, [fault], (None, [got.tolist()]), [[slope]]))
    return found
