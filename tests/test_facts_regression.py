"""How the losses of an error are related: one is a member, a limit or a part of another."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases.robust import general_robust
from mpmath import mp, mpf

import jaxloss

ERRORS = np.float32([0.0, 1e-20, -1e-4, 0.1, -0.7, 1.3, -5.0, 100.0, 1e4, -1e15])
TARGETS = np.zeros_like(ERRORS)


def partial(loss, **options):
    return functools.partial(loss, **options)


def value_and_slope(loss):
    return jax.jit(jax.vmap(jax.value_and_grad(loss)))(ERRORS, TARGETS)


robust = jaxloss.general_robust
SAME = {
    "charbonnier is robust at 1": (jaxloss.charbonnier, partial(robust, alpha=1.0), 1),
    "cauchy is robust at 0": (jaxloss.cauchy, partial(robust, alpha=0.0), 1),
    "geman_mcclure is robust at -2": (jaxloss.geman_mcclure, partial(robust, alpha=-2.0), 1),
    "welsch is robust at -inf": (jaxloss.welsch, partial(robust, alpha=-np.inf), 1),
    "squared_error is twice robust at 2": (jaxloss.squared_error, partial(robust, alpha=2.0), 2),
    "pseudo_huber is delta^2 charbonnier": (
        partial(jaxloss.pseudo_huber, delta=3.0),
        partial(jaxloss.charbonnier, scale=3.0),
        9,
    ),
    "huber is beta smooth_l1": (partial(jaxloss.huber, delta=0.3), partial(jaxloss.smooth_l1, beta=0.3), 0.3),
    "smooth_l1 at 0 is absolute_error": (partial(jaxloss.smooth_l1, beta=0.0), jaxloss.absolute_error, 1),
    "pinball is half absolute_error": (jaxloss.pinball, jaxloss.absolute_error, 0.5),
    "expectile is half squared_error": (jaxloss.expectile, jaxloss.squared_error, 0.5),
    "quantile_huber at 0 is pinball": (
        partial(jaxloss.quantile_huber, quantile=0.9, delta=0.0),
        partial(jaxloss.pinball, quantile=0.9),
        1,
    ),
    "epsilon_insensitive at 0 is absolute_error": (
        partial(jaxloss.epsilon_insensitive, epsilon=0.0),
        jaxloss.absolute_error,
        1,
    ),
}


@pytest.mark.parametrize("fact", SAME)
def test_the_same(fact):
    one, other, factor = SAME[fact]
    for left, right in zip(value_and_slope(one), value_and_slope(other), strict=True):
        np.testing.assert_allclose(left, factor * right, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("alpha", [2.0, 1.0, 0.0, -2.0, -np.inf, -64.1])
def test_a_traced_shape_is_a_given_shape(alpha):
    given = value_and_slope(partial(robust, alpha=alpha))
    traced = jax.jit(jax.vmap(jax.value_and_grad(lambda e, t, a: robust(e, t, alpha=a)), (0, 0, None)))
    for left, right in zip(given, traced(ERRORS, TARGETS, jnp.float32(alpha)), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6)


@pytest.mark.parametrize("alpha", [2.0, 0.0, -np.inf])
def test_near_a_special_shape(alpha):
    near = np.float32(-1e12) if np.isinf(alpha) else np.nextafter(np.float32(alpha), np.float32(3))
    at = robust(1.7, 0.2, alpha=np.float32(alpha))
    np.testing.assert_allclose(robust(1.7, 0.2, alpha=near), at, rtol=2e-6)


def test_the_slope_of_smooth_l1_in_beta_at_0():
    slope = jax.grad(
        lambda beta: jaxloss.reduce(jaxloss.smooth_l1, "sum")(np.float32([0, 2, -3]), np.zeros(3), beta=beta)
    )
    assert slope(0.0) == -1


def test_a_high_power_of_an_error():
    # The truth, of the inputs as they are rounded, is from mpmath.
    x, y = np.float32([2.449442148208618]), np.float32([-0.3790985643863678])
    slope = jax.jit(jax.grad(partial(robust, alpha=-64.1, scale=0.3)))(x, y)
    np.testing.assert_allclose(slope, 1.84028051e-11, rtol=1e-5)


INF, LARGEST = np.inf, np.finfo(np.float32).max
# Prediction, target and options; the value, and the slope in the prediction.
CORNERS = [
    (jaxloss.huber, -INF, 0.0, {"delta": 2.0}, INF, -2),
    (jaxloss.smooth_l1, INF, 0.0, {}, INF, 1),
    (jaxloss.smooth_l1, -INF, 0.0, {"beta": 0.0}, INF, -1),
    (jaxloss.smooth_l1, 0.0, 0.0, {"beta": 0.0}, 0, 0),
    (jaxloss.log_cosh, -INF, 0.0, {}, INF, -1),
    (jaxloss.pseudo_huber, -INF, 0.0, {"delta": 2.0}, INF, -2),
    (jaxloss.absolute_error, 1.0, 1.0, {}, 0, 0),
    (jaxloss.pinball, 1.0, 1.0, {"quantile": 0.9}, 0, 0),
    (jaxloss.pinball, INF, 0.0, {"quantile": 1.0}, 0, 0),
    (jaxloss.pinball, -INF, 0.0, {"quantile": 0.0}, 0, 0),
    (jaxloss.pinball, -INF, 0.0, {"quantile": 0.9}, INF, np.float32(-0.9)),
    (jaxloss.expectile, INF, 0.0, {"level": 1.0}, 0, 0),
    (jaxloss.quantile_huber, INF, 0.0, {"quantile": 1.0}, 0, 0),
    (jaxloss.quantile_huber, -INF, 0.0, {"quantile": 0.25}, INF, -0.25),
    (jaxloss.squared_log_error, -1.0, -1.0, {}, 0, 0),
    (jaxloss.squared_log_error, -1.0, 0.0, {}, INF, -LARGEST),
    (jaxloss.squared_log_error, INF, 0.0, {}, INF, 0),
    (jaxloss.squared_log_error, -2.0, -3.0, {}, np.nan, np.nan),
    (jaxloss.absolute_percentage_error, 0.0, 0.0, {}, 0, 0),
    (jaxloss.absolute_percentage_error, -1.0, 0.0, {}, INF, -LARGEST),
    (jaxloss.symmetric_absolute_percentage_error, 0.0, 0.0, {}, 0, 0),
    (jaxloss.symmetric_absolute_percentage_error, INF, -1.0, {}, 2, 0),
    (jaxloss.epsilon_insensitive, 1.5, 1.0, {"epsilon": 0.5}, 0, 0),
    (jaxloss.epsilon_insensitive, INF, 0.0, {}, INF, 1),
    (jaxloss.squared_epsilon_insensitive, -INF, 0.0, {}, INF, -LARGEST),
    (jaxloss.charbonnier, -INF, 0.0, {"scale": 2.0}, INF, -0.5),
    (jaxloss.cauchy, INF, 0.0, {}, INF, 0),
    (jaxloss.geman_mcclure, -INF, 0.0, {}, 2, 0),
    (jaxloss.welsch, INF, 0.0, {}, 1, 0),
    (jaxloss.tukey_biweight, -INF, 0.0, {"scale": 6.0}, 6, 0),
    (jaxloss.wing, 0.0, 0.0, {}, 0, 0),
    (jaxloss.wing, INF, 0.0, {}, INF, 1),
    (robust, INF, 0.0, {"alpha": 1.0}, INF, 1),
    (robust, -INF, 0.0, {"alpha": -2.0}, 2, 0),
    (robust, -INF, 0.0, {"alpha": -INF}, 1, 0),
]


@pytest.mark.parametrize(("loss", "prediction", "target", "options", "value", "slope"), CORNERS)
def test_a_corner(loss, prediction, target, options, value, slope):
    got = jax.jit(jax.value_and_grad(partial(loss, **options)))(np.float32(prediction), np.float32(target))
    np.testing.assert_allclose(got, (value, slope), rtol=1e-5)


FAR = np.array([0.3, -4.0, 20.0, 1e4, -1e6])
CURVATURES = {
    "pseudo_huber": (jaxloss.pseudo_huber, (1 + FAR**2) ** -1.5),
    "charbonnier": (jaxloss.charbonnier, (1 + FAR**2) ** -1.5),
    "robust at 1": (robust, (1 + FAR**2) ** -1.5),
    "robust at 1.5": (partial(robust, alpha=1.5), (1 + FAR**2) * (1 + 2 * FAR**2) ** -1.25),
    "log_cosh": (jaxloss.log_cosh, 4 * np.exp(-2 * np.abs(FAR)) / (1 + np.exp(-2 * np.abs(FAR))) ** 2),
    "cauchy": (jaxloss.cauchy, (1 - FAR**2 / 2) / (1 + FAR**2 / 2) ** 2),
    "geman_mcclure": (jaxloss.geman_mcclure, 16 * (4 - 3 * FAR**2) / (FAR**2 + 4) ** 3),
    "welsch": (jaxloss.welsch, (1 - FAR**2) * np.exp(-(FAR**2) / 2)),
    "squared_error": (jaxloss.squared_error, np.full(FAR.shape, 2.0)),
    "expectile": (jaxloss.expectile, np.full(FAR.shape, 1.0)),
    "wing": (jaxloss.wing, np.where(np.abs(FAR) < 10, -10 / (2 + np.abs(FAR)) ** 2, 0)),
    "tukey_biweight": (
        jaxloss.tukey_biweight,
        np.where(np.abs(FAR) < 4.685, (1 - (FAR / 4.685) ** 2) * (1 - 5 * (FAR / 4.685) ** 2), 0),
    ),
}


@pytest.mark.parametrize("fact", CURVATURES)
@pytest.mark.parametrize("how", [jax.hessian, lambda f: jax.grad(jax.grad(f))], ids=["hessian", "grad of grad"])
def test_a_curvature_far_out(fact, how):
    loss, true = CURVATURES[fact]
    got = jax.jit(jax.vmap(how(lambda x: loss(x, np.float32(0)))))(np.float32(FAR))
    np.testing.assert_allclose(got, true, rtol=1e-4, atol=1e-37)


@pytest.mark.parametrize("alpha", [-1e4, -1.3, 1e-4, 0.9, 1.5, 1.999, 2.1, 50.0])
def test_the_slope_of_robust_in_alpha(alpha):
    alpha, errors = np.float32(alpha), np.float32([1e-3, 0.1, 0.5, 2.0, 12.3, 100.0, 1e4])
    slope = jax.grad(lambda alpha, x: robust(x, np.float32(0), alpha=alpha))
    slopes = jax.jit(jax.vmap(slope, (None, 0)))(alpha, errors)
    with mp.workdps(80):
        h, shape = mpf(10) ** -25, mpf(alpha.item())
        above, below = ([general_robust(x, 0, a) for x in errors.tolist()] for a in (shape + h, shape - h))
        true = np.array([float((a - b) / (2 * h)) for a, b in zip(above, below, strict=True)])
    seen = (np.abs(true) > 1e-37) & (np.abs(true) < 1e38)
    np.testing.assert_allclose(slopes[seen], true[seen], rtol=2e-5)


def arrays_of(loss):
    """The arrays that must be given."""
    parameters = inspect.signature(loss).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]


FAMILIES = ("jaxloss.losses.regression.errors", "jaxloss.losses.regression.relative", "jaxloss.losses.robust")


@pytest.mark.parametrize("name", [name for name, loss in jaxloss.catalogue.items() if loss.__module__ in FAMILIES])
@pytest.mark.sampled(5)
def test_plain_numbers_without_jit(name):
    loss = jaxloss.catalogue[name]
    arrays = ([1.5, 2.0, 4.0], [1.0, 2.5, 3.0], [1.0, 0.5, 2.0])[: len(arrays_of(loss))]
    compiled = loss(*arrays)
    with jax.disable_jit(), jax.debug_nans(True):
        value, slope = jax.value_and_grad(loss)(*map(jnp.array, arrays))
        plain = loss(*arrays)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose([value, plain], compiled, rtol=1e-5)


def test_pixels_behind_a_mask():
    prediction = np.float32([[3.0, np.nan, 12.0], [0.0, -1.0, np.inf]])
    target = np.float32([[1.0, 0.0, 4.0], [0.0, 0.0, 2.0]])
    mask = np.array([[True, False, True], [False, False, False]])
    loss = jaxloss.reduce(jaxloss.scale_invariant_log_error, "none")
    values = loss(prediction, target, mask)
    np.testing.assert_allclose(values, [np.log(3) ** 2 / 2, 0], rtol=1e-6)
    slopes = jax.jit(jax.grad(lambda p: loss(p, target, mask).sum()))(prediction)
    np.testing.assert_allclose(slopes, [[np.log(3) / 6, 0, np.log(3) / 24], [0, 0, 0]], rtol=1e-6)
