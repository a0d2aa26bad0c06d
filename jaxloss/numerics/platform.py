"""What a compiler has to be told, chosen by the platform a program is lowered for and not by the one that lowers it.

XLA for a CPU adds up a row in one loop if the summand is made of + - * / min max abs exp log and sqrt, and if nothing
that the loop reads is shared with another one; else it writes the summand to memory first. XLA for a GPU or a TPU needs
no such help. So there are two rules here, and losses meet them by name only: what a sum reads comes from a barrier on a
CPU, and a mask in a summand is a minimum.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.types import Array


def apart_on_cpu(*arrays: Array) -> tuple[Array, ...]:
    """The same arrays, on a CPU behind an optimization barrier: what reads them is a loop of its own there."""
    return jax.lax.platform_dependent(*arrays, cpu=lambda *xs: jax.lax.optimization_barrier(xs), default=lambda *xs: xs)


def row_sum(summand: Callable[..., Array], *operands: Any) -> Array:
    """The sum over the last axis, which is kept, of an arithmetic expression of the operands.

    These are arrays, numbers of a row (with a last axis of length 1) and constants. All that the expression reads is
    passed, not closed over.
    """
    return jnp.sum(summand(*apart_on_cpu(*map(jnp.asarray, operands))), axis=-1, keepdims=True)


def may_be_split(values: Array) -> bool:
    """Whether the last axis may be split over devices, where an entry cannot be read from its place."""
    return not jax.typeof(values).sharding.mesh.empty
