"""The numerics, one function at a time: true at generic points, and at every corner what the docstring says."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from cases import sparsemax
from cases.table import cosine, euclidean, softplus
from mpmath import mp, mpf

from jaxloss import numerics
from jaxloss.numerics import order

INF, NAN = np.inf, np.nan
LARGEST = float(np.finfo(np.float32).max)
DIGITS = 120
STEP = mpf(10) ** -40


def dot(a, b):
    return mp.fsum(ai * bi for ai, bi in zip(a, b, strict=True))


def each(function):
    return lambda x: [function(xj) for xj in x]


def minus(a, b):
    return [ai - bi for ai, bi in zip(a, b, strict=True)]


def log_partition(x):
    return mp.log(mp.fsum(mp.exp(xj) for xj in x))


def kl(p, q):
    return mp.fsum(pj * mp.log(pj / qj) for pj, qj in zip(p, q, strict=True))


# ------------------------------------------------------------------------------------------------------ generic points


class Formula(NamedTuple):
    """What a function is, in mpmath, and smooth points to try it at."""

    oracle: Callable[..., Any]
    points: Sequence[tuple[Any, ...]]


VECTORS = [
    ([1.0, -2.0, 0.5], [0.3, 0.7, 1.5]),
    ([1e-30, 2e-30, -1e-30], [3e-30, 1e-30, 2e-30]),
    ([1e17, 2e17, 1e16], [2e17, -1e17, 3e17]),
    ([1.0, 2.0, 3.0], [1.0001, 2.0001, 2.9998]),
]
LOGITS = [
    ([1.0, -2.0, 0.5],),
    ([20.3, 0.1, -1.0],),
    ([50.3, 0.1, -1.0],),
    ([80.7, 0.1, -1.0],),
    ([10001.0, 10002.5, 10000.0],),
    ([-10001.0, -10002.5, -10000.0],),
]
CLOSE_LOGITS = [
    ([0.3, 0.1, -1.5],),
    ([0.3, 0.7, 0.2],),
    ([1.4, 0.45, 0.75],),
    ([-0.4, 0.597, -9.0],),
    ([100.25, 99.3, 100.0],),
    ([1e30, 1.0, 0.0],),
]
PROBABILITIES = [(p, y) for p in (1e-30, 0.01, 0.3, 0.499, 0.501, 0.8, 0.9999) for y in (0.0, 0.25, 1.0)]

FORMULAS = {
    "ratio": Formula(
        lambda n, d: n / d, [(3.0, -2.0), (1e-20, 1e-25), (1e20, 1e25), (1e-30, 3e-30), (0.7, 1e-19), (7.0, 1e19)]
    ),
    "absolute": Formula(abs, [(3.0,), (-3.0,), (1e-30,), (-1e30,)]),
    "safe_square": Formula(lambda x: x**2, [(3.0,), (-1e-10,), (1e15,)]),
    "safe_sqrt": Formula(mp.sqrt, [(3.0,), (1e-30,), (1e30,)]),
    "safe_norm": Formula(lambda x: euclidean(x, [0] * 3), [(v,) for v, _ in VECTORS]),
    "unit_vector": Formula(lambda x: [xj / euclidean(x, [0] * 3) for xj in x], [(v,) for v, _ in VECTORS[:3]]),
    "safe_log": Formula(mp.log, [(3.0,), (1e-30,), (1e30,), (0.999,)]),
    "safe_log1p": Formula(mp.log1p, [(3.0,), (1e-9,), (-1e-9,), (-0.4,), (-0.999,)]),
    "multiply_no_nan": Formula(lambda w, v: w * v, [(2.0, 3.0), (-0.3, 1e-10)]),
    "xlogy": Formula(lambda x, y: x * mp.log(y), [(2.0, 3.0), (1e-30, 1e-30), (0.5, 0.999)]),
    "xlog1py": Formula(lambda x, y: x * mp.log1p(y), [(2.0, 3.0), (1e-20, 1e-9), (0.5, -0.4)]),
    "rel_entr": Formula(
        lambda p, q: p * mp.log(p / q),
        [(0.3, 0.5), (0.3, 0.3001), (0.3, 0.30000001), (0.3, 0.1), (1e-30, 3e-30), (1.0, 1e-30), (1e-30, 1.0)],
    ),
    "kl_div": Formula(
        lambda p, q: p * mp.log(p / q) - p + q,
        [(0.3, 0.5), (0.3, 0.3001), (0.3, 0.30000001), (0.3, 0.1), (0.3, 0.91), (1e-30, 3e-30), (1e4, 1e-20)],
    ),
    "log1mexp": Formula(
        lambda x: mp.log(-mp.expm1(-x)), [(1e-20,), (1e-3,), (0.3,), (0.693,), (0.6932,), (2.0,), (50.0,)]
    ),
    "sigmoid": Formula(lambda x: 1 / (1 + mp.exp(-x)), [(x,) for x in (0.0, 1.0, -1.0, 20.0, -20.0, 80.0, -80.0)]),
    "softplus": Formula(softplus, [(x,) for x in (0.3, 1.0, -1.0, 20.0, -20.0, 80.0, -80.0, 1e4)]),
    "logsumexp": Formula(log_partition, LOGITS),
    "surprisal": Formula(lambda x: [log_partition(x) - xj for xj in x], LOGITS),
    "project_to_simplex": Formula(sparsemax.nearest_distribution, CLOSE_LOGITS),
    "entmax15_probabilities": Formula(sparsemax.entmax15_distribution, CLOSE_LOGITS),
    "euclidean_distance": Formula(euclidean, VECTORS),
    "squared_euclidean_distance": Formula(lambda u, v: euclidean(u, v) ** 2, [VECTORS[0], VECTORS[2], VECTORS[3]]),
    "cosine_distance": Formula(
        cosine,
        [
            *VECTORS[:3],
            ([1.0, 2.0, 3.0], [-1.1, -2.1, -2.8]),
            ([1.0, 2.0, 3.0], [7.1, 14.2, 20.5]),
            ([1e-30, 2e-30, 3e-30], [1.1e20, 2.1e20, 2.8e20]),
        ],
    ),
}


ERRORS = (0.1, -0.7, 1.3, -9.0, 1e-4, -1e-6, 1e4, -1e15)
FORMULAS |= {
    "positive_part": Formula(lambda e: max(e, 0), [(e,) for e in ERRORS]),
}


ALLOWED = {np.float32: 1e-5, np.float64: 1e-12}  # of the largest entry, here of the slopes in one argument: law 13


def test_every_function_is_here():
    public = {name for name, value in vars(numerics).items() if callable(value) and not name.startswith("_")}
    # Those of matrices and images, of numbers that are not real, and of many rows at once have tests of their own.
    assert public == set(FORMULAS) | {"one_hot", "pick", "soft_skeleton", "Softmax"}


def function_named(name):
    return getattr(numerics, name)


def rounded(points, dtype):
    """The points as columns, and one by one in the digits that they have in the format."""
    columns = [np.array(column, dtype) for column in zip(*points, strict=True)]
    exact = [[jax.tree.map(mpf, array[number].tolist()) for array in columns] for number in range(len(points))]
    return columns, exact


def as_list(x):
    return x if isinstance(x, list) else [x]


def places(point):
    """Every number of every argument."""
    return [(k, j) for k, array in enumerate(point) for j in range(len(as_list(array)))]


def moved(point, steps):
    point = list(point)
    for (k, j), h in steps:
        array = point[k]
        point[k] = [*array[:j], array[j] + h, *array[j + 1 :]] if isinstance(array, list) else array + h
    return point


def width(point, place):
    return STEP * (max(map(abs, as_list(point[place[0]]))) or 1)


def true_value(name, point):
    return as_list(FORMULAS[name].oracle(*point))


def true_jacobian(name, point):
    """For each argument a row for each output."""
    blocks = []
    for k, array in enumerate(point):
        columns = []
        for place in [(k, j) for j in range(len(as_list(array)))]:
            h = width(point, place)
            above, below = (true_value(name, moved(point, [(place, step)])) for step in (h, -h))
            columns.append([x / (2 * h) for x in minus(above, below)])
        blocks.append(list(zip(*columns, strict=True)))
    return blocks


def true_hessian(name, point):
    """A matrix over the places for each output."""

    def entry(one, other):
        h, g = width(point, one), width(point, other)
        steps = [(a, b) for a in (1, -1) for b in (1, -1)]
        corners = [true_value(name, moved(point, [(one, a * h), (other, b * g)])) for a, b in steps]
        return [
            mp.fsum(a * b * x for (a, b), x in zip(steps, xs, strict=True)) / (4 * h * g)
            for xs in zip(*corners, strict=True)
        ]

    matrix = [[entry(one, other) for other in places(point)] for one in places(point)]
    return np.moveaxis(np.array(matrix, dtype=object), -1, 0).astype(float)


def error(got, true, dtype):
    """The largest error, relative to the largest entry; what is subnormal may be flushed."""
    assert not np.isnan(got).any(), got
    largest = max(*map(abs, true), mpf(float(np.finfo(dtype).tiny)))
    return float(max(abs(mpf(float(g)) - t) for g, t in zip(got, true, strict=True)) / largest)


def rounding_of(point, blocks, dtype):
    """How far half a last digit of each input moves an entry of the value, at most."""
    half = float(np.finfo(dtype).eps) / 2
    inputs = [as_list(array) for array in point]
    rows = zip(*blocks, strict=True)
    return max(
        half * sum(abs(s * x) for b, xs in zip(row, inputs, strict=True) for s, x in zip(b, xs, strict=True))
        for row in rows
    )


BOTH = (jax.jacrev, jax.jacfwd)


def derivatives(name, modes, *args):
    function, every = function_named(name), tuple(range(len(args)))
    return function(*args), [mode(function, every)(*args) for mode in modes]


formulas = pytest.mark.parametrize("name", list(FORMULAS))


@formulas
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.sampled(10)
def test_value_and_gradient(name, dtype):
    columns, exact = rounded(FORMULAS[name].points, dtype)
    with jax.enable_x64(dtype == np.float64):
        found = jax.jit(jax.vmap(functools.partial(derivatives, name, BOTH)))(*map(jnp.asarray, columns))
        eager = function_named(name)(*(jnp.asarray(column[0]) for column in columns))
    values, jacobians = jax.tree.map(np.asarray, found)
    assert values.dtype == eager.dtype == dtype
    np.testing.assert_allclose(eager, values[0], rtol=4 * np.finfo(dtype).eps, atol=0)

    values = values.reshape(len(exact), -1)
    for number, point in enumerate(exact):
        with mp.workdps(DIGITS):
            value, blocks = true_value(name, point), true_jacobian(name, point)
        rounding = rounding_of(point, blocks, dtype) / max(*map(abs, value), mpf(float(np.finfo(dtype).tiny)))
        assert error(values[number], value, dtype) <= max(ALLOWED[dtype], 4 * rounding), (point, values[number], value)
        for jacobian, (k, block) in itertools.product(jacobians, enumerate(blocks)):
            for got, true in zip(np.reshape(jacobian[k][number], (len(value), -1)), block, strict=True):
                assert error(got, true, dtype) <= ALLOWED[dtype], (point, k, got, [mp.nstr(t, 12) for t in true])


@formulas
@pytest.mark.sampled(9)
def test_second_order(name):
    columns, exact = rounded(FORMULAS[name].points[:2], np.float64)
    every = tuple(range(len(columns)))
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(jax.hessian(function_named(name), every)))(*map(jnp.asarray, columns))
    for number, point in enumerate(exact):
        with mp.workdps(DIGITS):
            true = true_hessian(name, point)
        sizes = [len(as_list(array)) for array in point]
        rows = [
            [np.reshape(block[number], (len(true), n, m)) for block, m in zip(blocks, sizes, strict=True)]
            for blocks, n in zip(found, sizes, strict=True)
        ]
        np.testing.assert_allclose(np.block(rows), true, rtol=1e-9, atol=1e-12 * (np.abs(true).max() + 1e-3))


def sigmoid_slope(x):
    return mp.exp(-x) / (1 + mp.exp(-x)) ** 2


@pytest.mark.parametrize(
    ("function", "true"),
    [
        (jax.grad(numerics.sigmoid), sigmoid_slope),
        (jax.grad(jax.grad(numerics.sigmoid)), functools.partial(mpmath.diff, sigmoid_slope)),
        (jax.grad(jax.grad(numerics.softplus)), sigmoid_slope),
        (jax.grad(jax.grad(lambda x: numerics.logsumexp(jnp.stack([x, jnp.zeros_like(x)])))), sigmoid_slope),
        (jax.grad(jax.grad(lambda x: numerics.surprisal(jnp.stack([x, jnp.zeros_like(x)]))[0])), sigmoid_slope),
        (jax.grad(jax.grad(lambda x: numerics.surprisal(jnp.stack([jnp.zeros_like(x), x]))[0])), sigmoid_slope),
    ],
    ids=["sigmoid'", "sigmoid''", "softplus''", "logsumexp''", "surprisal''", "surprisal'' of the other"],
)
@pytest.mark.parametrize("x", [-20.0, -3.0, 3.0, 20.0, 50.0])
def test_slopes_do_not_vanish_before_their_time(function, true, x):
    np.testing.assert_allclose(float(jax.jit(function)(x)), float(true(mpf(x))), rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- corners

LOG2 = float(mp.log(2))
ZEROS, ONES = [0.0, 0.0], [1.0, 2.0]

# Arguments, value, gradient in each argument: what the docstrings say.
CORNERS = {
    "positive_part": [
        ((0.0,), 0, (0,)),
        ((INF,), INF, (1,)),
        ((-INF,), 0, (0,)),
    ],
    "ratio": [
        ((3.0, 0.0), 0, (0, 0)),
        ((0.0, 0.0), 0, (0, 0)),
        ((1e30, 1e-30), INF, (1e30, -LARGEST)),
        ((1.0, INF), 0, (0, 0)),
    ],
    "absolute": [
        ((0.0,), 0, (0,)),
        ((-INF,), INF, (-1,)),
    ],
    "safe_square": [
        ((0.0,), 0, (0,)),
        ((-INF,), INF, (-LARGEST,)),
    ],
    "safe_sqrt": [
        ((0.0,), 0, (0,)),
        ((INF,), INF, (0,)),
    ],
    "safe_norm": [
        ((ZEROS,), 0, (ZEROS,)),
        (([INF, 1.0],), INF, ([1, 0],)),
    ],
    "unit_vector": [
        ((ZEROS,), ZEROS, ([ZEROS, ZEROS],)),
    ],
    "safe_log": [
        ((0.0,), -INF, (LARGEST,)),
        ((INF,), INF, (0,)),
    ],
    "safe_log1p": [
        ((-1.0,), -INF, (LARGEST,)),
    ],
    "multiply_no_nan": [
        ((0.0, INF), 0, (0, 0)),
        ((0.0, -INF), 0, (0, 0)),
        ((0.0, 3.0), 0, (3, 0)),
        ((2.0, INF), INF, (LARGEST, 2)),
    ],
    "xlogy": [
        ((0.0, 0.0), 0, (0, 0)),
        ((0.0, 2.0), 0, (LOG2, 0)),
        ((1.0, 0.0), -INF, (-LARGEST, LARGEST)),
    ],
    "xlog1py": [
        ((0.0, -1.0), 0, (0, 0)),
        ((1.0, -1.0), -INF, (-LARGEST, LARGEST)),
    ],
    "rel_entr": [
        ((0.0, 0.0), 0, (0, 0)),
        ((0.0, 0.5), 0, (0, 0)),
        ((1.0, 1.0), 0, (1, -1)),
        ((0.5, 0.0), INF, (LARGEST, -LARGEST)),
    ],
    "kl_div": [
        ((0.0, 0.0), 0, (0, 1)),
        ((0.0, 0.5), 0.5, (0, 1)),
        ((1.0, 1.0), 0, (0, 0)),
        ((0.5, 0.0), INF, (LARGEST, -LARGEST)),
    ],
    "log1mexp": [
        ((0.0,), -INF, (LARGEST,)),
        ((INF,), 0, (0,)),
    ],
    "sigmoid": [
        ((INF,), 1, (0,)),
        ((-INF,), 0, (0,)),
    ],
    "softplus": [
        ((INF,), INF, (1,)),
        ((-INF,), 0, (0,)),
        ((0.0,), LOG2, (0.5,)),
    ],
    "logsumexp": [
        (([-INF, -INF],), -INF, (ZEROS,)),
        (([-INF, 0.0],), 0, ([0, 1],)),
        (([INF, 0.0],), INF, ([1, 0],)),
        (([LARGEST, -LARGEST],), LARGEST, ([1, 0],)),
    ],
    "surprisal": [
        (([-INF, 0.0],), [INF, 0], ([[-1, 1], [0, 0]],)),
        (([INF, 0.0],), [0, INF], ([[0, 0], [1, -1]],)),
        (([LARGEST, -LARGEST],), [0, INF], ([[0, 0], [1, -1]],)),
    ],
    "euclidean_distance": [
        ((ONES, ONES), 0, (ZEROS, ZEROS)),
    ],
    "squared_euclidean_distance": [
        ((ONES, ONES), 0, (ZEROS, ZEROS)),
    ],
    "cosine_distance": [
        ((ONES, ONES), 0, (ZEROS, ZEROS)),
        ((ONES, [-1.0, -2.0]), 2, (ZEROS, ZEROS)),
        ((ZEROS, ONES), 1, (ZEROS, ZEROS)),
        ((ZEROS, ZEROS), 1, (ZEROS, ZEROS)),
    ],
}


@pytest.mark.parametrize("name", list(CORNERS))
@pytest.mark.sampled(9)
def test_corners(name):
    # The same number of rows for all functions, which then share their compiled operations.
    rows = itertools.islice(itertools.cycle(CORNERS[name]), 10)
    args, values, gradients = zip(*rows, strict=True)
    values, *columns = (np.array(column, np.float32) for column in (values, *zip(*args, strict=True)))
    gradients = [np.array(column, np.float32) for column in zip(*gradients, strict=True)]
    arrays = list(map(jnp.asarray, columns))
    # Every operation by itself, so that no NaN can come and go inside a compiled function.
    with jax.debug_nans(True), jax.disable_jit():
        one_by_one = jax.vmap(functools.partial(derivatives, name, BOTH[:1]))(*arrays)
    compiled = jax.jit(jax.vmap(functools.partial(derivatives, name, BOTH)))(*arrays)
    for found, jacobians in (one_by_one, compiled):
        np.testing.assert_allclose(found, values, rtol=1e-6)
        for jacobian, (k, gradient) in itertools.product(jacobians, enumerate(gradients)):
            np.testing.assert_allclose(jacobian[k], gradient, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ratio", (NAN, 0.5)),
        ("absolute", (NAN,)),
        ("safe_sqrt", (-1.0,)),
        ("safe_norm", ([NAN, INF],)),
        ("unit_vector", ([NAN, 1.0],)),
        ("safe_log", (-1.0,)),
        ("safe_log1p", (-2.0,)),
        ("multiply_no_nan", (0.0, NAN)),
        ("multiply_no_nan", (NAN, INF)),
        ("xlogy", (0.0, -1.0)),
        ("rel_entr", (0.0, NAN)),
        ("rel_entr", (0.0, -1.0)),
        ("rel_entr", (-0.1, 0.5)),
        ("kl_div", (0.0, -1.0)),
        ("kl_div", (-0.1, 0.5)),
        ("log1mexp", (-1.0,)),
        ("logsumexp", ([NAN, INF],)),
        ("logsumexp", ([NAN, -INF],)),
        ("surprisal", ([NAN, 1.0],)),
        ("project_to_simplex", ([INF, NAN, 0.0],)),
        ("cosine_distance", ([NAN, 1.0], [1.0, 1.0])),
    ],
)
def test_no_nan_is_swallowed(name, args):
    assert np.isnan(function_named(name)(*(jnp.array(x, jnp.float32) for x in args))).all()


# --------------------------------------------------------------------------------------------------- one at a time


def test_slope_beside_a_root_that_is_not_taken():
    taken = jax.grad(lambda x: jnp.where(x < 1, x, numerics.safe_sqrt(x)))
    assert taken(0.0) == jax.jit(taken)(0.0) == 1


def test_impossible_logits_have_no_slope():
    def f(x):
        return numerics.logsumexp(jnp.stack([jnp.full_like(x, -INF), -INF + x]))

    assert f(1.0) == -INF
    assert jax.jit(jax.grad(f))(1.0) == jax.jit(jax.jacfwd(f))(1.0) == 0


@pytest.mark.parametrize("x", [1e-3, 0.5, 3.0, 20.0, 50.0, 80.0])
def test_curvature_of_log1mexp(x):
    curvature = jax.jit(jax.grad(jax.grad(numerics.log1mexp)))(x)
    np.testing.assert_allclose(float(curvature), float(-mp.exp(-mpf(x)) / mp.expm1(-mpf(x)) ** 2), rtol=3e-6)


@pytest.mark.parametrize("function", [numerics.safe_log, lambda x: numerics.safe_log1p(x - 1)], ids=["log", "log1p"])
def test_a_curvature_beyond_the_format_is_not_nan(function):
    for second in (jax.jacfwd(jax.grad(function)), jax.jacfwd(jax.jacfwd(function))):
        assert jax.jit(second)(1e-30) <= 0


def test_a_shift_of_all_logits_changes_nothing():
    logits = jnp.array([[1.0, 2.5, -3.0]] * 3)  # 1e4 more of each is still exact
    for shift in (1e4, -1e4):
        np.testing.assert_array_equal(numerics.surprisal(logits + shift), numerics.surprisal(logits))


@pytest.mark.parametrize("size", [0.0, 1e30, -1e30, LARGEST, -LARGEST / 2])
def test_equal_logits_share(size):
    logits = jnp.full(3, size, jnp.float32)
    np.testing.assert_allclose(numerics.surprisal(logits), np.log(3), rtol=2e-7)
    np.testing.assert_allclose(jax.grad(numerics.logsumexp)(logits), 1 / 3, rtol=2e-7)


@pytest.mark.parametrize("margin", [20.0, 50.0, 80.0])
def test_gradient_of_a_confident_surprisal(margin):
    wrong = float(mp.exp(-margin) / (1 + mp.exp(-margin)))
    for gradient in (jax.grad, jax.jacfwd):
        slopes = jax.jit(gradient(lambda x: numerics.surprisal(x)[0]))(jnp.array([margin, 0.0]))
        np.testing.assert_allclose(slopes, [-wrong, wrong], rtol=3e-7)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int32, jnp.uint32])
def test_one_hot(dtype):
    labels = jnp.array([0, 2, 99], dtype)
    indicator = numerics.one_hot(labels, 300)
    assert indicator.shape == (3, 300)
    assert indicator.dtype == jnp.float32
    np.testing.assert_array_equal(indicator, np.eye(300)[np.asarray(labels)])


def test_one_hot_in_float64():
    with jax.enable_x64(True):
        assert numerics.one_hot(jnp.array(0), 2, jnp.float64).dtype == jnp.float64


@pytest.mark.parametrize("label", [-1, 3, -100, 2**31 - 1, -(2**31)])
def test_a_label_that_is_no_class(label):
    label = jnp.array(label, jnp.int32)
    assert np.isnan(numerics.one_hot(label, 3)).all()
    assert np.isnan(numerics.pick(jnp.arange(3.0), label))


def test_pick():
    values, labels = jnp.array([[1.0, NAN, -INF], [4.0, 5.0, INF]]), jnp.array([0, 2])
    np.testing.assert_array_equal(numerics.pick(values, labels), [1, INF])
    for gradient in (jax.jacrev, jax.jacfwd):
        slopes = jax.jit(gradient(lambda v: jnp.sum(numerics.pick(v, labels))))(values)
        np.testing.assert_array_equal(slopes, [[1, 0, 0], [0, 0, 1]])


def test_near_parallel_vectors_without_fused_products():
    # A compiler that fuses products into sums hides what their rounding costs, and not all do.
    points = [VECTORS[3], ([1.0, 2.0, 3.0], [7.001, 14.002, 20.9995]), ([1e-30, 2e-30, 3e-30], [1e20, 2e20, 2.999e20])]
    columns, exact = rounded(points, np.float32)
    with jax.disable_jit():
        values = np.asarray(numerics.cosine_distance(*map(jnp.asarray, columns)))
    for value, point in zip(values, exact, strict=True):
        assert error([value], true_value("cosine_distance", point), np.float32) <= 1e-3  # by conditioning


def test_curvature_at_a_zero_vector():
    u, v = np.float32([[0, 0, 0], [1, -2, 3]])
    for blocks in jax.jit(jax.hessian(numerics.cosine_distance, (0, 1)))(u, v):
        np.testing.assert_array_equal(blocks, np.zeros((2, 3, 3)))


@pytest.mark.parametrize("name", [name for name, formula in FORMULAS.items() if isinstance(formula.points[0][0], list)])
def test_leading_axes(name):
    columns, _ = rounded(FORMULAS[name].points[:2], np.float32)
    mapped = jax.vmap(function_named(name))(*columns)
    np.testing.assert_allclose(function_named(name)(*columns), mapped, rtol=1e-6)


def _partial_likelihood(keys, scores, chosen, average_ties):
    """The cost of each that is chosen and the gradient of their sum, by the pairs of all in float64."""
    tied = chosen & (keys[:, None] == keys)
    gone = np.tril(tied, -1).sum(1) / np.maximum(1, tied.sum(1)) * average_ties
    at_risk = np.where(tied, 1 - gone[:, None], keys >= keys[:, None])
    shares = at_risk * np.exp(scores - scores[:, None])
    left = shares.sum(1, keepdims=True)
    return np.log(left[:, 0]), np.where(chosen[:, None], shares / left, 0).sum(0) - chosen


@pytest.mark.parametrize("average_ties", [False, True])
@pytest.mark.parametrize("n", [256, 257])  # by pairs, and by a sort
def test_partial_likelihoods_of_few_and_of_many(n, average_ties):
    rng = np.random.default_rng(n)
    keys, scores = rng.integers(0, 40, n), rng.normal(size=n).astype(np.float32) * 5
    chosen = rng.random(n) < 0.4
    costs, slopes = _partial_likelihood(keys, np.float64(scores), chosen, average_ties)
    cost = functools.partial(order.partial_nll, average_ties=average_ties)
    found, slope = jax.jit(jax.value_and_grad(cost, 1))(jnp.float32(keys), scores, chosen)
    np.testing.assert_allclose(found, costs[chosen].sum(), rtol=2e-6)
    np.testing.assert_allclose(slope, slopes, atol=1e-5 * abs(slopes).max())


@pytest.mark.parametrize("n", [256, 257])
def test_the_log_sum_of_larger_keys_of_few_and_of_many(n):
    rng = np.random.default_rng(n)
    keys, scores = rng.integers(0, 40, n), rng.normal(size=n).astype(np.float32) * 50
    scores[rng.random(n) < 0.1] = -np.inf
    larger = np.where(keys > keys[:, None], np.float64(scores), -np.inf)
    found = order.log_sum_of_larger(jnp.float32(keys), scores)
    some = keys < keys.max()
    np.testing.assert_allclose(found[some], scipy.special.logsumexp(larger[some], axis=1), rtol=1e-6, atol=1e-5)
    assert np.all(found[~some] < -1e37)
