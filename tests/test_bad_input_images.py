"""Mistakes with the losses of images: what each is told."""

import numpy as np
import pytest

import jaxloss

IMAGE, ONES = np.full((4, 5), 0.5, np.float32), np.ones(4, np.float32)
CLASSES = np.full((4, 5, 3), 0.5, np.float32)
LABELS = np.zeros((4, 5), np.int32)


def call(loss, *arrays, **options):
    return lambda: loss(*arrays, **options)


MISTAKES = {
    # Segmentation: classes first or last, labels for targets, a mask of another axis, words of others.
    "dice-of-labels": (
        ValueError,
        call(jaxloss.dice, CLASSES, LABELS),
        ("dice: ", "(4, 5, 3)", "(4, 5)", "jax.nn.one_hot(targets, k)"),
    ),
    "dice-mask-of-integers": (
        TypeError,
        call(jaxloss.dice, IMAGE, IMAGE, LABELS),
        ("dice: pixel_mask ", "booleans", "int32", "pixel_mask != 0"),
    ),
    "dice-mask-of-images": (
        ValueError,
        call(jaxloss.dice, IMAGE, IMAGE, ONES > 0),
        ("dice: ", "pixel_mask", "(4,)"),
    ),
    "dice-ignore-index": (
        TypeError,
        call(jaxloss.dice, IMAGE, IMAGE, ignore_index=255),
        ("dice has no argument 'ignore_index'", "pixel_mask=targets != 255"),
    ),
    "dice-from-logits": (TypeError, call(jaxloss.dice, IMAGE, IMAGE, from_logits=True), ("dice", "probabilities")),
    "dice-overlap": (ValueError, call(jaxloss.dice, IMAGE, IMAGE, overlap="min"), ("dice: overlap", "'minimum'")),
    "dice-two-overlaps": (
        ValueError,
        call(jaxloss.dice, IMAGE, IMAGE, overlap="minimum", squared=True),
        ("dice: squared=True", "overlap='minimum'"),
    ),
    "dice-negative": (ValueError, call(jaxloss.dice, IMAGE, IMAGE, smooth=-1.0), ("dice: smooth", "-1.0")),
    "tversky-words": (TypeError, call(jaxloss.tversky, IMAGE, IMAGE, gamma=0.75), ("tversky has no argument 'gamma'",)),
    "focal-tversky-range": (
        ValueError,
        call(jaxloss.focal_tversky, IMAGE, IMAGE, gamma=0.0),
        ("focal_tversky: gamma", "> 0", "0.0"),
    ),
    "generalized-dice-of-labels": (
        ValueError,
        call(jaxloss.generalized_dice, CLASSES, LABELS),
        ("generalized_dice: ", "(4, 5)", "jax.nn.one_hot(targets, k)"),
    ),
    "generalized-dice-weighting": (
        ValueError,
        call(jaxloss.generalized_dice, CLASSES, CLASSES, weighting="linear"),
        ("generalized_dice: weighting", "'simple'", "'linear'"),
    ),
    "lovasz-one-hot": (
        TypeError,
        call(jaxloss.lovasz_softmax, CLASSES, CLASSES),
        ("lovasz_softmax: labels", "integer", "jnp.argmax(labels, -1)"),
    ),
    "lovasz-classes-first": (
        ValueError,
        call(jaxloss.lovasz_softmax, np.moveaxis(CLASSES, 2, 1), LABELS),
        ("lovasz_softmax: ", "(4, 3, 5)", "(4, 5)", "jnp.moveaxis(probabilities, -2, -1)"),
    ),
    "lovasz-classes": (
        ValueError,
        call(jaxloss.lovasz_softmax, CLASSES, LABELS, classes="some"),
        ("lovasz_softmax: classes", "'present' or 'all'", "'some'"),
    ),
    "lovasz-float-labels": (
        TypeError,
        call(jaxloss.lovasz_hinge, IMAGE, IMAGE),
        ("lovasz_hinge: labels", "integer", "labels.astype(int)"),
    ),
    # Detection: boxes of other lengths, all pairs at once, words of others.
    "iou-of-labels": (
        ValueError,
        call(jaxloss.iou, np.ones((2, 5), np.float32), np.ones((2, 5), np.float32)),
        ("iou: prediction has 5", "must have 4"),
    ),
    "giou-all-pairs": (
        ValueError,
        call(jaxloss.giou, np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)),
        ("giou: ", "(3, 4)", "(2, 4)", "nothing is broadcast"),
    ),
    "giou-eps": (
        TypeError,
        call(jaxloss.giou, np.ones((3, 4), np.float32), np.ones((3, 4), np.float32), eps=1e-7),
        ("giou has no argument 'eps'", "drop it"),
    ),
    "distribution-focal-of-one-hot": (
        ValueError,
        call(jaxloss.distribution_focal, IMAGE, IMAGE),
        ("distribution_focal: ", "target", "(4, 5)"),
    ),
    "quality-focal-of-labels": (
        ValueError,
        call(jaxloss.quality_focal, IMAGE, LABELS[:, 0]),
        ("quality_focal: ", "(4, 5)", "(4,)"),
    ),
    "quality-focal-range": (
        ValueError,
        call(jaxloss.quality_focal, IMAGE, IMAGE, beta=-1.0),
        ("quality_focal: beta", ">= 0", "-1.0"),
    ),
    # Images and sounds: images without channels or too small, sizes that do not go together.
    "ssim-too-small": (
        ValueError,
        call(jaxloss.ssim, CLASSES, CLASSES),
        ("ssim: ", "at least 11 pixels", "window_size=11", "(4, 5, 3)"),
    ),
    "ssim-channels-first": (
        ValueError,
        call(jaxloss.ssim, np.ones((3, 16, 16), np.float32), np.ones((3, 16, 16), np.float32)),
        ("ssim: ", "(3, 16, 16)", "jnp.moveaxis(image, -3, -1)"),
    ),
    "ssim-grey": (ValueError, call(jaxloss.ssim, IMAGE, IMAGE), ("ssim: prediction", "(h, w, c)", "(4, 5)")),
    "ssim-data-range": (
        TypeError,
        call(jaxloss.ssim, CLASSES, CLASSES, data_range=255),
        ("ssim has no argument 'data_range'", "'max_value'"),
    ),
    "ms-ssim-too-small": (
        ValueError,
        call(jaxloss.ms_ssim, np.ones((64, 64, 1), np.float32), np.ones((64, 64, 1), np.float32)),
        ("ms_ssim: ", "at least 176 pixels", "5 scales", "(64, 64, 1)"),
    ),
    "stft-too-short": (
        ValueError,
        call(jaxloss.multi_resolution_stft, ONES, ONES),
        ("multi_resolution_stft: ", "half a transform of 2048", "4 samples"),
    ),
    "stft-sizes": (
        ValueError,
        call(jaxloss.multi_resolution_stft, ONES, ONES, fft_sizes=(4,)),
        ("multi_resolution_stft: ", "one for each resolution", "1, 3 and 3"),
    ),
}


@pytest.mark.parametrize(("error", "mistake", "parts"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_a_sentence(error, mistake, parts):
    with pytest.raises(error) as caught:
        mistake()
    message = str(caught.value)
    assert caught.type is error, f"{caught.type.__name__}: {message}"
    for part in parts:
        assert part in message, f"{part!r} is not in: {message}"
    assert "\n" not in message
