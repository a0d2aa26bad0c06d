"""Law 13: value and gradient of every loss are those of the formula over its whole domain. `judge.py` says the rule."""

import functools

import jax
import numpy as np
import pytest
from cases import CASES
from judge import (
    DIGITS,
    ORDINARY,
    ROW,
    ROWS,
    Number,
    Slope,
    Truth,
    Verdict,
    bent_wrongly,
    computed_curvatures,
    conditioning_of_curvature,
    conditioning_of_value,
    curvature_is_wrong,
    fault_of_gradient,
    fault_of_value,
    forward,
    judged,
    judged_slopes,
    rounded,
    truths,
)
from mpmath import mp, mpf

import jaxloss


def check(verdicts: list[Verdict]) -> None:
    """Shows the worst of the items that are wrong, of value and gradient."""
    wrong = [one for one in verdicts if not one.right]
    assert not wrong, f"{len(wrong)} of {len(verdicts)} items: {max(wrong, key=lambda one: one.error)}"


def shown(true: Truth, bends: list[np.ndarray]) -> str:
    """The second derivatives of an item, and those of the truth at smooth points."""
    truly = [[slope.curvature and mp.nstr(slope.curvature, 9) for slope in array] for array in true.slopes or []]
    return f"at {true.item}: got {[np.ravel(bend).tolist() for bend in bends]}; true {truly}"


def rows(every, options=True):
    """The names of the rows. The short run takes the first set of options alone, and every so-many-th loss."""
    for place, case in enumerate(CASES):
        for row in (row for row in ROWS if row.case is case):
            if options or row.is_default:
                marks = () if row.is_default and place % every == 0 else pytest.mark.sweep
                yield pytest.param(row.name, marks=marks)


every_row = pytest.mark.parametrize("name", list(rows(every=1)))
sampled_rows = pytest.mark.parametrize("name", list(rows(every=23)))
sampled_defaults = pytest.mark.parametrize("name", list(rows(every=23, options=False)))
few_defaults = pytest.mark.parametrize("name", list(rows(every=61, options=False)))
DEFAULTS = [name for name, row in ROW.items() if row.is_default and not row.case.masked]
FIRST = {row.case.name: row for row in reversed(ROWS)}
OPTIONS = [
    pytest.param(name, option, id=f"{name}-{option}")
    for name, row in ROW.items()
    if not row.case.masked and (row.is_default or row.case.every_slope)
    for option, x in row.rounded_options(np.float32).items()
    if isinstance(x, float)
]


@every_row
@pytest.mark.sampled(23)
def test_value_and_gradient_are_true(name):
    check(judged(name, np.float32))


@sampled_defaults
def test_forward_mode_is_true(name):
    check(judged(name, np.float32, mode=forward))


@few_defaults
def test_eager_is_true(name):
    check(judged(name, np.float32, sample=ORDINARY + len(ROW[name].case.corners)))


@sampled_rows
def test_float64_is_true(name):
    check(judged(name, np.float64))


