"""Law 13: value and gradient of every loss are those of the formula, to the last few digits, over its whole domain.

The truth is the oracle of the case in 200 digits, at the inputs and options as they are rounded to the format; its
slopes are difference quotients of the same oracle. An error is counted in ulp, the spacing of the format at the truth,
for a gradient at the largest component of the item in that array. Run as a program, this prints the largest errors.
"""

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, Case, cosine, euclidean, softplus
from mpmath import exp, isfinite, log, mp, mpf

import jaxloss

ORDINARY = 12
DIGITS = 200
# Of a difference quotient, relative to the input: 140 and 125 digits are left for the difference.
STEP, SMALLER_STEP = mpf(10) ** -60, mpf(10) ** -75
# What law 4 asks for where a one-sided slope is infinite and the value is not.
ZERO = (mpf(0), mpf(0))

# ---------------------------------------------------------------------------------------------------------- allowances

VALUE, GRADIENT = 4, 5  # ulp


class Term(NamedTuple):
    """Where a formula subtracts what may be nearly equal, an error is counted in ulp of the largest term.

    `largest` takes the item and the options and gives that of the value, and that of each gradient.
    """

    why: str
    largest: Callable[..., tuple[Any, Sequence[Any]]]


def _terms_of_sigmoid(x, y, positive_weight, label_smoothing):
    w, s = mpf(positive_weight), mpf(label_smoothing)
    sigmoid = 1 / (1 + exp(-mpf(x)))
    positive, negative = (1 - s) * mpf(y) + s / 2, (1 - s) * (1 - mpf(y)) + s / 2
    return 0, (max(w * positive * (1 - sigmoid), negative * sigmoid), abs(w - 1) * softplus(-abs(mpf(x))))


def _terms_of_focal(p, y, alpha, gamma):
    parts = []
    for q, share in ((mpf(p), mpf(y) * alpha), (1 - mpf(p), (1 - mpf(y)) * (1 - mpf(alpha)))):
        if share and 0 < q < 1:
            slope = (1 - q) ** gamma / q - gamma * (1 - q) ** (gamma - 1) * log(q)
            parts.append((share * slope, -((1 - q) ** gamma) * log(q)))
    return 0, [max(part, default=0) for part in zip(*parts, strict=True)] or (0, 0)


def _terms_of_softmax(x, t, class_mask=None, *, label_smoothing, z_loss):
    possible = [xj > -np.inf and (class_mask is None or class_mask[j]) for j, xj in enumerate(x)]
    t = [int(j == t) for j in range(len(x))] if isinstance(t, int) else t
    s, largest = mpf(label_smoothing), max(xj for xj, counts in zip(x, possible, strict=True) if counts)
    t = [(1 - s) * tj + (s / sum(possible) if counts else 0) for tj, counts in zip(t, possible, strict=True)]
    weights = [exp(mpf(xj) - largest) if counts else 0 for xj, counts in zip(x, possible, strict=True)]
    total = sum(weights)
    of_z_loss = 2 * mpf(z_loss) * abs(largest + log(total))
    terms = (max(w * (sum(t) - tj), tj * (total - w), of_z_loss * w) for w, tj in zip(weights, t, strict=True))
    return 0, (max(terms) / total, 0)


def _terms_of_kl(p, q):
    apart = [(mpf(pj), mpf(qj)) for pj, qj in zip(p, q, strict=True) if pj and abs(pj - qj) > min(pj, qj) > 0]
    unnormalised = abs(sum(map(mpf, p)) - sum(map(mpf, q)))
    return max((abs(pj * log(pj / qj)) for pj, qj in apart), default=unnormalised), (0, 0)


def _terms_of_triplet(a, p, n, margin, distance):
    lengths = [euclidean(a, p), euclidean(a, n)]
    if distance == "euclidean":
        return max(*lengths, margin), (1, 0, 0)
    if distance == "squared_euclidean":
        return max(*(d**2 for d in lengths), margin), (2 * max(lengths), 0, 0)
    cosines = [cosine(a, p), cosine(a, n)]
    sine = mp.sqrt(max(max(d * (2 - d), 0) for d in cosines))
    # The rounding of a unit vector, squared: what is left between vectors that are exactly parallel.
    left = mpf(2) ** -22
    norms = [euclidean(v, [0.0] * len(v)) for v in (a, p, n)]
    shares = [x / norm if norm else 0 for x, norm in zip((max(sine, left), left, left), norms, strict=True)]
    return max(*cosines, margin), shares


