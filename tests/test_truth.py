"""Law 13: value and gradient of every loss are those of the formula, to the last few digits, over its whole domain.

The truth is the oracle of the case in 250 digits, at the inputs and options as they are rounded to the format; its
slopes are difference quotients of the same oracle. An error is counted in ulp, the spacing of the format at the truth,
for a gradient at the largest component of the item in that array. Run as a program, this prints the largest errors.
"""

import functools
import inspect
import itertools
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, Case
from mpmath import isfinite, mp, mpf

import jaxloss

ORDINARY = 12
DIGITS = 250
# Of a difference quotient, relative to the input: 140 and 125 digits are left for the difference.
STEP, SMALLER_STEP = mpf(10) ** -60, mpf(10) ** -75
# What law 4 asks for where a one-sided slope is infinite and the value is not.
ZERO = (mpf(0), mpf(0))


class Row(NamedTuple):
    """A case with one of its sets of options."""

    case: Case
    options: dict[str, Any]

    @property
    def name(self):
        masked = "-class_mask" if self.case.masked else ""
        return self.case.name + masked + "".join(f"-{name}={value}" for name, value in self.options.items())

    def grid(self, dtype) -> tuple[np.ndarray, ...]:
        """All items, rounded to the format."""
        arrays = self.case.draw(np.random.default_rng(11), ORDINARY)
        drawn = zip(*([a] * ORDINARY if i in self.case.shared else a for i, a in enumerate(arrays)), strict=True)
        hard = self.case.hard(float(np.finfo(dtype).epsneg))
        columns = zip(*drawn, strict=True), zip(*self.case.corners, strict=True), zip(*hard, strict=True)
        joined = ([*a, *b, *c] for a, b, c in itertools.zip_longest(*columns, fillvalue=()))
        return tuple(_rounded(np.array(column), dtype) for column in joined)

    def rounded_options(self, dtype) -> dict[str, Any]:
        """As the loss sees them, also those that are left at their defaults."""
        parameters = inspect.signature(jaxloss.catalogue[self.case.name]).parameters.values()
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not None}
        return {
            name: np.asarray(option, dtype).item() if isinstance(option, float) else option
            for name, option in (options | self.options).items()
        }


def _rounded(array, dtype):
    return array.astype({"f": dtype, "i": np.int32, "b": bool}[array.dtype.kind])


ROWS = [Row(case, dict(options)) for case in CASES for options in case.options]
ROW = {row.name: row for row in ROWS}
CASE_OF = {case.name: case for case in reversed(CASES)}

# --------------------------------------------------------------------------------------------------------------- truth


def value_and_slopes(case, item, options):
    """The value of one item, and for each number of each differentiable array the interval of its subgradients."""
    value = mpf(case.oracle(*item, **options))
    if not isfinite(value):
        return value, None
    slopes = []
    for position in case.differentiable:
        array, domain = item[position], case.domain.get(position, ())

        def at(x, place, position=position, array=array):
            return case.oracle(*item[:position], _moved(array, place, x), *item[position + 1 :], **options)

        entries = [(place, x.item()) for place, x in np.ndenumerate(np.asarray(array))]
        slopes.append([subgradients(functools.partial(at, place=k), x, value, *domain) for k, x in entries])
    return value, slopes


def _moved(array, place, x):
    """The nested list with x at a place."""
    if not place:
        return x
    first, *rest = place
    return [*array[:first], _moved(array[first], rest, x), *array[first + 1 :]]


def subgradients(function, x, value, lowest=-mp.inf, highest=mp.inf):
    """From the smallest to the largest one-sided slope. At an end of the domain there is only one."""
    if not isfinite(x):
        return ZERO
    x = mpf(x)

    def quotients(step):
        step *= abs(x) or mpf(10) ** -30
        return [(function(x + h) - value) / h for h in (step, -step) if lowest <= x + h <= highest]

    first, second = quotients(STEP), quotients(SMALLER_STEP)
    # An infinite slope grows as the step shrinks.
    if any(not isfinite(a) or abs(a - b) > mpf(10) ** -6 * abs(a) for a, b in zip(first, second, strict=True)):
        return ZERO
    return min(second), max(second)


@functools.cache
def truths(name, dtype):
    """Of each item: itself, its value, its slopes, and the largest terms of both."""
    row = ROW[name]
    options, case = row.rounded_options(dtype), row.case
    found = []
    for item in zip(*(array.tolist() for array in row.grid(dtype)), strict=True):
        with mp.workdps(DIGITS):
            value, slopes = value_and_slopes(case, item, options)
            no_terms = 0, (0,) * len(case.differentiable)
            summed = case.terms is not None and slopes is not None
            found.append((item, value, slopes, *(case.terms(*item, **options) if summed else no_terms)))
    return found


