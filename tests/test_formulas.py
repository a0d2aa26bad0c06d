"""The plain formulas that the bytes of the losses are compared with do the same work: they have the same values."""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxloss

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
from formulas import FORMULAS
from works import works

CASE = {case.name: case for case in CASES if not case.masked}


def test_every_loss_has_a_formula():
    assert FORMULAS.keys() == jaxloss.catalogue.keys()


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.sampled(11)
def test_formula_has_the_values_of_the_loss(name):
    case = CASE[name]
    arrays = [
        jnp.asarray(a if a.dtype == int else a.astype(np.float32)) for a in case.draw(np.random.default_rng(3), 20)
    ]
    arrays = [a.astype(jnp.int32) if jnp.issubdtype(a.dtype, jnp.integer) else a for a in arrays]
    if name == "linear_softmax_cross_entropy":
        arrays = arrays[:3]
    if name == "ordinal_cross_entropy":  # all items share the thresholds
        arrays[2] = arrays[2][0]
    options = {
        k: jnp.asarray(v, jnp.float32) if np.asarray(v).dtype == float and np.ndim(v) else v
        for k, v in case.options[0].items()
    }
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = jax.jit(functools.partial(FORMULAS[name], **options))(*arrays)
        wanted = jaxloss.reduce(jaxloss.catalogue[name], "none")(*arrays, **options)
    # The margin of optax's triplet loss has 1e-6 under its roots; the iteration of the bi-tempered softmax stops.
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("work", works(), ids=str)
def test_formula_takes_what_is_compiled(work):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        value, gradient = jax.eval_shape(jax.value_and_grad(work.plain), *work.arrays.values())
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert gradient.shape == work.first.shape
