"""The centre lines of a region, by minima and maxima over neighbours, which have slopes."""

import functools
import itertools

import jax
import jax.numpy as jnp

from jaxloss.numerics.safe import positive_part
from jaxloss.types import Array


def soft_skeleton(image: Array, *, iterations: int = 3, axes: int = 2) -> Array:
    r"""The centre lines of the bright structures of an image, in [0, 1] as the image is.

    $$ S_0 = (I - \mathrm{open}\,I)_+, \qquad S \leftarrow S + \bigl(D - S D\bigr)_+, \quad
       D = (E - \mathrm{open}\,E)_+, \quad E \leftarrow \mathrm{erode}\,E $$

    Eroding takes the minimum over a pixel and its neighbours along each axis, dilating the maximum over the cube of
    pixels around it, and opening erodes and then dilates. What is outside the image has no say.

    Args:
        image: Of shape `[..., h, w]`, or `[..., d, h, w]` for `axes=3`, in [0, 1].
        iterations: How often the image is eroded: as many pixels as the largest radius, or thick structures keep
            their core.
        axes: How many of the last axes are those of the image.

    Among equal neighbours the slope is shared. After Shit et al. (2021), clDice, algorithm 1.

    >>> line = jnp.zeros((5, 5)).at[1:4].set(1.0)
    >>> print(soft_skeleton(line, iterations=1)[2])
    [1. 1. 1. 1. 1.]
    """
    if image.ndim < axes:
        raise ValueError(f"soft_skeleton: the image must have at least {axes} axes, got shape {image.shape}.")
    skeleton = _beyond_opening(image, axes)
    for _ in range(iterations):
        image = _erode(image, axes)
        rest = _beyond_opening(image, axes)
        skeleton += positive_part(rest - skeleton * rest)
    return skeleton


def _beyond_opening(image: Array, axes: int) -> Array:
    return positive_part(image - _dilate(_erode(image, axes), axes))


def _erode(image: Array, axes: int) -> Array:
    for_each = (_moved(image, -axis, jnp.inf) for axis in range(1, axes + 1))
    return functools.reduce(jnp.minimum, itertools.chain.from_iterable(for_each), image)


def _dilate(image: Array, axes: int) -> Array:
    for axis in range(1, axes + 1):  # the cube is that of its axes, one after the other
        image = functools.reduce(jnp.maximum, _moved(image, -axis, -jnp.inf), image)
    return image


def _moved(image: Array, axis: int, outside: float) -> tuple[Array, Array]:
    """The neighbours of each pixel along an axis, to either side."""
    width = [(int(k == axis % image.ndim),) * 2 for k in range(image.ndim)]
    padded = jnp.pad(image, width, constant_values=outside)
    before, after = (jax.lax.slice_in_dim(padded, start, start + image.shape[axis], axis=axis) for start in (0, 2))
    return before, after
