"""Every loss passes through the tools of JAX: value and gradient under each are those of a jitted call."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, Case
from jax import export
from jax.experimental import checkify

import jaxloss
from jaxloss.testing.subject import same

ITEMS = 6


def _arrays(case: Case) -> tuple[jax.Array, ...]:
    arrays = case.draw(np.random.default_rng(3), ITEMS)
    return tuple(jnp.asarray(a.astype(np.float32) if a.dtype == np.float64 else a) for a in arrays)


def _cost(case: Case):
    return functools.partial(jaxloss.catalogue[case.name], **case.options[0])


def _gradient(case: Case, cost=None):
    return jax.value_and_grad(cost or _cost(case), case.differentiable)


@functools.cache
def _expected(case: Case):
    return jax.jit(_gradient(case))(*_arrays(case))


# --------------------------------------------------------------------------------------------------------- the tools


def without_jit(case, arrays):
    with jax.disable_jit():
        return _gradient(case)(*arrays)


def without_jit_of_numpy_arrays(case, arrays):
    # JAX differentiates its own arrays alone; what a loss makes of others is seen in the value.
    with jax.disable_jit():
        return _cost(case)(*map(np.asarray, arrays)), _gradient(case)(*arrays)[1]


def debug_nans(case, arrays):
    with jax.debug_nans(True):
        _gradient(case)(*arrays)
        return jax.jit(_gradient(case))(*arrays)


def debug_nans_without_jit(case, arrays):
    with jax.debug_nans(True), jax.disable_jit():
        return _gradient(case)(*arrays)


_SLOPE_HAS_A_BATCHED_SCATTER = (
    "batch_all_triplet",
    "batch_hard_triplet",
    "batch_semi_hard_triplet",
    "cox",
    "crps_ensemble",
    "ctc",
    "list_mle",
    "sliced_wasserstein",
    "soft_dtw",
    "sparse_categorical_cross_entropy",
    "unique_softmax",
    "wasserstein_1d",
)
"""JAX has no `index_checks` of it: of `jax.vmap(lambda x, i: x.at[i].set(0))` they raise IndexError as well."""
_VALUE_HAS_ONE_TOO = ("cox", "list_mle")


def all_checks(case, arrays):
    if case.name == "additive_transducer":
        pytest.skip("JAX has no checks of a batched while-loop, which goes over the frames that underflow")
    errors = checkify.all_checks
    if case.name in _SLOPE_HAS_A_BATCHED_SCATTER:
        if case.name not in _VALUE_HAS_ONE_TOO:
            error, _ = jax.jit(checkify.checkify(_cost(case), errors))(*arrays)
            error.throw()
        errors -= checkify.index_checks
    error, found = jax.jit(checkify.checkify(_gradient(case), errors))(*arrays)
    error.throw()
    return found


def rematerialised(case, arrays):
    return jax.jit(_gradient(case, jax.checkpoint(_cost(case))))(*arrays)


def exported_for_any_batch(case, arrays):
    (n,) = export.symbolic_shape("n")
    shapes = [a.shape if i in case.shared else (n, *a.shape[1:]) for i, a in enumerate(arrays)]
    symbolic = [jax.ShapeDtypeStruct(shape, a.dtype) for shape, a in zip(shapes, arrays, strict=True)]
    return export.export(jax.jit(_gradient(case)))(*symbolic).call(*arrays)


def donated(case, arrays):
    position = case.differentiable[0]
    copies = [jnp.array(a, copy=True) for a in arrays]
    found = jax.jit(_gradient(case), donate_argnums=position)(*copies)
    assert copies[position].is_deleted()
    return found


def without_transfers(case, arrays):
    with jax.transfer_guard("disallow"):
        return jax.jit(_gradient(case))(*arrays)


TOOLS = (
    without_jit,
    without_jit_of_numpy_arrays,
    debug_nans,
    debug_nans_without_jit,
    all_checks,
    rematerialised,
    exported_for_any_batch,
    donated,
    without_transfers,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name + "-mask" * case.masked)
@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.sampled(250)
def test_value_and_gradient_are_those_of_a_jitted_call(tool, case):
    value, slopes = tool(case, _arrays(case))
    expected, expected_slopes = _expected(case)
    same(value, expected, "the value")
    for position, slope, wanted in zip(case.differentiable, slopes, expected_slopes, strict=True):
        same(slope, wanted, f"the gradient in array {position}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name + "-mask" * case.masked)
@pytest.mark.sampled(7)
def test_shapes_and_dtypes_are_known_before_a_value_is(case):
    arrays = _arrays(case)
    value, slopes = jax.eval_shape(_gradient(case), *arrays)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert [(g.shape, g.dtype) for g in slopes] == [(arrays[i].shape, arrays[i].dtype) for i in case.differentiable]


# ------------------------------------------------------------------------------------------- beyond ordinary arrays


@pytest.mark.parametrize("arrays", [([1, 2], 0), (1, 0.5), ([1.0, 2.0], np.zeros(2)), (np.float64(1), [0, 2])], ids=str)
@pytest.mark.parametrize("name", ["pinball", "huber", "log_cosh"])
def test_numbers_and_lists_without_jit(name, arrays):
    loss = jaxloss.catalogue[name]
    expected = loss(*arrays)
    with jax.debug_nans(True), jax.disable_jit():
        same(loss(*arrays), expected, "the value")


def test_known_numbers():
    with jax.disable_jit():
        assert jaxloss.pinball([1, 2], 0) == 0.75
    with jax.disable_jit(), jax.debug_nans(True):
        value = jaxloss.softmax_cross_entropy_with_integer_labels(jnp.array([[1.0, 2.0]]), jnp.array([1]))
    np.testing.assert_allclose(value, np.log1p(np.exp(-1)), rtol=1e-6)


def test_what_is_due_is_still_reported():
    error, _ = checkify.checkify(jaxloss.sparsemax, checkify.nan_checks)(jnp.array([1.0]), jnp.array([2]))
    with pytest.raises(checkify.JaxRuntimeError, match="nan generated"):
        error.throw()
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        jaxloss.huber(jnp.array([jnp.nan]), jnp.array([0.0]))


@pytest.mark.parametrize("how", ["where", "weights", "axis"])
def test_an_exported_loss_takes_masks_and_steps(how):
    rows, columns = export.symbolic_shape("rows, columns")
    prediction = jnp.arange(12.0).reshape(4, 3)
    counts = {"where": jnp.arange(4) != 1, "weights": jnp.arange(4.0)}.get(how)
    loss = jaxloss.reduce(jaxloss.huber, axis=-1) if how == "axis" else jaxloss.huber

    def cost(prediction, counts):
        keywords = {} if counts is None else {how: counts}
        return loss(prediction, jnp.ones_like(prediction), **keywords)

    symbolic = jax.ShapeDtypeStruct((rows, columns), prediction.dtype)
    of_rows = None if counts is None else jax.ShapeDtypeStruct((rows,), counts.dtype)
    gradient = jax.jit(jax.value_and_grad(cost))
    found = export.export(gradient)(symbolic, of_rows).call(prediction, counts)
    for got, expected in zip(found, gradient(prediction, counts), strict=True):
        same(got, expected, "value or gradient")


def test_a_plain_call_transfers_nothing():
    arrays = jnp.arange(3.0), jnp.ones(3), jnp.array([True, False, True])
    with jax.transfer_guard("disallow"):
        jaxloss.huber(*arrays[:2], where=arrays[2])
        jaxloss.huber.tally(*arrays[:2])
