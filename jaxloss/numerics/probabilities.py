"""Entropies of a probability in [0, 1], exact at 0 and at 1."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import (
    apart,
    finite_slope,
    inlined,
    log1p,
    multiply_no_nan,
    ratio,
    safe_log,
    safe_log1p,
)
from jaxloss.types import Array


def log_probability(p: Array, complement: Array) -> Array:
    """The logarithm of a probability, of whichever of p and 1 - p is small."""
    low = p < 0.5
    return jnp.where(low, safe_log(jnp.where(low, p, 1)), safe_log1p(-jnp.where(low, 0, complement)))
