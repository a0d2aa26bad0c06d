"""How the losses of images and sounds are drawn: regions of pixels, boxes, images, waves; parts of `views`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxloss.cli import scenes
from jaxloss.cli.view import Item, Scene, View, constant, each, row, view
from jaxloss.types import Array

_HALF_WIDTHS = np.array([0, 0, 0, 2, 3, 3, 3, 3, 2, 0, 0, 0])[:, None]
"""A disc of 32 pixels in the middle of the frame: how far each row of it reaches from its centre."""
_COLUMNS = np.arange(scenes.FRAME[1])[None]
_MIDDLE = scenes.FRAME[1] / 2


def _disc(x: Array) -> Array:
    """How much of each pixel the disc covers when it is moved by x, the rows of the frame one after the other."""
    left, right = (jnp.asarray(_MIDDLE + side * _HALF_WIDTHS, x.dtype) + x for side in (-1, 1))
    columns = jnp.asarray(_COLUMNS, x.dtype)
    return jnp.clip(jnp.minimum(columns + 1, right) - jnp.maximum(columns, left), 0, 1).reshape(-1)


def _where(x: Array, inside: Any, outside: Any) -> Array:
    """One number in the true disc, and one outside it."""
    return jnp.where(_disc(0 * x) > 0, inside, jnp.asarray(outside, x.dtype))


def _shifts(item: Item, draw: Callable[..., None] = scenes.regions) -> View:
    scene = Scene(draw, [("", -6), ("", -2), ("", 0)], scenes.REGIONS)
    return view("shift of a predicted disc of 32 pixels over the true one (pixels)", -6.5, 6.5, item).showing(scene)


def _regions(of: Callable[[Array, Array], tuple[Any, ...]]) -> tuple[View, ...]:
    """The loss of a probability for each pixel; `of` brings probabilities and truth into its arrays."""
    return (
        _shifts(lambda x: of(_disc(x), _disc(0 * x))),
        view(
            "probability in the true disc, 32 of 240 pixels",
            0,
            1,
            **{
                f"{outside:g} outside": lambda x, outside=outside: of(_where(x, x, outside), _disc(0 * x))
                for outside in (0.1, 0.5)
            },
        ).showing(
            Scene(scenes.regions, [("0.1 outside", 0.1), ("0.1 outside", 0.9), ("0.5 outside", 0.9)], scenes.REGIONS)
        ),
    )


def _two_classes(p: Array) -> Array:
    return jnp.stack([1 - p, p], -1)


def _halves(x: Array) -> Array:
    """Logits of the disc: x in its left half."""
    left = jnp.asarray(np.tile(_COLUMNS < _MIDDLE, (scenes.FRAME[0], 1)).reshape(-1))
    return _where(x, jnp.where(left, x, 1), -1)


def _of_logits(axes: Any, logits: Any, labels: Any) -> None:
    scenes.regions(axes, 1 / (1 + np.exp(-logits)), labels)


def _distances(x: Array) -> Array:
    """Signed distances of the pixels from the rim of the disc when it is moved by x."""
    rows, columns = (jnp.arange(size, dtype=x.dtype) + (1 - size) / 2 for size in scenes.FRAME)
    return (jnp.hypot(rows[:, None], columns[None] - x) - 3.2).reshape(-1)


_BOX = (0.0, 0.0, 4.0, 3.0)

_PLACE = np.add.outer(np.arange(24.0), 2 * np.arange(24.0))[..., None] / 72
"""An image that grows brighter from one corner to the other."""
_NOISE = np.sin(37 * _PLACE**2 + 5)


def _with(x: Array, change: np.ndarray) -> tuple[Array, Array]:
    image = jnp.asarray(_PLACE, x.dtype)
    return image + x * jnp.asarray(change, x.dtype), image


_WAVE = np.sin(0.7 * np.arange(64))
_OTHER = np.cos(1.9 * np.arange(64) + 0.2)


def _with_noise(x: Array) -> tuple[Array, Array]:
    wave = jnp.asarray(_WAVE, x.dtype)
    return wave + x * jnp.asarray(_OTHER, x.dtype), wave


OF_ARRAYS: dict[str, tuple[View, ...]] = {
    "prediction(h,w,c), target(h,w,c)": (
        view(
            "size of a change of an image of 24 by 24 pixels, from 0 to 1",
            -0.5,
            0.5,
            noise=lambda x: _with(x, _NOISE),
            brightness=lambda x: _with(x, np.ones_like(_PLACE)),
            contrast=lambda x: _with(x, _PLACE - 0.5),
        ).showing(Scene(scenes.images, [("noise", 0.25), ("brightness", 0.25), ("contrast", 0.5)], scenes.IMAGES)),
    ),
    "prediction(h,w,c)": (
        view(
            "one of nine pixels, the others 0, 0.5, 1 in each row",
            -0.5,
            1.5,
            lambda x: (jnp.stack([row(0, 0.5, 1 + 0 * x), row(0, x, 1), row(0, 0.5, 1 + 0 * x)])[..., None],),
        ).showing(Scene(scenes.images, [("", 0), ("", 0.5), ("", 1)], "the image, black at 0, white at 1")),
    ),
    "features(n,d), target(m,d)": (
        view(
            "a common factor of the features",
            -2,
            2,
            lambda x: (x * jnp.eye(2, dtype=x.dtype), jnp.eye(2, dtype=x.dtype)),
        ).showing(Scene(scenes.grams, [("", 0.5), ("", 1), ("", 1.4)], "Gram matrices, left of the features")),
    ),
    "prediction(t), target(t)": (
        view(
            "size of a noise beside a tone of size 1",
            -2,
            2,
            _with_noise,
        ).showing(Scene(scenes.waves, [("", -2), ("", 0), ("", 0.5)], scenes.BOXES)),
    ),
    "prediction(4), target(4)": (
        view(
            "shift of a box 4 wide along x, the true one is 4 by 3 at 0",
            -8,
            8,
            **{
                "3 high": lambda x: (row(x, 0, x + 4, 3), constant(x, *_BOX)),
                "1 high": lambda x: (row(x, 1, x + 4, 2), constant(x, *_BOX)),
            },
        ).showing(Scene(scenes.boxes, [("3 high", -6), ("3 high", -2), ("1 high", 0)], scenes.BOXES)),
        view(
            "width of a box 3 high with the centre of the true one, which is 4 wide",
            0,
            12,
            lambda x: (row(2 - x / 2, 0, 2 + x / 2, 3), constant(x, *_BOX)),
        ).showing(Scene(scenes.boxes, [("", 1), ("", 4), ("", 10)], scenes.BOXES)),
    ),
    "logits(k), target": (
        view(
            "place of the edge, in bins; the logits of the five bins are -1, 0, 2, 0, -1",
            0,
            4,
            lambda x: (constant(x, -1.0, 0.0, 2.0, 0.0, -1.0), x),
        ).showing(Scene(scenes.bins, [("", 0.5), ("", 2), ("", 3)], "probabilities of the bins, edge in orange")),
    ),
    "probabilities(n), targets(n)": _regions(lambda p, y: (p, y)),
    "probabilities(n,c), targets(n,c)": _regions(lambda p, y: (_two_classes(p), _two_classes(y))),
    "probabilities(n,c), labels(n)": _regions(lambda p, y: (_two_classes(p), y.astype(jnp.int32))),
    "probabilities, signed_distances": (
        View("probability of a pixel", 0, 1, each("signed distance", (2.0, 1.0, -1.0), lambda d, x: (x, 0 * x + d))),
        _shifts(lambda x: (_disc(x), _distances(0 * x)), lambda axes, p, d: scenes.regions(axes, p, d < 0)),
    ),
    "probabilities, targets, prediction_distances, target_distances": (
        View(
            "probability of a pixel outside the true region, at the boundary of the predicted one",
            0,
            1,
            each("distance", (1.0, 2.0), lambda d, x: (x, 0 * x, 0 * x, 0 * x + d)),
        ),
        _shifts(lambda x: (_disc(x), _disc(0 * x), jnp.abs(_distances(x)), jnp.abs(_distances(0 * x)))),
    ),
    "probabilities(n), targets(n), prediction_skeleton(n), target_skeleton(n)": _regions(
        lambda p, y: (p, y, p, y),
    ),
    "logits(n), labels(n)": (
        view(
            "logit in the left half of the true disc; it is 1 in the right half and -1 outside",
            -3,
            3,
            lambda x: (_halves(x), _disc(0 * x).astype(jnp.int32)),
        ).showing(Scene(_of_logits, [("", -3), ("", 0), ("", 3)], scenes.REGIONS)),
    ),
}

_QUALITIES = (View("logit", -6, 6, each("quality", (1.0, 0.5, 0.0), lambda y, x: (x, 0 * x + y))),)

OF_A_LOSS: dict[str, tuple[View, ...]] = {
    "quality_focal": _QUALITIES,
    "varifocal": _QUALITIES,
    "gaussian_focal": (View("logit", -6, 6, each("target", (1.0, 0.9, 0.0), lambda y, x: (x, 0 * x + y))),),
}

OPTION_OF_A_LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "dice": ("smooth", (0.0, 10.0)),
    "jaccard": ("smooth", (0.0, 10.0)),
    "tversky": ("alpha", (0.3, 0.7)),
    "focal_tversky": ("gamma", (0.5, 0.75, 2.0)),
    "generalized_dice": ("weighting", ("square", "uniform")),
    "hausdorff": ("alpha", (1.0, 2.0)),
    "ssim": ("sigma", (1.5, 3.0)),
    "quality_focal": ("beta", (1.0, 2.0)),
    "varifocal": ("gamma", (1.0, 2.0)),
    "gaussian_focal": ("alpha", (1.0, 2.0)),
}
