"""What the losses of images and sounds are known to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0.1, 0.9, (12, 13, 2)).astype(np.float32)


def test_a_bright_flat_patch_has_no_negative_variance():
    bright = np.full((12, 12, 1), 1.0, np.float32)
    other = bright.copy()
    other[4, 5] -= 1e-4
    value, slope = jax.jit(jax.value_and_grad(jaxloss.ssim))(other, bright)
    assert 0 < value < 1e-6
    assert np.isfinite(slope).all()


def test_equal_images_cost_nothing():
    value, slope = jax.jit(jax.value_and_grad(jaxloss.ssim))(IMAGE, IMAGE)
    assert value == 0
    assert not np.any(slope)


def test_bytes_have_a_range_of_their_own():
    whole = np.round(IMAGE * 255).astype(np.uint8)
    other = np.clip(whole + RNG.integers(-9, 9, whole.shape), 0, 255).astype(np.uint8)
    as_floats = jaxloss.ssim(whole / np.float32(255), other / np.float32(255))
    np.testing.assert_allclose(jaxloss.ssim(whole, other, max_value=255.0), as_floats, rtol=1e-4)


def test_opposite_structure_costs_ms_ssim_one():
    wave = np.where(np.add.outer(np.arange(12), np.arange(12)) % 2, 0.8, 0.2)[..., None].astype(np.float32)
    options = {"window_size": 5, "scale_weights": (0.5, 0.5)}
    value, slope = jax.jit(jax.value_and_grad(lambda x: jaxloss.ms_ssim(x, wave, **options)))(jnp.asarray(1 - wave))
    assert value == 1
    assert not np.any(slope)


def test_the_gradient_of_ssim_keeps_no_image_for_each_place_of_a_window():
    image = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    compiled = jax.jit(jax.value_and_grad(jaxloss.ssim)).lower(image, image).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 24 * 4 * image.size


def test_a_window_has_a_slope_in_its_width():
    with jax.enable_x64(True):
        other = jnp.asarray(np.roll(IMAGE, 1, 0), jnp.float64)

        def cost(image, sigma):
            return jaxloss.ssim(image, other, sigma=sigma)

        image, step = jnp.asarray(IMAGE, jnp.float64), 1e-5
        in_image, in_sigma = jax.jit(jax.grad(cost, (0, 1)))(image, 1.5)
        ends = [jax.jit(jax.value_and_grad(cost))(image, 1.5 + side) for side in (-step, step)]
        np.testing.assert_allclose(in_sigma, (ends[1][0] - ends[0][0]) / (2 * step), rtol=1e-7)
        mixed = jax.jit(jax.jacfwd(jax.grad(cost), 1))(image, 1.5)
        np.testing.assert_allclose(mixed, (ends[1][1] - ends[0][1]) / (2 * step), rtol=1e-4, atol=1e-9)
        assert np.abs(in_image).max() > 1e-4


def test_silence():
    silent, tone = jnp.zeros(64), jnp.sin(jnp.arange(64.0))
    sizes = {"fft_sizes": (16,), "hop_sizes": (4,), "window_sizes": (16,)}
    value, slope = jax.jit(jax.value_and_grad(lambda x: jaxloss.multi_resolution_stft(x, silent, **sizes)))(silent)
    assert value == 0
    assert not np.any(slope)
    for pair in ((silent, tone), (tone, silent)):
        value, slope = jax.jit(jax.value_and_grad(jaxloss.scale_invariant_sdr))(*pair)
        assert value == np.inf
        assert not np.isnan(slope).any()


@pytest.mark.parametrize("level", [1e-2, 1e-5])
def test_a_distortion_is_right_down_to_100_decibels(level):
    tone = np.zeros(64, np.float32)
    tone[::2] = 1
    noise = np.zeros(64, np.float32)
    noise[1::2] = level
    found = jaxloss.scale_invariant_sdr(3 * (tone + noise), tone)
    np.testing.assert_allclose(found, 20 * np.log10(level), rtol=1e-5)
