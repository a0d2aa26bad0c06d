"""What the compiler counts: a loss of elements is one pass, and writes nothing of their size to memory on the way.

Counts are exact, whatever else the machine is doing. Times are in `benchmarks/losses.py`.
"""

import jax
import jax.numpy as jnp
import pytest

import jaxloss

ELEMENTS = 2**20

# In arrays of the size of the data: those of the value, and of value and gradient.
TEMPORARIES = {
    "squared_error": (0, 0),
    "absolute_error": (0, 1),
    "huber": (0, 0),
    "smooth_l1": (0, 0),
    "log_cosh": (0, 0),
    "pseudo_huber": (0, 0),
    "charbonnier": (0, 0),
    "cauchy": (0, 0),
    "geman_mcclure": (0, 0),
    "welsch": (0, 0),
    "sigmoid_binary_cross_entropy": (0, 0),
    "sigmoid_focal": (0, 0),
    "generalized_kl_divergence": (1, 1),
    "kl_divergence": (2, 2),
}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="counts of XLA on a CPU")
@pytest.mark.parametrize("gradient", [False, True], ids=["value", "gradient"])
@pytest.mark.parametrize("name", TEMPORARIES)
def test_temporaries(name, gradient):
    loss = jaxloss.catalogue[name]
    shape = (ELEMENTS,) if loss.signature is None else (ELEMENTS // 1024, 1024)
    array = jax.ShapeDtypeStruct(shape, jnp.float32)
    cost = jax.value_and_grad(loss) if gradient else loss
    memory = jax.jit(cost).lower(array, array).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 4 * ELEMENTS * (TEMPORARIES[name][gradient] + 0.05)
