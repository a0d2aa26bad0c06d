"""Penalties on the slope of a critic, against closed forms of linear and quadratic critics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

N, SHAPE = 6, (3, 2)
NAMES = ("r1_penalty", "r2_penalty", "wgan_gradient_penalty", "dragan_penalty")


def quadratic(curvature, x):
    """A critic of slope 2 * curvature * x."""
    return jnp.sum(curvature * x**2)


def linear(kernel, x):
    return jnp.sum(kernel * x)


@pytest.fixture
def batch(rng):
    """The arrays of each penalty, and the points at which it takes the slope."""
    one, other = (rng.normal(size=(N, *SHAPE)).astype(np.float32) for _ in range(2))
    share = rng.uniform(size=N).astype(np.float32)
    between = share[:, None, None] * one + (1 - share[:, None, None]) * other
    return {
        "r1_penalty": ((one,), one),
        "r2_penalty": ((one,), one),
        "wgan_gradient_penalty": ((one, other, share), between),
        "dragan_penalty": ((one, other), one + other),
    }


def expected(name, norms):
    return norms**2 / 2 if name in NAMES[:2] else (norms - 1) ** 2


def per_example(name, curvature, points):
    return expected(name, 2 * curvature * np.sqrt(np.sum(points**2, axis=(1, 2))))


named = pytest.mark.parametrize("name", NAMES)


@named
def test_a_quadratic_critic(name, batch):
    arrays, points = batch[name]
    penalty = getattr(jaxloss, name)

    def cost(curvature):
        return penalty(functools.partial(quadratic, curvature), *arrays)

    for curvature in (0.3, 2.0):
        np.testing.assert_allclose(cost(curvature), per_example(name, curvature, points).mean(), rtol=2e-6)
        norms = np.sqrt(np.sum(points**2, axis=(1, 2)))
        slope = 4 * curvature * norms**2 if name in NAMES[:2] else 4 * (2 * curvature * norms - 1) * norms
        second = 4 * norms**2 if name in NAMES[:2] else 8 * norms**2
        for differentiate in (jax.grad, jax.jacfwd):
            np.testing.assert_allclose(jax.jit(differentiate(cost))(curvature), slope.mean(), rtol=1e-5)
        np.testing.assert_allclose(jax.jit(jax.hessian(cost))(curvature), second.mean(), rtol=1e-5)


@named
def test_a_linear_critic_is_the_same_everywhere(name, batch, rng):
    kernel = rng.normal(size=SHAPE).astype(np.float32)
    arrays, _ = batch[name]
    cost = getattr(jaxloss, name)(functools.partial(linear, kernel), *arrays)
    np.testing.assert_allclose(cost, expected(name, np.sqrt(np.sum(kernel**2))), rtol=2e-6)


@named
def test_a_slope_of_zero(name, batch):
    arrays, _ = batch[name]

    def cost(kernel):
        return getattr(jaxloss, name)(functools.partial(linear, kernel), *arrays)

    value, slope = jax.jit(jax.value_and_grad(cost))(jnp.zeros(SHAPE))
    assert value == (0 if name in NAMES[:2] else 1)
    np.testing.assert_array_equal(slope, 0)


@named
@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.sampled(3)
def test_masked_is_deleted(name, batch, poison):
    arrays, _ = batch[name]
    mask = np.arange(N) % 3 != 0
    spoilt = [np.where(mask.reshape((-1,) + (1,) * (array.ndim - 1)), array, np.float32(poison)) for array in arrays]
    kept = [array[mask] for array in arrays]
    penalty = getattr(jaxloss, name)

    def cost(curvature, arrays, **what_counts):
        return penalty(lambda x: quadratic(curvature, x) + jnp.log(jnp.sum(x**2)), *arrays, **what_counts)

    both = jax.jit(jax.value_and_grad(cost, (0, 1)))
    value, (slope, slopes) = both(0.7, spoilt, where=mask)
    true, (true_slope, true_slopes) = both(0.7, kept)
    np.testing.assert_allclose(value, true, rtol=2e-6)
    np.testing.assert_allclose(slope, true_slope, rtol=2e-6)
    for found, one in zip(slopes, true_slopes, strict=True):
        np.testing.assert_allclose(found[mask], one, rtol=1e-5, atol=1e-6)
        assert not found[~mask].any()
    assert penalty(functools.partial(quadratic, 1.0), *spoilt, where=np.zeros(N, bool)) == 0


@named
def test_weights(name, batch, rng):
    arrays, points = batch[name]
    weights = rng.uniform(size=N).astype(np.float32)
    cost = getattr(jaxloss, name)(functools.partial(quadratic, 0.7), *arrays, weights=weights)
    np.testing.assert_allclose(cost, np.average(per_example(name, 0.7, points), weights=weights), rtol=2e-6)


def test_dragan_aims_at_its_target(batch):
    (real, noise), points = batch["dragan_penalty"]
    norms = 1.4 * np.sqrt(np.sum(points**2, axis=(1, 2)))
    cost = jaxloss.dragan_penalty(functools.partial(quadratic, 0.7), real, noise, target=3.0)
    np.testing.assert_allclose(cost, np.mean((norms - 3) ** 2), rtol=2e-6)


def test_the_critic_sees_the_dtype_of_the_examples():
    seen = []

    def critic(x):
        seen.append(x.dtype)
        return jnp.sum(x * x)

    value = jaxloss.r1_penalty(critic, jnp.ones((N, *SHAPE), jnp.bfloat16))
    assert set(seen) == {jnp.dtype(jnp.bfloat16)}
    assert value.dtype == jnp.float32
    assert value == 12


@named
def test_a_critic_of_batches_is_refused(name, batch):
    with pytest.raises(ValueError, match="one example"):
        getattr(jaxloss, name)(lambda x: jnp.sum(x, axis=-1), *batch[name][0])


def test_shapes_are_contracts(batch):
    real, fake, share = batch["wgan_gradient_penalty"][0]
    for arrays in ((real, fake[:, :2], share), (real, fake, share[:, None]), (real, fake[:2], share)):
        with pytest.raises(ValueError, match="wgan_gradient_penalty"):
            jaxloss.wgan_gradient_penalty(functools.partial(quadratic, 1.0), *arrays)


def test_they_are_functions_and_not_losses():
    assert not set(NAMES) & set(jaxloss.catalogue)