# -------------------------------------------------------------------------------------------------------------- errors


def spacing(size, dtype):
    info = np.finfo(dtype)
    size = min(max(size, mpf(float(info.tiny))), mpf(float(info.max)))
    return mpf(2) ** (mp.floor(mp.log(size, 2)) - info.nmant)


def error_of_value(value, true, term, dtype):
    """A truth that is subnormal may be flushed to 0, one beyond the format must be inf."""
    info = np.finfo(dtype)
    if abs(true) > float(info.max):
        return 0.0 if np.isinf(value) and np.sign(value) == mp.sign(true) else np.inf
    if not np.isfinite(value):
        return np.inf
    if 0 < abs(true) < float(info.tiny):
        return 0.0 if abs(value) <= 2 * info.tiny else np.inf
    return float(abs(mpf(float(value)) - true) / spacing(max(abs(true), term), dtype))


def error_of_gradient(slopes, true, term, dtype):
    """Of one array. A slope beyond the format may be inf or the largest number."""
    info = np.finfo(dtype)
    if np.isnan(slopes).any():
        return np.inf
    within = functools.partial(max, -mpf(float(info.max))), functools.partial(min, mpf(float(info.max)))
    bounded = [[within[0](within[1](mpf(x))) for x in (float(s), *ends)] for s, ends in zip(slopes, true, strict=True)]
    error = max(max(low - slope, slope - high, 0) for slope, low, high in bounded)
    largest = max(abs(x) for ends in true for x in ends)
    if 0 < largest < float(info.tiny):
        return 0.0 if error <= 2 * float(info.tiny) else np.inf
    return float(error / spacing(max(largest, term), dtype))


# --------------------------------------------------------------------------------------------------------------- tests


def reverse(name, options, positions, *arrays):
    """The values of all items, and their gradients: an item has one in its own value only."""
    unreduced = jaxloss.reduce(jaxloss.catalogue[name], "none")

    def values_of(*some):
        chosen = dict(zip(positions, some, strict=True))
        return unreduced(*(chosen.get(k, array) for k, array in enumerate(arrays)), **dict(options))

    values, pull = jax.vjp(values_of, *(arrays[position] for position in positions))
    return values, pull(jnp.ones_like(values))


def forward(name, options, positions, *arrays):
    loss = functools.partial(jaxloss.catalogue[name], **dict(options))
    return jax.vmap(loss)(*arrays), jax.vmap(jax.jacfwd(loss, positions))(*arrays)


@functools.cache
def computed(name, dtype, mode=reverse, sample=None):
    """As jitted, over the whole grid; a sample of it eagerly."""
    row = ROW[name]
    positions = row.case.differentiable
    function = functools.partial(mode, row.case.name, tuple(row.options.items()), positions)
    with jax.enable_x64(dtype == np.float64):
        arrays = [jnp.asarray(array[:sample]) for array in row.grid(dtype)]
        values, gradients = (jax.jit(function) if sample is None else function)(*arrays)
    assert {array.dtype for array in (values, *gradients)} == {np.dtype(dtype)}
    return np.asarray(values), [np.asarray(gradient) for gradient in gradients]


class Found(NamedTuple):
    error: float
    item: Any
    got: Any
    true: Any

    def __str__(self):
        return f"{self.error:.3g} ulp at {self.item}: got {self.got}, true is {self.true}"


def largest_error_of_value(name, dtype, **how):
    values, _ = computed(name, dtype, **how)
    rows = zip(values, truths(name, dtype), strict=False)
    found = (
        Found(error_of_value(got, true, term, dtype), item, got, mp.nstr(true, 12))
        for got, (item, true, _, term, _) in rows
    )
    return max(found, key=lambda one: one.error)


def largest_error_of_gradient(name, dtype, **how):
    _, gradients = computed(name, dtype, **how)
    found = [Found(0.0, None, None, None)]
    for *slopes, (item, _, true, _, terms) in zip(*gradients, truths(name, dtype), strict=False):
        for k, got in enumerate(map(np.ravel, slopes)):
            if true is not None:
                shown = ", ".join(
                    mp.nstr(low, 9) + (f" to {mp.nstr(high, 9)}" if low != high else "") for low, high in true[k]
                )
                found.append(Found(error_of_gradient(got, true[k], terms[k], dtype), item, got.tolist(), shown))
            elif np.isnan(got).any():
                found.append(Found(np.inf, item, got.tolist(), "not NaN"))
    return max(found, key=lambda one: one.error)


def is_default(row):
    return row.options == row.case.options[0]


def rows(every, options=True):
    """The names of the rows. The short run takes the first set of options alone, and every so-many-th loss."""
    for place, case in enumerate(CASES):
        for row in (row for row in ROWS if row.case is case):
            if options or is_default(row):
                marks = () if is_default(row) and place % every == 0 else pytest.mark.sweep
                yield pytest.param(row.name, marks=marks)


