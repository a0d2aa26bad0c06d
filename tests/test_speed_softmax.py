"""What the compiler sets aside for a softmax cross entropy: counted, not timed."""

import jax
import jax.numpy as jnp
import pytest

from jaxloss import softmax_cross_entropy, softmax_cross_entropy_with_integer_labels

ROWS, CLASSES = 256, 2048
FULL = 4 * ROWS * CLASSES

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="the sizes are those of XLA on a CPU")


def temporaries(loss, logits, target, **options):
    program = jax.jit(lambda *arrays: loss(*arrays, **options)).lower(logits, target).compile()
    return program.memory_analysis().temp_size_in_bytes


@pytest.fixture
def logits():
    return jax.ShapeDtypeStruct((ROWS, CLASSES), jnp.float32)


@pytest.mark.parametrize("options", [{}, {"z_loss": 1e-4}], ids=str)
def test_the_value_at_labels_takes_nothing_of_the_size_of_the_logits(logits, options):
    labels = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
    assert temporaries(softmax_cross_entropy_with_integer_labels, logits, labels, **options) < FULL / 16


def test_nor_does_the_gradient(logits):
    labels = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
    value_and_grad = jax.value_and_grad(softmax_cross_entropy_with_integer_labels)
    assert temporaries(value_and_grad, logits, labels) < FULL / 16


def test_a_target_distribution_takes_two_of_that_size_at_most(logits):
    assert temporaries(softmax_cross_entropy, logits, logits) < 2.25 * FULL
    assert temporaries(jax.value_and_grad(softmax_cross_entropy), logits, logits) < 2.25 * FULL


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.uint32])
def test_labels_of_few_bits_are_read_in_many_classes(dtype):
    logits = jax.random.normal(jax.random.key(0), (3, 1000))
    wide, narrow = jnp.array([0, 5, 100]), jnp.array([0, 5, 100], dtype)
    expected = jax.value_and_grad(softmax_cross_entropy_with_integer_labels)(logits, wide)
    actual = jax.value_and_grad(softmax_cross_entropy_with_integer_labels)(logits, narrow)
    assert all(jnp.array_equal(a, b) for a, b in zip(actual, expected, strict=True))
