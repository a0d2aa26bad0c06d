"""What the compiler counts: a loss of elements is one pass, and writes nothing of their size to memory on the way.

Counts are exact, whatever else the machine is doing. Times are in `benchmarks/losses.py`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxloss

ELEMENTS = 2**20
RANDOM = np.random.default_rng(0)

counted = pytest.mark.skipif(jax.default_backend() != "cpu", reason="counts of XLA on a CPU")

# In arrays of the size of the data: those of the value, and of value and gradient. Every loss of elements is here.
TEMPORARIES = {
    "squared_error": (0, 0),
    "absolute_error": (0, 0),
    "huber": (0, 0),
    "smooth_l1": (0, 0),
    "log_cosh": (0, 0),
    "pseudo_huber": (0, 0),
    "pinball": (0, 0),
    "expectile": (0, 0),
    "quantile_huber": (0, 0),
    "squared_log_error": (0, 0),
    "absolute_percentage_error": (0, 0),
    "symmetric_absolute_percentage_error": (1, 1),
    "epsilon_insensitive": (1, 0),
    "squared_epsilon_insensitive": (1, 1),
    "general_robust": (1, 1),
    "charbonnier": (0, 0),
    "cauchy": (0, 0),
    "geman_mcclure": (0, 0),
    "welsch": (0, 0),
    "tukey_biweight": (0, 0),
    "wing": (0, 0),
    "gaussian_nll": (1, 1),
    "laplace_nll": (1, 1),
    "student_t_nll": (1, 1),
    "poisson_nll": (1, 1),
    "negative_binomial_nll": (1, 1),
    "tweedie_deviance": (1, 1),
    "gamma_nll": (1, 1),
    "crps_gaussian": (1, 1),
    "binary_cross_entropy": (0, 0),
    "sigmoid_binary_cross_entropy": (0, 0),
    "binary_focal": (0, 0),
    "sigmoid_focal": (0, 0),
    "asymmetric": (1, 1),
    "hinge": (0, 0),
    "squared_hinge": (0, 0),
    "perceptron": (0, 0),
    "sparsemax": (1, 1),
    "gaussian_kl_divergence": (1, 2),
    "standard_normal_kl_divergence": (1, 1),
    "gan_discriminator": (0, 0),
    "gan_discriminator_with_logits": (0, 0),
    "gan_generator_with_logits": (0, 0),
    "gan_nonsaturating_generator": (0, 0),
    "lsgan_discriminator": (0, 0),
    "lsgan_generator": (0, 0),
    "hinge_gan_discriminator": (0, 0),
    "hinge_gan_generator": (0, 0),
    "wgan_critic": (0, 0),
    "wgan_generator": (0, 0),
    "relativistic_gan_discriminator": (1, 1),
    "relativistic_gan_generator": (1, 1),
    "triplet_from_distances": (1, 1),
    "generalized_kl_divergence": (1, 1),
    "kl_divergence": (0, 0),
    "total_variation_distance": (0, 0),
    # Sums of blocks of 8, and of 4 where the terms are long.
    "poly_cross_entropy": (4 / 8, 12 / 8),
    "softmax_focal": (2 / 8, 4 / 8),
    "generalized_cross_entropy": (2 / 8, 4 / 8),
    "symmetric_cross_entropy": (2 / 8, 4 / 8),
    "kl_divergence_with_logits": (1, 3 / 4),
    "cosine_distance": (4 / 8, 3 / 8),
    "triplet": (3 / 8, 2 / 8),
    "multiclass_hinge": (0, 0),
    "multiclass_perceptron": (0, 0),
}
CASE = {case.name: case for case in reversed(CASES)}


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", TEMPORARIES)
def test_temporaries(name, gradient):
    loss, case = jaxloss.catalogue[name], CASE[name]
    rows = (ELEMENTS,) if loss.signature is None else (ELEMENTS // 1024, 1024)
    arrays = [
        jax.ShapeDtypeStruct(rows[: array.ndim], jnp.int32 if array.dtype.kind == "i" else jnp.float32)
        for array in case.draw(RANDOM, 1)
    ]
    cost = functools.partial(jax.value_and_grad(loss) if gradient else loss, **case.options[0])
    memory = jax.jit(cost).lower(*arrays).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 4 * ELEMENTS * (TEMPORARIES[name][gradient] + 0.05)


def test_every_loss_of_elements_is_counted():
    assert {name for name, loss in jaxloss.catalogue.items() if loss.signature is None} <= set(TEMPORARIES)


OF_LABELS = jaxloss.softmax_cross_entropy_with_integer_labels
OF_TARGETS = jaxloss.softmax_cross_entropy
OPTIONS = [{}, {"z_loss": 1e-4}, {"label_smoothing": 0.1}, {"label_smoothing": 0.1, "z_loss": 1e-4}]


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("classes", [1024, 1000, 2187])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_row_is_read_and_nothing_of_its_length_written(options, classes, gradient):
    assert temporaries_at_labels(jnp.float32, options, classes, gradient) < block_sums(2, classes)


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_with_targets_nothing_of_the_length_of_a_row_is_written(options, dtype, gradient):
    logits, targets = (jax.ShapeDtypeStruct((512, 1024), x) for x in (dtype, jnp.float32))
    cost = jax.value_and_grad(OF_TARGETS) if gradient else OF_TARGETS
    compiled = jax.jit(lambda *arrays: cost(*arrays, **options)).lower(logits, targets).compile()
    wider = 0 if dtype == jnp.float32 else 1
    further = "label_smoothing" in options if gradient else bool(options)
    sums = (3 if gradient else 4) + 2 * further
    assert compiled.memory_analysis().temp_size_in_bytes / (4 * logits.size) < wider + block_sums(sums)


@counted
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_of_logits_in_half_precision_one_wider_copy_is_made(options, gradient):
    assert temporaries_at_labels(jnp.bfloat16, options, 1024, gradient) < 1 + block_sums(2)


def block_sums(sums, classes=1024):
    """Of blocks of 8 classes, as many as are formed at once; the rest of 64, and numbers of rows."""
    return sums * (1 / 8 + classes % 64 / classes) + 0.1


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