# How many items of a row may have another second derivative than the formula, and why.
BENT_OTHERWISE = {
    "ldam": 2,  # two rows have logits of 1e30, which swallow the margin: what the format holds is another row
    "wasserstein_1d": 3,  # points that are equal move together, where the formula is as smooth if one moves alone
    "contrastive": 1,  # of equal vectors: that of a distance is 0 at 0
    "dino": 1,  # of costs that are nearly equal, which the slope in the teacher is a difference of
    "mmd": 1,  # of points that are nearly equal, of which it is the difference of means
    "info_nce": 2,  # of vectors of 1e4, whose cosines have lost the digits
    "kl_divergence": 9,  # at q = 1e-30 it is made of q^-2
    "orpo": 5,  # of probabilities of 1e-35
    # Of embeddings of 1e-20 and less some components leave the format.
    **dict.fromkeys(("multi_similarity", "uniformity"), 1),
    **dict.fromkeys(("circle", "proxy_anchor"), 2),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_row
@pytest.mark.sampled(40)
def test_second_derivatives_are_true(name, dtype):
    row = ROW[name]
    items = zip(truths(name, dtype), *computed_curvatures(name, dtype), strict=False)
    places = range(len(row.case.differentiable))
    wrong = [(true, bends) for true, *bends in items if bent_wrongly(row, true, bends, places, dtype)]
    assert len(wrong) <= BENT_OTHERWISE.get(row.case.name, 0), f"{len(wrong)} items: {shown(*wrong[0])}"


@pytest.mark.parametrize(("name", "option"), OPTIONS)
@pytest.mark.sampled(41)
def test_slope_in_an_option_is_true(name, option):
    check(judged_slopes(name, option))


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


UNREAD = {("diffusion", 1), ("diffusion", 3)}  # of a network that predicts the noise, all noise weighing the same


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.sampled(3)
def test_no_nan_is_swallowed(name):
    case = ROW[name].case
    arrays = [rounded(array, np.float32) for array in case.draw(np.random.default_rng(0), 1)]
    # A formula with labels may look at the entries of the labels alone.
    labels = [np.ravel(array)[0] for array in arrays if array.dtype.kind == "i"]
    place = labels[0] if labels and arrays[0].ndim == 2 else -1
    for position in case.differentiable:
        if (case.name, position) in UNREAD:
            continue
        poisoned = [array.copy() for array in arrays]
        np.ravel(poisoned[position])[place if position == 0 else -1] = np.nan
        assert np.isnan(jaxloss.catalogue[case.name](*poisoned, **ROW[name].options)), position


@pytest.mark.parametrize("name", [name for name, loss in jaxloss.catalogue.items() if loss.signature is None])
@pytest.mark.sampled(4)
def test_no_nan_is_swallowed_in_a_sum_of_many(name):
    # So many are summed by another kernel, whose minimum and maximum of a number and NaN may be the number.
    row = FIRST[name]
    arrays = [rounded(array, np.float32) for array in row.case.draw(np.random.default_rng(0), 2**16)]
    loss = jax.jit(functools.partial(jaxloss.catalogue[name], **row.options))
    assert np.isfinite(loss(*arrays))
    for position in row.case.differentiable:
        poisoned = [array.copy() for array in arrays]
        poisoned[position][777] = np.nan
        assert np.isnan(loss(*poisoned)), position


@pytest.mark.parametrize("name", [n for n, loss in jaxloss.catalogue.items() if loss.signature == "(k),(k)->()"])
def test_no_nan_is_swallowed_in_a_row_of_many(name):
    rows = np.random.default_rng(0).dirichlet(np.ones(1024), (2, 64)).astype(np.float32)
    loss = jax.jit(functools.partial(jaxloss.catalogue[name], **FIRST[name].options))
    assert np.isfinite(loss(*rows))
    for position in FIRST[name].case.differentiable:
        poisoned = rows.copy()
        poisoned[position, 7, 300] = np.nan
        assert np.isnan(loss(*poisoned)), position


def test_no_square_overflows_before_its_half():
    assert jaxloss.huber(2e19, 0.0, delta=1e20) == np.float32(2e38)


@pytest.mark.parametrize("alpha", [1.3, 1.999, 4.0])
def test_forward_mode_beside_a_slope_in_an_option_that_leaves_the_format(alpha):
    loss = functools.partial(jaxloss.general_robust, alpha=alpha)
    np.testing.assert_allclose(jax.jacfwd(loss)(-1e30, 0.0), jax.grad(loss)(-1e30, 0.0), rtol=1e-5)


@pytest.mark.parametrize("error", [-5e21, 2e19, 1e18, 0.3])
@pytest.mark.parametrize("alpha", [-1.3, 0.0, 1.3])
def test_slope_in_the_scale_where_that_in_the_error_underflows(alpha, error):
    error, alpha = np.float32(error), np.float32(alpha)
    slope = jax.grad(lambda scale: jaxloss.general_robust(error, 0.0, alpha=alpha, scale=scale))
    cost = functools.partial(ROW["general_robust"].case.oracle, error.item(), 0.0, alpha.item())
    with mp.workdps(DIGITS):
        true, curvature = float(mp.diff(cost, 1)), float(mp.diff(cost, 1, 2))
    np.testing.assert_allclose(slope(np.float32(1)), true, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(slope)(np.float32(1)), curvature, rtol=1e-2)


def test_every_loss_is_on_the_grid():
    assert len(ROW) == len(ROWS)  # each row has a name of its own
    assert {case.name for case in CASES if list(case.hard(2**-24))} == set(jaxloss.catalogue)


# ------------------------------------------------------------------------------------------------ the judge is strict


def value_fault(got, true, conditioning=0):
    return fault_of_value(np.float32(got), mpf(true), lambda: mpf(conditioning), np.float32)


def gradient_fault(got, true, conditioning=0):
    slopes = [Slope(mpf(x), mpf(x)) for x in true]
    return fault_of_gradient(np.float32(got), slopes, lambda _: mpf(conditioning), np.float32)


@pytest.mark.parametrize(
    ("got", "true"),
    [
        (np.nan, 1),
        (np.inf, 1),
        (np.inf, -np.inf),
        (1.0, np.inf),
        (3e38, 1e39),
        (0.0, 1e-30),
        (-1e-30, 1e-30),
        (1 + 1.1e-5, 1),
        (1e-7, 0),
        (1e-37, 1e-39),
    ],
)
def test_the_judge_is_strict(got, true):
    assert not value_fault(got, true).right
    if np.isfinite(true) and true < 1e39:
        assert not gradient_fault([got], [true]).right


@pytest.mark.parametrize(
    ("got", "true", "conditioning"),
    [
        (1 + 0.9e-5, 1, 0),
        (1 + 3e-5, 1, 1e-5),
        (np.inf, 1e39, 0),
        (-np.inf, -np.inf, 0),
        (0.0, 1e-39, 0),
        (-1e-6, 0, 1e-6),
    ],
)
def test_the_judge_is_fair(got, true, conditioning):
    assert value_fault(got, true, conditioning).right


@pytest.mark.parametrize(
    ("got", "true", "wrong_sign", "zeroed"),
    [
        ([1.0, -1e-5], [1.0, 1e-5], True, False),
        ([1.0, 0.0], [1.0, 5e-6], False, True),
        ([1.0, 0.0], [1.0, 1e-7], False, False),  # the difference of two numbers near 1, perhaps
        ([0.0, 0.0], [1e-30, 0.0], False, True),
        ([0.0, 0.0], [1e-39, 0.0], False, False),  # subnormal
    ],
)
def test_signs_and_zeros_are_judged_below_the_relative_error(got, true, wrong_sign, zeroed):
    fault = gradient_fault(got, true)
    assert (fault.wrong_sign, fault.zeroed) == (wrong_sign, zeroed)
    assert not gradient_fault(got, true, 1).wrong_sign


def test_a_gradient_is_judged_relative_to_its_largest_component():
    assert gradient_fault([1.0, 2e-6], [1.0, 3e-6]).right
    assert not gradient_fault([1.0, 0.1 + 1.1e-5], [1.0, 0.1]).right


def test_conditioning_is_what_half_a_last_digit_does():
    # The value of a row and its slope, between which no half digit of an input of 0 and of one of 1 can tell.
    verdicts = judged("squared_error", np.float32)
    one = next(one for one in verdicts if one.true.item[0] not in (0, one.true.item[1]))
    x, y = one.true.item
    half = [float(np.spacing(np.float32(abs(z)))) / 2 for z in (x, y)]
    assert float(conditioning_of_value(ROW["squared_error"].case, one.true, np.float32)) == pytest.approx(
        2 * abs(x - y) * sum(half)
    )


@pytest.mark.parametrize(
    ("got", "wrong"),
    [([1.0, 0.02], False), ([1.0, 0.04], True), ([1.0, np.nan], True), ([np.nan, 0.02], True), ([-1.0, 0.02], True)],
)
def test_second_derivatives_are_judged_to_a_hundredth_of_the_largest(got, wrong):
    slopes = [Slope(mpf(1), mpf(1), curvature=mpf(bend)) for bend in (1.0, 0.025)]
    numbers = [Number((0, k), 1.0) for k in range(2)]
    assert curvature_is_wrong(np.float32(got), slopes, numbers, lambda _: mpf(0), np.float32) == wrong


@pytest.mark.parametrize(("scale", "conditioning"), [(0, 0.1), (1e7, 0)])
def test_second_derivatives_are_forgiven_what_rounding_does(scale, conditioning):
    slopes, numbers = [Slope(mpf(1), mpf(1), curvature=mpf(1))], [Number((0, 0), 1.0)]
    found = [
        curvature_is_wrong(np.float32([got]), slopes, numbers, lambda _: mpf(conditioning), np.float32, scale)
        for got in (1.3, np.nan)
    ]
    assert found == [False, True]


def test_a_second_derivative_is_judged_in_a_number_that_is_0():
    one = next(one.true for one in judged("squared_error", np.float32) if one.true.item == (1, 0))
    assert one.slopes[1][0].curvature == pytest.approx(2)


def test_a_second_derivative_beside_a_kink_may_be_that_beyond_it():
    row = ROW["wing"]
    edge = next(one.true for one in judged("wing", np.float32) if one.true.item == (np.float32(-9.7), np.float32(0.3)))
    slope, number = edge.slopes[0][0], Number((0,), edge.item[0])
    jump = conditioning_of_curvature(row.case, edge, np.float32, slope, number)
    assert jump >= abs(slope.curvature)


def test_a_second_derivative_is_judged_at_smooth_points_alone():
    kink, jump = (judged("huber", np.float32)[ORDINARY + k].true for k in (0, 1))
    assert kink.item == (0.0, 0.0)
    assert kink.slopes[0][0].curvature == pytest.approx(1)
    assert jump.item == (1.0, 0.0)
    assert jump.slopes[0][0].curvature is None
