"""What the head of a language model moves and keeps, in units of its logits in float32 and of its arrays."""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxloss import linear_softmax_cross_entropy, reduce

ROWS, DEPTH, CLASSES = 4096, 2048, 16384


def arrays(classes):
    return {
        "hidden": jax.ShapeDtypeStruct((4, ROWS // 4, DEPTH), jnp.bfloat16),
        "labels": jax.ShapeDtypeStruct((4, ROWS // 4), jnp.int32),
        "kernel": jax.ShapeDtypeStruct((DEPTH, classes), jnp.bfloat16),
    }


LOGITS, INPUTS = 4 * ROWS * CLASSES, 2 * DEPTH * (ROWS + CLASSES)
by_sequence = reduce(reduce(linear_softmax_cross_entropy, "sum", axis=-1), "none")


def _of_sequences(hidden, labels, kernel):
    return jnp.sum(jnp.sin(by_sequence(hidden, labels, kernel)))


@pytest.mark.parametrize(
    ("cost", "gradient", "moved", "kept"),
    [
        (linear_softmax_cross_entropy, False, {"tpu": 0.1, "h100": 2.8}, {"tpu": 0.05, "h100": 0.6}),
        (
            functools.partial(linear_softmax_cross_entropy, strategy="fast"),
            True,
            {"tpu": 4.2, "h100": 4.8},
            {"tpu": 1.1, "h100": 1.6},
        ),
        (
            functools.partial(linear_softmax_cross_entropy, strategy="slope"),
            True,
            {"tpu": 2.0, "h100": 6.2},
            {"tpu": 0.6, "h100": 1.6},
        ),
        (_of_sequences, True, {"tpu": 3.5, "h100": 7.2}, {"tpu": 1.1, "h100": 1.6}),
    ],
    ids=["value", "fast", "slope", "sequences"],
)
def test_moves_and_keeps_no_more_than_said(cost, gradient, moved, kept, chip):
    function = jax.value_and_grad(cost, (0, 2)) if gradient else cost
    program = chip.program(function, arrays(CLASSES))
    assert not program.endless
    assert program.moved <= moved[chip.name] * LOGITS + (3 if gradient else 1) * INPUTS
    assert program.kept <= kept[chip.name] * LOGITS


def test_tiles_of_an_odd_vocabulary(chip):
    """The last tile is as wide as the others, and part of their loop."""
    small = functools.partial(linear_softmax_cross_entropy, strategy="small")
    program = chip.program(jax.value_and_grad(small, (0, 2)), arrays(CLASSES - 3))
    assert not program.endless
    assert program.moved <= {"tpu": 3.3, "h100": 9.8}[chip.name] * LOGITS + 3 * INPUTS
    assert program.kept <= {"tpu": 0.5, "h100": 0.6}[chip.name] * LOGITS