_SOFTMAX = Term("p_j (1 - t_j) and t_j (1 - p_j) cancel where p is near t", _terms_of_softmax)
TERMS = {
    "sigmoid_binary_cross_entropy": Term("sigmoid(x) may be near its target", _terms_of_sigmoid),
    "binary_focal": Term("what pulls down and what pulls up may balance at a soft target", _terms_of_focal),
    "softmax_cross_entropy": _SOFTMAX,
    "softmax_cross_entropy_with_integer_labels": _SOFTMAX,
    "kl_divergence": Term("terms of both signs where p and q are apart; sums that are not the same", _terms_of_kl),
    "triplet": Term("a difference of distances, and one of their gradients at the anchor", _terms_of_triplet),
}
OPTION_TERMS = {
    ("binary_focal", "alpha"): lambda p, _: max((abs(log(mpf(q))) for q in (p, 1 - p) if q), default=0),
    ("softmax_cross_entropy", "label_smoothing"): lambda x, _: _spread(x),
    ("softmax_cross_entropy_with_integer_labels", "label_smoothing"): lambda x, _: _spread(x),
}


def _spread(x):
    """The surprisal of the least probable class that is possible."""
    finite = [mpf(xj) for xj in x if xj > -np.inf]
    return max(finite) - min(finite) + log(sum(exp(xj - max(finite)) for xj in finite))


# ---------------------------------------------------------------------------------------------------------------- grid


def _errors(ulp):
    sizes = (0.0, 1e-30, 1e-20, 1e-10, 1e-4, 0.1, 0.3, 1 - ulp, 1.0, 1 + 2 * ulp, 3.0, 1e4, 1e10, 1e18, 2e19, 1e30)
    yield from ((sign * size, 0.0) for size in sizes for sign in (1, -1))
    yield from ((value + error, value) for value in (1.0, -1e4, 1e8) for error in (1e-4, 1e-3, 0.25, 8.0))
    yield from ((1e30, 1e30), (1e30, -1e30), (1e30, 1e30 * (1 - ulp)), (1e-20, 1.1e-20))


def _probabilities(ulp):
    ends = (0.0, 1e-30, 1e-10, 1e-3, 0.3, 0.5 * (1 - ulp), 0.5, 0.5 * (1 + 2 * ulp), 0.75, 1 - 1e-3, 1 - ulp, 1.0)
    yield from itertools.product(ends, (0.0, 1.0, 1e-4, 0.3, 0.5, 1 - ulp))
    for p in (1e-30, 1e-3, 0.3, 0.5, 0.75):
        yield from ((near, p) for near in (p * (1 - ulp), p, p * (1 + 2 * ulp), p * 0.999, p * 1.01))


def _logits(ulp):
    sizes = (0.0, 1e-30, 1e-10, 1e-4, 0.1, 1.0, 5.0, 17.0, 20.0, 50.0, 80.0, 1e4, np.inf)
    yield from ((sign * x, y) for x in sizes for sign in (1, -1) for y in (0.0, 1.0, 0.3, 0.5, ulp))
    yield from ((np.log(p / (1 - p)), p) for p in (1e-3, 0.3, 0.75, 0.99))


def _rows(ulp):
    yield [0.0] * 5
    yield [1e-4, -1e-4, 0.0, 2e-4, 0.0]
    yield from ([margin, 0.0, -1.0, 0.5, 0.25] for margin in (1.0, 5.0, 10.0, 17.0, 20.3, 50.1, 80.7, 100.0, 1e4))
    yield from ([margin, -np.inf, -np.inf, -np.inf, 0.0] for margin in (0.0, 20.0, -20.0, 1e4, -1e4))
    yield [10001.0, 10002.0, 10003.0, 9999.5, 1e4]
    yield [-10001.0, -10002.0, -10003.0, -9999.5, -1e4]
    yield [1e30, 1e30, 1e30, -1e30, -np.inf]
    yield [1e30, 1e30 * (1 - ulp), 0.0, 0.0, 0.0]
    yield [-np.inf, -np.inf, 3.0, -np.inf, -np.inf]


def _targets(ulp):
    yield [1.0, 0.0, 0.0, 0.0, 0.0]
    yield [0.0, 0.0, 0.0, 0.0, 1.0]
    yield [0.2] * 5
    yield [0.9, 0.0, 0.1, 0.0, 0.0]
    yield [1 - ulp, 1e-30, 0.0, 0.0, ulp]


def _distributions(ulp):
    yield [0.2] * 5
    yield [1.0, 0.0, 0.0, 0.0, 0.0]
    yield [0.0, 1.0, 0.0, 0.0, 0.0]
    yield [1 - ulp, 1e-30, 0.0, 0.0, ulp]
    yield [1e-30, 3e-30, 1e-10, 0.5, 0.5]
    yield [0.7, 0.2, 0.1, 0.0, 0.0]
    yield [0.7 * (1 + 2 * ulp), 0.2 * (1 - ulp), 0.1, 0.0, 0.0]
    yield [0.6999, 0.2001, 0.1, 0.0, 0.0]
    yield [0.1, 0.3, 0.2, 0.25, 0.15]
    yield [0.9197606, 2.8198e-5, 0.0801781, 3.30761e-5, 0.0]
    yield [0.9196911, 2.7951e-5, 0.0802478, 3.31048e-5, 0.0]


