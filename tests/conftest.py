"""Every test runs in the strict world: no implicit promotion of dtypes or ranks, and warnings are errors.

The eight devices are simulated, for the tests of what is split over devices.
"""

import collections

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 8)


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at
def pytest_collection_modifyitems(items):
    """Of a test that is `sampled(n)` the sweep takes all cases but every n-th."""
    cases = collections.Counter()
    for item in items:
        sample, test = item.get_closest_marker("sampled"), item.nodeid.partition("[")[0]
        if sample and not item.get_closest_marker("sweep"):
            if cases[test] % sample.args[0]:
                item.add_marker("sweep")
            cases[test] += 1


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
