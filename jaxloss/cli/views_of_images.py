"""How the losses of images are drawn: regions of pixels, boxes, scores of a detector; parts of `views`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxloss.cli.view import View, constant, each, row, view
from jaxloss.types import Array

_REGION = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
"""Ten pixels in a line, of which four are in the region."""


def _where(x: Array, inside: Any, outside: Any) -> Array:
    return row(*(inside if pixel else outside for pixel in _REGION), 0 * x)[:-1]


def _shifted(x: Array) -> Array:
    """How much of each pixel the region covers when it is moved by x."""
    left = jnp.arange(len(_REGION), dtype=x.dtype) - 3 - x
    return jnp.clip(jnp.minimum(left + 1, 4 - left), 0, 1)


def _regions(of: Callable[[Array, Array], tuple[Any, ...]]) -> tuple[View, ...]:
    """The loss of a probability for each pixel; `of` brings probabilities and truth into its arrays."""
    return (
        view(
            "shift of a predicted region of 4 pixels over the true one (pixels)",
            -6,
            6,
            lambda x: of(_shifted(x), constant(x, *_REGION)),
        ),
        view(
            "probability in the true region, 4 of 10 pixels",
            0,
            1,
            **{
                f"{outside:g} outside": lambda x, outside=outside: of(_where(x, x, outside), constant(x, *_REGION))
                for outside in (0.1, 0.5)
            },
        ),
    )


def _two_classes(p: Array) -> Array:
    return jnp.stack([p, 1 - p], -1)


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
        ),
    ),
    "prediction(h,w,c)": (
        view(
            "one of nine pixels, the others 0, 1, 2 in each row",
            -1,
            4,
            lambda x: (jnp.stack([row(0, 1, 2 + 0 * x), row(0, x, 2), row(0, 1, 2 + 0 * x)])[..., None],),
        ),
    ),
    "features(n,d), target(m,d)": (
        view(
            "a common factor of the features",
            -2,
            2,
            lambda x: (x * jnp.eye(2, dtype=x.dtype), jnp.eye(2, dtype=x.dtype)),
        ),
    ),
    "prediction(t), target(t)": (view("size of a noise beside a tone of size 1", -2, 2, _with_noise),),
    "prediction(4), target(4)": (
        view(
            "shift of a box 4 wide along x, the true one is 4 by 3 at 0",
            -8,
            8,
            **{
                "3 high": lambda x: (row(x, 0, x + 4, 3), constant(x, *_BOX)),
                "1 high": lambda x: (row(x, 1, x + 4, 2), constant(x, *_BOX)),
            },
        ),
        view(
            "width of a box 3 high with the centre of the true one, which is 4 wide",
            0,
            12,
            lambda x: (row(2 - x / 2, 0, 2 + x / 2, 3), constant(x, *_BOX)),
        ),
    ),
    "logits(k), target": (
        view(
            "place of the edge, in bins; the logits of the five bins are -1, 0, 2, 0, -1",
            0,
            4,
            lambda x: (constant(x, -1.0, 0.0, 2.0, 0.0, -1.0), x),
        ),
    ),
    "probabilities(n), targets(n)": _regions(lambda p, y: (p, y)),
    "probabilities(n,c), targets(n,c)": _regions(lambda p, y: (_two_classes(p), _two_classes(y))),
    "probabilities(n,c), labels(n)": _regions(lambda p, y: (_two_classes(p), 1 - y.astype(jnp.int32))),
    "probabilities, signed_distances": (
        View("probability of a pixel", 0, 1, each("signed distance", (2.0, 1.0, -1.0), lambda d, x: (x, 0 * x + d))),
    ),
    "probabilities, targets, prediction_distances, target_distances": (
        View(
            "probability of a pixel outside the true region, at the boundary of the predicted one",
            0,
            1,
            each("distance", (1.0, 2.0), lambda d, x: (x, 0 * x, 0 * x, 0 * x + d)),
        ),
    ),
    "probabilities(n), targets(n), prediction_skeleton(n), target_skeleton(n)": _regions(
        lambda p, y: (p, y, p, y),
    ),
    "logits(n), labels(n)": (
        view(
            "logit of one pixel of the true region, the other three have 1; -1 outside",
            -3,
            3,
            lambda x: (row(-1, -1, -1, x, 1, 1, 1, -1, -1, -1), jnp.asarray(_REGION, jnp.int32)),
        ),
    ),
}

_QUALITIES = (View("logit", -6, 6, each("quality", (1.0, 0.5, 0.0), lambda y, x: (x, 0 * x + y))),)

OF_A_LOSS: dict[str, tuple[View, ...]] = {
    "quality_focal": _QUALITIES,
    "varifocal": _QUALITIES,
    "gaussian_focal": (View("logit", -6, 6, each("target", (1.0, 0.9, 0.0), lambda y, x: (x, 0 * x + y))),),
}

OPTION_OF_A_LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "dice": ("smooth", (0.0, 1.0)),
    "jaccard": ("smooth", (0.0, 1.0)),
    "tversky": ("alpha", (0.3, 0.7)),
    "focal_tversky": ("gamma", (0.5, 0.75, 2.0)),
    "generalized_dice": ("weighting", ("square", "uniform")),
    "hausdorff": ("alpha", (1.0, 2.0)),
    "ssim": ("sigma", (1.5, 3.0)),
    "quality_focal": ("beta", (1.0, 2.0)),
    "varifocal": ("gamma", (1.0, 2.0)),
    "gaussian_focal": ("alpha", (1.0, 2.0)),
}