every_row = pytest.mark.parametrize("name", list(rows(every=1)))
sampled_rows = pytest.mark.parametrize("name", list(rows(every=4)))
sampled_defaults = pytest.mark.parametrize("name", list(rows(every=4, options=False)))


@every_row
@pytest.mark.sampled(4)
def test_value_is_true(name):
    worst = largest_error_of_value(name, np.float32)
    assert worst.error <= ROW[name].case.ulp[0], worst


@every_row
@pytest.mark.sampled(4)
def test_gradient_is_true(name):
    worst = largest_error_of_gradient(name, np.float32)
    assert worst.error <= ROW[name].case.ulp[1], worst


@sampled_defaults
def test_forward_mode_is_true(name):
    worst = largest_error_of_gradient(name, np.float32, mode=forward)
    assert worst.error <= ROW[name].case.ulp[1], worst


@sampled_defaults
def test_eager_is_true(name):
    sample = ORDINARY + len(ROW[name].case.corners)
    value = largest_error_of_value(name, np.float32, sample=sample)
    gradient = largest_error_of_gradient(name, np.float32, sample=sample)
    assert value.error <= ROW[name].case.ulp[0], value
    assert gradient.error <= ROW[name].case.ulp[1], gradient


@sampled_rows
def test_float64_is_true(name):
    value, gradient = largest_error_of_value(name, np.float64), largest_error_of_gradient(name, np.float64)
    assert value.error <= ROW[name].case.ulp[0], value
    assert gradient.error <= ROW[name].case.ulp[1], gradient


OPTIONS = [
    pytest.param(name, option, id=f"{name}-{option}")
    for name, row in ROW.items()
    if not row.case.masked
    for option, x in row.rounded_options(np.float32).items()
    if isinstance(x, float) and (is_default(row) or row.case.every_slope)
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
@pytest.mark.sampled(7)
def test_slope_in_an_option_is_true(name, option):
    case, options = ROW[name].case, ROW[name].rounded_options(np.float32)
    arrays, x = ROW[name].grid(np.float32), options.pop(option)

    def values_at(x):
        return jaxloss.reduce(jaxloss.catalogue[case.name], "none")(*arrays, **options, **{option: x})

    _, slopes = jax.jit(lambda x: jax.jvp(values_at, (x,), (jnp.ones_like(x),)))(jnp.float32(x))
    found = []
    for got, (item, value, true, _, _) in zip(np.asarray(slopes), truths(name, np.float32), strict=True):
        if true is None:
            found.append(Found(np.inf if np.isnan(got) else 0.0, item, got, "not NaN"))
            continue
        with mp.workdps(DIGITS):
            at = functools.partial(lambda x, item: mpf(case.oracle(*item, **options, **{option: x})), item=item)
            slope = subgradients(at, x, value, lowest=0 if x >= 0 else -mp.inf)
            term = case.option_terms.get(option, lambda *_: 0)(*item)
        if abs(slope[0]) > float(np.finfo(np.float32).max):  # as good as infinite, of which the slope may be 0 too
            slope = min(slope[0], mpf(0)), max(slope[1], mpf(0))
        found.append(Found(error_of_gradient([got], [slope], term, np.float32), item, got, mp.nstr(slope[0], 9)))
    worst = max(found, key=lambda one: one.error)
    assert worst.error <= ROW[name].case.ulp[1], worst


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "z_loss": 0.1}], ids=["plain", "smoothed"])
@pytest.mark.parametrize("targets", [np.float32([0.2, 0.0, 0.3, 0.5]), np.int32(3)], ids=["targets", "labels"])
def test_a_masked_class_is_a_deleted_class(targets, options):
    mask = np.array([True, False, True, True])
    poisoned = np.array([[1.5, poison, -0.5, 3.0] for poison in (np.nan, np.inf, -np.inf, 1e30)], np.float32)
    loss = jaxloss.softmax_cross_entropy if targets.ndim else jaxloss.softmax_cross_entropy_with_integer_labels
    loss = functools.partial(loss, **options)
    left = targets[mask] if targets.ndim else targets - 1

    def all_of(loss):
        return jax.jit(lambda x: (loss(x), jax.grad(loss)(x), jax.jacfwd(loss)(x)))

    masked = all_of(lambda x: loss(x, targets, mask))
    deleted = all_of(lambda x: loss(x, left))(poisoned[0, mask])
    for logits in poisoned:
        for got, true in zip(masked(logits), deleted, strict=True):
            assert got.ndim == 0 or got[1] == 0
            np.testing.assert_allclose(got[mask] if got.ndim else got, true, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, row in ROW.items() if is_default(row) and not row.case.masked])
