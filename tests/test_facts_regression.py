"""How the losses of an error are related: one is a member, a limit or a part of another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


def test_a_high_power_of_an_error_with_its_last_digits():
    # The truth, of the inputs as they are rounded, is from mpmath.
    x, y = np.float32([2.449442148208618]), np.float32([-0.3790985643863678])
    slope = jax.jit(jax.grad(partial(robust, alpha=-64.1, scale=0.3)))(x, y)
    np.testing.assert_allclose(slope, 1.84028051e-11, rtol=5e-7)
