"""The head of a language model, compiled for a TPU v5e and an H100 without either: bytes, memory and products.

python benchmarks/linear_head_chips.py; `make chips-head` runs it in the environment that has both compilers. It writes
linear_head_chips.json, of which linear_head.py makes a part of its page and the notebook of the language model a
picture.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from compiled import CHIPS, Chip
from linear_head import products
from measured import versions

import jaxloss

STORED = Path(__file__).with_suffix(".json")
ROWS, DEPTH, VOCABULARIES = 8192, 4096, (8192, 32768, 50257, 131072)
BRANCHES = {"tpu": 1, "h100": 2}


def dense(hidden: Any, labels: Any, kernel: Any) -> jax.Array:
    """All logits in float32, by optax."""
    logits = jnp.matmul(hidden, kernel, preferred_element_type=jnp.float32)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def ours(strategy: str) -> Any:
    """Our head by one strategy."""
    return lambda hidden, labels, kernel: jaxloss.linear_softmax_cross_entropy(
        hidden, labels, kernel, strategy=strategy
    )


def main() -> None:
    """Compiles every form for each chip and vocabulary, and stores what was counted."""
    forms = {"dense": dense} | {name: ours(name) for name in ("fast", "slope", "small")}
    found = []
    for chip in map(Chip, CHIPS):
        for classes in VOCABULARIES:
            arrays = {
                "hidden": jax.ShapeDtypeStruct((ROWS, DEPTH), jnp.bfloat16),
                "labels": jax.ShapeDtypeStruct((ROWS,), jnp.int32),
                "kernel": jax.ShapeDtypeStruct((DEPTH, classes), jnp.bfloat16),
            }
            programs = [("value", name) for name in ("dense", "fast")] + [
                ("value and gradient", name) for name in forms
            ]
            for what, name in programs:
                cost = forms[name] if what == "value" else jax.value_and_grad(forms[name], (0, 2))
                program = chip.program(cost, arrays)
                dots = products(cost, *arrays.values(), branch=BRANCHES[chip.name]) / (ROWS * DEPTH * classes)
                found.append(
                    {
                        "chip": chip.name,
                        "classes": classes,
                        "what": what,
                        "form": "ours" if what == "value" and name == "fast" else name,
                        "moved": program.moved,
                        "kept": program.kept,
                        "products": round(dots, 3),
                    }
                )
                print(found[-1], flush=True)
    lines = ",\n  ".join(map(json.dumps, found))
    shape = {"rows": ROWS, "depth": DEPTH, "dtype": "bfloat16", "versions": versions()}
    STORED.write_text(f'{{"shape": {json.dumps(shape)},\n "programs": [\n  {lines}\n]}}\n')


if __name__ == "__main__":
    main()
