"""Half a square, for the losses of a discriminator that still call it."""

from typing import Any

import jax

from jaxloss.numerics.elementary import inlined
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def half_square(error: Array) -> Array:
    r"""Half the square of the error, halved first, since the square alone may overflow.

    $$ \tfrac12 e^2 $$

    >>> print(half_square(jax.numpy.array(3.0)))
    4.5
    """
    return 0.5 * error * error


@half_square.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error,), (de,) = primals, tangents
    return half_square(error), error * de