def test_no_nan_is_swallowed(name):
    case = ROW[name].case
    arrays = [_rounded(array, np.float32) for array in case.draw(np.random.default_rng(0), 1)]
    # A formula with a label may look at the entry of the label alone.
    labels = [array[0] for array in arrays if array.dtype.kind == "i"]
    place = labels[0] if labels and arrays[0].ndim == 2 else -1
    for position in case.differentiable:
        poisoned = [array.copy() for array in arrays]
        np.ravel(poisoned[position])[place] = np.nan
        assert np.isnan(jaxloss.catalogue[case.name](*poisoned, **ROW[name].options)), position


@pytest.mark.parametrize("name", [name for name, loss in jaxloss.catalogue.items() if loss.signature is None])
def test_no_nan_is_swallowed_in_a_sum_of_many(name):
    # So many are summed by another kernel, whose minimum and maximum of a number and NaN may be the number.
    row = next(row for row in ROWS if row.case.name == name)
    arrays = [_rounded(array, np.float32) for array in row.case.draw(np.random.default_rng(0), 2**16)]
    loss = jax.jit(functools.partial(jaxloss.catalogue[name], **row.options))
    assert np.isfinite(loss(*arrays))
    for position in row.case.differentiable:
        poisoned = [array.copy() for array in arrays]
        poisoned[position][777] = np.nan
        assert np.isnan(loss(*poisoned)), position


@pytest.mark.parametrize("name", [n for n, loss in jaxloss.catalogue.items() if loss.signature == "(k),(k)->()"])
def test_no_nan_is_swallowed_in_a_row_of_many(name):
    rows = np.random.default_rng(0).dirichlet(np.ones(1024), (2, 64)).astype(np.float32)
    loss = jax.jit(functools.partial(jaxloss.catalogue[name], **CASE_OF[name].options[0]))
    assert np.isfinite(loss(*rows))
    for position in CASE_OF[name].differentiable:
        poisoned = rows.copy()
        poisoned[position, 7, 300] = np.nan
        assert np.isnan(loss(*poisoned)), position


def test_no_square_overflows_before_its_half():
    assert jaxloss.huber(2e19, 0.0, delta=1e20) == np.float32(2e38)


@pytest.mark.parametrize("alpha", [1.3, 1.999, 4.0])
def test_forward_mode_beside_a_slope_in_an_option_that_leaves_the_format(alpha):
    loss = functools.partial(jaxloss.general_robust, alpha=alpha)
    np.testing.assert_array_equal(jax.jacfwd(loss)(-1e30, 0.0), jax.grad(loss)(-1e30, 0.0))


@pytest.mark.parametrize("error", [-5e21, 2e19, 1e18, 0.3])
@pytest.mark.parametrize("alpha", [-1.3, 0.0, 1.3])
def test_slope_in_the_scale_where_that_in_the_error_underflows(alpha, error):
    error, alpha = np.float32(error), np.float32(alpha)
    slope = jax.grad(lambda scale: jaxloss.general_robust(error, 0.0, alpha=alpha, scale=scale))
    cost = functools.partial(ROW["general_robust"].case.oracle, error.item(), 0.0, alpha.item())
    with mp.workdps(DIGITS):
        true, curvature = float(mp.diff(cost, 1)), float(mp.diff(cost, 1, 2))
    np.testing.assert_allclose(slope(np.float32(1)), true, rtol=5e-7)
    np.testing.assert_allclose(jax.grad(slope)(np.float32(1)), curvature, rtol=2e-6)


def test_every_loss_is_on_the_grid():
    assert {case.name for case in CASES if list(case.hard(2**-24))} == set(jaxloss.catalogue)


def test_what_is_beyond_the_goal_is_argued():
    argued = [case for case in CASES if case.terms or case.ulp > (4, 8) or not case.every_slope]
    assert not [case.name for case in argued if not case.why]


@pytest.mark.parametrize(
    ("got", "true"),
    [
        (np.nan, 1),
        (np.inf, 1),
        (np.inf, -np.inf),
        (1.0, np.inf),
        (0.0, 1e-30),
        (-1e-30, 1e-30),
        (1 + 1.2e-6, 1),
        (1e-7, 0),
    ],
)
def test_the_judge_is_strict(got, true):
    assert error_of_value(np.float32(got), mpf(true), 0, np.float32) > 4
    if np.isfinite(true):
        assert error_of_gradient([np.float32(got)], [(mpf(true), mpf(true))], 0, np.float32) > 8


if __name__ == "__main__":
    for name in ROW:
        for dtype in (np.float32, np.float64):
            worst = largest_error_of_value(name, dtype), largest_error_of_gradient(name, dtype)
            sys.stdout.write(f"{np.dtype(dtype).name} {worst[0].error:7.2f} {worst[1].error:7.2f}  {name}\n")
