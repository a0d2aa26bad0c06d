"""Every test runs in the strict world: no implicit promotion of dtypes or ranks, and warnings are errors.

The eight devices are simulated, for the tests of what is split over devices.
"""

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
