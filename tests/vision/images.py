"""Boxes, images and waveforms: MONAI, kornia and torchmetrics. Their channels are first, ours last."""

import jax.numpy as jnp
import kornia.losses
import monai.losses
import monai.metrics
import numpy as np
import torchmetrics.functional as torchmetrics

import jaxloss
from vision.row import Row


def _last(x):
    """`[b, c, h, w]` with the channels last."""
    return jnp.moveaxis(x, 1, -1)


def _boxes(rng):
    low = rng.uniform(0, 2, (2, 20, 2))
    return tuple(np.concatenate([low, low + rng.uniform(0.5, 2, low.shape)], -1))


def _images(rng, channels=3, side=15):
    image = rng.uniform(0, 1, (2, channels, side, side + 1))
    return np.clip(image + 0.2 * rng.normal(size=image.shape), 0, 1), image


def _waveforms(rng):
    target = rng.normal(size=(3, 200)) + 0.3
    return 0.7 * target + 0.2 * rng.normal(size=target.shape), target


def _ms_ssim_of_monai(x, y):
    options = {"kernel_size": 5, "kernel_sigma": 1.1, "weights": (0.3, 0.4, 0.3)}
    return 1 - monai.metrics.regression.compute_ms_ssim(x, y, 2, **options).mean()


IMAGES = (
    # MONAI computes in float32 whatever it is given.
    Row("giou-monai", jaxloss.giou, monai.losses.BoxGIoULoss(), _boxes),
    # kornia halves it, and its window has the deviation 1.5.
    Row(
        "ssim-kornia",
        lambda x, y: jaxloss.ssim(_last(x), _last(y)),
        lambda x, y: 2 * kornia.losses.ssim_loss(x, y, 11, padding="valid"),
        _images,
        slopes=(0, 1),
    ),
    # MONAI computes in float32.
    Row(
        "ssim-monai",
        lambda x, y: jaxloss.ssim(_last(x), _last(y), max_value=2.0, window_size=7, sigma=1.2, k1=0.02, k2=0.04),
        monai.losses.SSIMLoss(2, data_range=2.0, win_size=7, kernel_sigma=1.2, k1=0.02, k2=0.04),
        _images,
    ),
    # MONAI computes in float32, and takes the mean over channels before the product, as ours after it: so one channel.
    Row(
        "ms_ssim-monai",
        lambda x, y: jaxloss.ms_ssim(_last(x), _last(y), window_size=5, sigma=1.1, scale_weights=(0.3, 0.4, 0.3)),
        _ms_ssim_of_monai,
        lambda rng: _images(rng, 1, 24),
    ),
    # kornia gives a value for each channel.
    Row(
        "total_variation-kornia",
        lambda x: jaxloss.total_variation(_last(x)),
        lambda x: kornia.losses.total_variation(x).sum(1).mean(),
        lambda rng: _images(rng)[:1],
    ),
    Row(
        "total_variation-torchmetrics",
        lambda x: jaxloss.total_variation(_last(x)),
        lambda x: torchmetrics.total_variation(x, "mean"),
        lambda rng: _images(rng)[:1],
    ),
    # torchmetrics has the ratio itself, of which ours is the negative.
    *(
        Row(
            f"scale_invariant_sdr-zero_mean={zero_mean}-torchmetrics",
            lambda x, y, zero_mean=zero_mean: jaxloss.scale_invariant_sdr(x, y, zero_mean=zero_mean),
            lambda x, y, zero_mean=zero_mean: (
                -torchmetrics.scale_invariant_signal_distortion_ratio(x, y, zero_mean).mean()
            ),
            _waveforms,
        )
        for zero_mean in (False, True)
    ),
)