def _vectors(ulp):
    one, two, other = [1.0, 2.0, -1.0, 0.5], [1.1, 1.8, -1.3, 0.2], [-0.3, 0.7, 2.0, 1.5]
    for size in (1e-30, 1e-19, 1e-4, 1.0, 1e4, 1e18):
        a, p, n = ([size * x for x in v] for v in (one, two, other))
        yield a, p, n
        yield a, n, p
    yield one, [1e-30 * x for x in two], [1e18 * x for x in other]
    for apart in (ulp, 1e-6, 1e-4, 1e-2):
        beside = [x * (1 + k * apart) for k, x in enumerate(one, 1)]
        opposite = [-3 * x for x in beside]
        yield one, beside, other
        yield one, other, beside
        yield one, opposite, beside
        yield one, beside, opposite
        yield one, [5 * x for x in beside], [x / 7 for x in beside]
    yield one, [-x for x in one], [3 * x for x in one]
    yield one, [0.0] * 4, two
    yield [0.0] * 4, one, two
    yield [0.0] * 4, [1e30, 0.0, 0.0, 0.0], [0.0, 3e30, 0.0, 0.0]
    yield [0.0] * 4, [0.0, 3e30, 0.0, 0.0], [1e30, 0.0, 0.0, 0.0]


def _distances(ulp):
    sizes = (0.0, 1e-30, 1e-4, 0.2, 0.3 - ulp, 0.5, 1e4, 1e8, 1e30)
    yield from itertools.product(sizes, repeat=2)
    yield from ((0.5 * (1 + 2 * k * ulp), 0.7) for k in (-2, -1, 0, 1, 2))


# From half the spacing of the format at 1.
HARD: dict[str, Callable[[float], Iterator[Any]]] = {
    "squared_error": _errors,
    "absolute_error": _errors,
    "huber": _errors,
    "binary_cross_entropy": _probabilities,
    "sigmoid_binary_cross_entropy": _logits,
    "binary_focal": _probabilities,
    "categorical_cross_entropy": lambda ulp: itertools.product(_distributions(ulp), repeat=2),
    "sparse_categorical_cross_entropy": lambda ulp: itertools.product(_distributions(ulp), (0, 1, 4)),
    "softmax_cross_entropy": lambda ulp: itertools.product(_rows(ulp), _targets(ulp)),
    "softmax_cross_entropy_with_integer_labels": lambda ulp: itertools.product(_rows(ulp), (0, 2, 4)),
    "kl_divergence": lambda ulp: itertools.product(_distributions(ulp), repeat=2),
    "gan_discriminator": _probabilities,
    "triplet": _vectors,
    "triplet_from_distances": _distances,
}


class Row(NamedTuple):
    """A case with one of its sets of options."""

    case: Case
    options: dict[str, Any]

    @property
    def masked(self):
        return any(array.dtype == bool for array in self.case.draw(np.random.default_rng(0), 1))

    @property
    def name(self):
        masked = "-class_mask" if self.masked else ""
        return self.case.name + masked + "".join(f"-{name}={value}" for name, value in self.options.items())

    def grid(self, dtype) -> tuple[np.ndarray, ...]:
        """All items, rounded to the format."""
        drawn = zip(*self.case.draw(np.random.default_rng(11), ORDINARY), strict=True)
        hard = () if self.masked else HARD[self.case.name](float(np.finfo(dtype).epsneg))
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

# --------------------------------------------------------------------------------------------------------------- truth


def value_and_slopes(case, item, options):
    """The value of one item, and for each number of each differentiable array the interval of its subgradients."""
    value = mpf(case.oracle(*item, **options))
    if not isfinite(value):
        return value, None
    slopes = []
    for position in case.differentiable:
        array, domain = item[position], (0, 1) if position in case.probabilities else ()

        def at(x, place, position=position, array=array):
            moved = x if place is None else [*array[:place], x, *array[place + 1 :]]
            return case.oracle(*item[:position], moved, *item[position + 1 :], **options)

        entries = enumerate(array) if isinstance(array, list) else [(None, array)]
        slopes.append([subgradients(functools.partial(at, place=k), x, value, *domain) for k, x in entries])
    return value, slopes


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
    return min(first), max(first)


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
            summed = case.name in TERMS and slopes is not None
            found.append((item, value, slopes, *(TERMS[case.name].largest(*item, **options) if summed else no_terms)))
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


