"""How the losses of images are drawn: regions of pixels; parts of `views`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxloss.cli.view import View, constant, row, view
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


OF_ARRAYS: dict[str, tuple[View, ...]] = {
    "probabilities(n), targets(n)": _regions(lambda p, y: (p, y)),
    "probabilities(n,c), targets(n,c)": _regions(lambda p, y: (_two_classes(p), _two_classes(y))),
    "probabilities(n,c), labels(n)": _regions(lambda p, y: (_two_classes(p), 1 - y.astype(jnp.int32))),
    "logits(n), labels(n)": (
        view(
            "logit of one pixel of the true region, the other three have 1; -1 outside",
            -3,
            3,
            lambda x: (row(-1, -1, -1, x, 1, 1, 1, -1, -1, -1), jnp.asarray(_REGION, jnp.int32)),
        ),
    ),
}

OPTION_OF_A_LOSS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "dice": ("smooth", (0.0, 1.0)),
    "jaccard": ("smooth", (0.0, 1.0)),
    "tversky": ("alpha", (0.3, 0.7)),
    "focal_tversky": ("gamma", (0.5, 0.75, 2.0)),
    "generalized_dice": ("weighting", ("square", "uniform")),
}
