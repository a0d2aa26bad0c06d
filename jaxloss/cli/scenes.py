"""What a loss compares, drawn on axes of matplotlib: two regions, two boxes, two images, two waves."""

from typing import Any

import numpy as np

PREDICTED, TRUE = "#0072B2", "#D55E00"
REGIONS = "prediction in blue, target outlined"
BOXES = "prediction in blue, target in orange"
IMAGES = "left the prediction, right the target"
FRAME = (12, 20)
"""Rows and columns of the pixels of a region, which a loss takes flattened."""


def regions(axes: Any, probabilities: Any, truth: Any, *_: Any) -> None:
    """A probability for each pixel, and the outline of the truth; of two classes, the last is the region."""
    predicted, true = (_last_class(part).reshape(FRAME) for part in (probabilities, truth))
    _image(axes, predicted, "Blues", extent=(0, FRAME[1], FRAME[0], 0))
    # Each pixel many times, so that the outline keeps to the sides of the pixels.
    fine = np.kron(true, np.ones((16, 16)))
    sides = (np.linspace(0, size, 16 * size) for size in FRAME[::-1])
    axes.contour(*sides, fine, levels=[0.5], colors=TRUE, linewidths=1.8)


def boxes(axes: Any, prediction: Any, target: Any) -> None:
    """Two boxes (x1, y1, x2, y2)."""
    from matplotlib.patches import Rectangle

    looks: Any = {"facecolor": PREDICTED, "alpha": 0.5}, {"fill": False, "edgecolor": TRUE, "linewidth": 2}
    for (x1, y1, x2, y2), look in zip((prediction, target), looks, strict=True):
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **look))
    axes.set(xlim=(-8.5, 12.5), ylim=(-1, 4), aspect="equal")


def images(axes: Any, prediction: Any, *target: Any) -> None:
    """The first channel of one image or of two, `[h, w, c]`, from black at 0 to white at 1."""
    height, width, _ = prediction.shape
    for number, image in enumerate((prediction, *target)):
        left = 1.1 * width * number
        _image(axes, image[..., 0], "gray", extent=(left, left + width, height, 0))
    axes.set(xlim=(0, (1 + 1.1 * len(target)) * width), facecolor=PREDICTED)


def grams(axes: Any, features: Any, target: Any) -> None:
    """The products of the channels of features `[n, d]`, which are all that is seen of them."""
    images(axes, *((part.T @ part / len(part))[..., None] for part in (features, target)))


def waves(axes: Any, prediction: Any, target: Any) -> None:
    """Two waves."""
    axes.plot(prediction, color=PREDICTED, linewidth=1)
    axes.plot(target, color=TRUE, linewidth=1, linestyle="--")


def bins(axes: Any, logits: Any, target: Any) -> None:
    """The probabilities of the bins, and the place of an edge between them."""
    weights = np.exp(logits)
    axes.bar(np.arange(len(weights)), weights / weights.sum(), color=PREDICTED, alpha=0.5)
    axes.axvline(float(target), color=TRUE, linewidth=2)


def _last_class(part: np.ndarray) -> np.ndarray:
    return part[:, -1] if part.ndim == 2 else part


def _image(axes: Any, values: np.ndarray, colours: str, **options: Any) -> None:
    axes.imshow(values, cmap=colours, vmin=0, vmax=1, interpolation="nearest", **options)