every_row = pytest.mark.parametrize("name", list(ROW))
default_rows = pytest.mark.parametrize("name", [name for name, row in ROW.items() if is_default(row)])


@every_row
def test_value_is_true(name):
    worst = largest_error_of_value(name, np.float32)
    assert worst.error <= VALUE, worst


@every_row
def test_gradient_is_true(name):
    worst = largest_error_of_gradient(name, np.float32)
    assert worst.error <= GRADIENT, worst


@default_rows
def test_forward_mode_is_true(name):
    worst = largest_error_of_gradient(name, np.float32, mode=forward)
    assert worst.error <= GRADIENT, worst


@default_rows
def test_eager_is_true(name):
    sample = ORDINARY + len(ROW[name].case.corners)
    value = largest_error_of_value(name, np.float32, sample=sample)
    gradient = largest_error_of_gradient(name, np.float32, sample=sample)
    assert value.error <= VALUE, value
    assert gradient.error <= GRADIENT, gradient


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if is_default(row) else pytest.mark.sweep) for name, row in ROW.items()]
)
def test_float64_is_true(name):
    value, gradient = largest_error_of_value(name, np.float64), largest_error_of_gradient(name, np.float64)
    assert value.error <= VALUE, value
    assert gradient.error <= GRADIENT, gradient


OPTIONS = [
    pytest.param(name, option, id=f"{name}-{option}")
    for name, row in ROW.items()
    if is_default(row) and not row.masked
    for option, x in row.rounded_options(np.float32).items()
    if isinstance(x, float)
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_slope_in_an_option_is_true(name, option):
    case, options = ROW[name].case, ROW[name].rounded_options(np.float32)
    arrays, x = ROW[name].grid(np.float32), options.pop(option)

    def values_at(x):
        return jaxloss.reduce(jaxloss.catalogue[name], "none")(*arrays, **options, **{option: x})

    _, slopes = jax.jit(lambda x: jax.jvp(values_at, (x,), (jnp.ones_like(x),)))(jnp.float32(x))
    found = []
    for got, (item, value, true, _, _) in zip(np.asarray(slopes), truths(name, np.float32), strict=True):
        if true is None:
            found.append(Found(np.inf if np.isnan(got) else 0.0, item, got, "not NaN"))
            continue
        with mp.workdps(DIGITS):
            at = functools.partial(lambda x, item: mpf(case.oracle(*item, **options, **{option: x})), item=item)
            slope = subgradients(at, x, value, lowest=0)
            term = OPTION_TERMS.get((name, option), lambda *_: 0)(*item)
        if abs(slope[0]) > float(np.finfo(np.float32).max):  # infinite in the format
            slope = ZERO
        found.append(Found(error_of_gradient([got], [slope], term, np.float32), item, got, mp.nstr(slope[0], 9)))
    worst = max(found, key=lambda one: one.error)
    assert worst.error <= GRADIENT, worst


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


@pytest.mark.parametrize("name", [name for name, row in ROW.items() if is_default(row) and not row.masked])
def test_no_nan_is_swallowed(name):
    case = ROW[name].case
    arrays = [_rounded(array, np.float32) for array in case.draw(np.random.default_rng(0), 1)]
    # One formula looks at the entry of its label alone.
    place = arrays[1][0] if name == "sparse_categorical_cross_entropy" else -1
    for position in case.differentiable:
        poisoned = [array.copy() for array in arrays]
        np.ravel(poisoned[position])[place] = np.nan
        assert np.isnan(jaxloss.catalogue[name](*poisoned)), position


def test_no_square_overflows_before_its_half():
    assert jaxloss.huber(2e19, 0.0, delta=1e20) == np.float32(2e38)


def test_every_loss_is_on_the_grid():
    assert set(HARD) == set(jaxloss.catalogue)


@pytest.mark.parametrize(
    ("got", "true"),
    [
        (np.nan, 1),
        (np.inf, 1),
        (np.inf, -np.inf),
        (1.0, np.inf),
        (0.0, 1e-30),
        (-1e-30, 1e-30),
        (1 + 8e-7, 1),
        (1e-7, 0),
    ],
)
def test_the_judge_is_strict(got, true):
    assert error_of_value(np.float32(got), mpf(true), 0, np.float32) > VALUE
    if np.isfinite(true):
        assert error_of_gradient([np.float32(got)], [(mpf(true), mpf(true))], 0, np.float32) > GRADIENT


if __name__ == "__main__":
    for name in ROW:
        for dtype in (np.float32, np.float64):
            worst = largest_error_of_value(name, dtype), largest_error_of_gradient(name, dtype)
            sys.stdout.write(f"{np.dtype(dtype).name} {worst[0].error:7.2f} {worst[1].error:7.2f}  {name}\n")
