"""What the compiler counts: a loss of elements is one pass, and writes nothing of their size to memory on the way.

Counts are exact, whatever else the machine is doing. Times are in `benchmarks/losses.py`.
"""

import jax
import jax.numpy as jnp
import pytest

import jaxloss

ELEMENTS = 2**20

counted = pytest.mark.skipif(jax.default_backend() != "cpu", reason="counts of XLA on a CPU")

# In arrays of the size of the data: those of the value, and of value and gradient.
TEMPORARIES = {
    "squared_error": (0, 0),
    "absolute_error": (0, 0),
    "squared_log_error": (0, 0.25),
    "huber": (0, 0),
    "smooth_l1": (0, 0),
    "log_cosh": (0, 0),
    "pseudo_huber": (0, 0),
    "charbonnier": (0, 0),
    "cauchy": (0, 0),
    "geman_mcclure": (0, 0),
    "welsch": (0, 0),
    "binary_cross_entropy": (0, 0),
    "sigmoid_binary_cross_entropy": (0, 0),
    "sigmoid_focal": (0, 0),
    "hinge": (0, 0),
    "squared_hinge": (0, 0),
    "perceptron": (0, 0),
    "generalized_kl_divergence": (1, 1),
    "kl_divergence": (0, 0),
    "poly_cross_entropy": (0.2, 1.2),
    "total_variation_distance": (0, 0),
}


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", TEMPORARIES)
def test_temporaries(name, gradient):
    loss = jaxloss.catalogue[name]
    shape = (ELEMENTS,) if loss.signature is None else (ELEMENTS // 1024, 1024)
    array = jax.ShapeDtypeStruct(shape, jnp.float32)
    cost = jax.value_and_grad(loss) if gradient else loss
    memory = jax.jit(cost).lower(array, array).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 4 * ELEMENTS * (TEMPORARIES[name][gradient] + 0.05)


OF_LABELS = jaxloss.softmax_cross_entropy_with_integer_labels
OF_TARGETS = jaxloss.softmax_cross_entropy
OPTIONS = [{}, {"z_loss": 1e-4}, {"label_smoothing": 0.1}, {"label_smoothing": 0.1, "z_loss": 1e-4}]


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("classes", [1024, 1000, 2187])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_row_is_read_and_nothing_of_its_length_written(options, classes, gradient):
    assert temporaries_at_labels(jnp.float32, options, classes, gradient) < 0.25


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_with_targets_nothing_of_the_length_of_a_row_is_written(options, dtype, gradient):
    logits, targets = (jax.ShapeDtypeStruct((512, 1024), x) for x in (dtype, jnp.float32))
    cost = jax.value_and_grad(OF_TARGETS) if gradient else OF_TARGETS
    compiled = jax.jit(lambda *arrays: cost(*arrays, **options)).lower(logits, targets).compile()
    wider = 0 if dtype == jnp.float32 else 1
    assert compiled.memory_analysis().temp_size_in_bytes / (4 * logits.size) < wider + 0.35


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_of_logits_in_half_precision_one_wider_copy_is_made(options, gradient):
    assert temporaries_at_labels(jnp.bfloat16, options, 1024, gradient) < 1.25


def temporaries_at_labels(dtype, options, classes, gradient):
    """In arrays of the size of the logits in float32."""
    logits = jax.ShapeDtypeStruct((512, classes), dtype)
    labels = jax.ShapeDtypeStruct((512,), jnp.int32)
    cost = jax.value_and_grad(OF_LABELS) if gradient else OF_LABELS
    compiled = jax.jit(lambda *arrays: cost(*arrays, **options)).lower(logits, labels).compile()
    return compiled.memory_analysis().temp_size_in_bytes / (4 * logits.size)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.uint32])
def test_labels_of_few_bits_are_read_in_many_classes(dtype):
    logits = jax.random.normal(jax.random.key(0), (3, 1000))
    wide, narrow = jnp.array([0, 5, 100]), jnp.array([0, 5, 100], dtype)
    expected, actual = (jax.value_and_grad(OF_LABELS)(logits, labels) for labels in (wide, narrow))
    assert all(jnp.array_equal(a, b) for a, b in zip(actual, expected, strict=True))
