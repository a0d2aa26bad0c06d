"""What a loss holds in memory beside inputs and outputs, against optax: counts of the compiler, nothing is run.

python benchmarks/temporaries.py
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxloss

ELEMENTS, ROWS, CLASSES = 2**22, 1024, 4096

VECTOR = jax.ShapeDtypeStruct((ELEMENTS,), jnp.float32)
MASK = jax.ShapeDtypeStruct((ELEMENTS,), jnp.bool_)
LOGITS = jax.ShapeDtypeStruct((ROWS, CLASSES), jnp.float32)
LABELS = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
ROW_MASK = jax.ShapeDtypeStruct((ROWS,), jnp.bool_)

PAIRS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "squared_error": (optax.squared_error, (VECTOR, VECTOR), MASK),
    "huber": (optax.huber_loss, (VECTOR, VECTOR), MASK),
    "sigmoid_binary_cross_entropy": (optax.sigmoid_binary_cross_entropy, (VECTOR, VECTOR), MASK),
    "softmax_cross_entropy": (optax.softmax_cross_entropy, (LOGITS, LOGITS), ROW_MASK),
    "softmax_cross_entropy_with_integer_labels": (
        optax.softmax_cross_entropy_with_integer_labels,
        (LOGITS, LABELS),
        ROW_MASK,
    ),
}


def temporaries(cost: Callable[..., jax.Array], *arrays: Any) -> tuple[float, float]:
    """MiB of temporaries for the value, and for value and gradient in the first array."""
    compiled = (jax.jit(f).lower(*arrays).compile() for f in (cost, jax.value_and_grad(cost)))
    value, gradient = (c.memory_analysis().temp_size_in_bytes / 2**20 for c in compiled)
    return value, gradient


def main() -> None:
    """Prints one row a loss: jaxloss, jaxloss with a mask, and the mean of what optax returns."""
    print(f"MiB of temporaries, jax {jax.__version__} on {jax.default_backend()}: value, value and gradient")
    print(f"{'loss':<44}{'jaxloss':>16}{'with where=':>16}{'optax':>16}")
    for name, (peer, arrays, mask) in PAIRS.items():
        loss = jaxloss.catalogue[name]
        measured = (
            temporaries(loss, *arrays),
            temporaries(lambda *a, loss=loss: loss(*a[:-1], where=a[-1]), *arrays, mask),
            temporaries(lambda *a, peer=peer: jnp.mean(peer(*a)), *arrays),
        )
        print(f"{name:<44}" + "".join(f"{value:>8.1f}{gradient:>8.1f}" for value, gradient in measured))


if __name__ == "__main__":
    main()
