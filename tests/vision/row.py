"""What is compared: a row of each table is a loss beside that of a peer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Row(NamedTuple):
    """A loss beside what a peer has of it.

    Attributes:
        name: Of ours and of the peer, and of what is set.
        ours: From arrays in float32 to a number.
        theirs: From tensors in float64 to the same number.
        draw: From a generator to the arrays.
        slopes: The positions of the arrays whose gradients are compared.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    slopes: tuple[int, ...] = (0,)
