"""`weighted_sum`: what a term sums at once is the same cost as its values one by one, by every path."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import jaxloss
from jaxloss import custom_loss, reduce

SIGNATURE = "(d),(d),(d)->()"
seen: list = []


def _at_once(u, v, scale, weights, *, power):
    seen.append(jax.tree.map(lambda x: (x.shape, str(x.dtype)), (u, v, scale, weights)))
    if power != 2:
        return NotImplemented
    wide = [x.astype(weights.dtype) for x in (u, v)]
    scale = None if scale is None else scale.astype(weights.dtype)
    squares = jnp.square(wide[0] - wide[1])
    summed = jnp.einsum("...d,...->d", squares, weights)
    return jnp.sum(summed if scale is None else summed * scale)


def _term(u, v, scale=None, *, power=2):
    squares = jnp.abs(u - v) ** power
    return jnp.sum(squares if scale is None else squares * scale)


plain = custom_loss(_term, signature=SIGNATURE)


@custom_loss(signature=SIGNATURE, weighted_sum=_at_once)
def fast(u, v, scale=None, *, power=2):
    return _term(u, v, scale, power=power)


@pytest.fixture(autouse=True)
def _forget():
    seen.clear()


def arrays(rng, *leading):
    u, v = (rng.normal(size=(*leading, 3)).astype(np.float32) for _ in range(2))
    return u, v, rng.random(3).astype(np.float32)


def both(make, arguments, positions=(0, 1, 2), **keywords):
    results = []
    for loss in (fast, plain):
        cost = make(loss)
        result = jax.jit(jax.value_and_grad(lambda *a, c=cost: c(*a, **keywords), positions))(*arguments)
        results.append(jax.tree.map(np.asarray, result))
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6 * np.max(np.abs(other), initial=1e-6))


REDUCTIONS = {
    "mean": lambda loss: loss,
    "sum": lambda loss: reduce(loss, "sum"),
    "rows": lambda loss: reduce(loss, axis=-1),
    "row sums": lambda loss: reduce(loss, "sum", axis=-1),
    "both": lambda loss: reduce(reduce(loss, axis=-1), "sum", axis=0),
    "rmse": lambda loss: reduce(loss, lambda tally: jaxloss.numerics.safe_sqrt(tally.mean)),
    "chunks": lambda loss: reduce(loss, chunk_size=4),
    "chunks of rows": lambda loss: reduce(reduce(loss, axis=-1), chunk_size=2),
    "tally": lambda loss: lambda *a, **k: loss.finish(loss.tally(*a, **k)),
    "two tallies": lambda loss: (
        lambda u, v, s, where, weights: loss.finish(
            loss.tally(u[:2], v[:2], s, where=where[:2], weights=weights[:2])
            + loss.tally(u[2:], v[2:], s, where=where[2:], weights=weights[2:])
        )
    ),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.sampled(3)
def test_every_reduction_is_that_of_the_values(name, rng):
    u, v, scale = arrays(rng, 5, 3)
    where = rng.random((5, 3)) < 0.6
    where[1] = False
    weights = rng.random((5, 3)).astype(np.float32)
    u = np.where(where[..., None], u, np.nan)
    both(REDUCTIONS[name], (u, v, scale), where=where, weights=weights)
    assert seen
    nothing = np.zeros_like(where)
    both(REDUCTIONS[name], (u, v, scale), where=nothing, weights=weights)


def test_the_weights_are_differentiable(rng):
    u, v, scale = arrays(rng, 6)
    weights = rng.random(6).astype(np.float32)
    for make in (REDUCTIONS["mean"], REDUCTIONS["sum"], REDUCTIONS["chunks"]):
        costs = make(fast), make(plain)
        slopes = [jax.jit(jax.grad(lambda w, c=cost: c(u, v, scale, weights=w)))(weights) for cost in costs]
        np.testing.assert_allclose(*slopes, rtol=1e-5, atol=1e-6)
    values = reduce(plain, "none")(u, v, scale)
    np.testing.assert_allclose(
        jax.grad(lambda w: reduce(fast, "sum")(u, v, scale, weights=w))(weights), values, rtol=1e-6
    )


def test_it_sees_the_arrays_as_they_came(rng):
    u, v, _ = (jnp.asarray(a, jnp.bfloat16) for a in arrays(rng, 4, 2))
    fast(u, v, where=np.ones(4, bool))
    low = ((4, 2, 3), "bfloat16")
    assert seen == [(low, low, None, ((4, 2), "float32"))]
    seen.clear()
    jax.grad(reduce(fast, chunk_size=4))(u, v, jnp.ones(3, jnp.bfloat16))
    assert {one[2] for one in seen} == {((3,), "bfloat16")}
    assert {one[0][0] for one in seen} == {(2, 2, 3)}


def test_the_term_gives_what_is_not_one_sum(rng):
    u, v, scale = arrays(rng, 4, 2)
    for make in (lambda loss: reduce(loss, "none"), lambda loss: reduce(reduce(loss, "sum", axis=-1), "none")):
        np.testing.assert_array_equal(make(fast)(u, v, scale), make(plain)(u, v, scale))
    assert not seen


def _by_group(u, v, scale, weights, *, groups, power):
    seen.append(groups)
    values = jnp.einsum("...d,d->...", jnp.abs(u - v) ** power, jnp.ones(3) if scale is None else scale)
    return jnp.sum(weights * values, axis=tuple(axis for axis in range(weights.ndim) if axis not in groups))


def _of_all(*_, groups, power):
    return jnp.zeros(()) if groups else power


@pytest.mark.parametrize("axis", [-1, 0])
def test_one_sum_for_each_group(axis, rng):
    u, v, scale = arrays(rng, 4, 3)
    by_group = custom_loss(_term, signature=SIGNATURE, weighted_sum=_by_group)
    where, weights = rng.random((4, 3)) < 0.6, rng.random((4, 3)).astype(np.float32)
    for make in (lambda loss: loss, lambda loss: reduce(loss, chunk_size=2)):
        got, expected = (
            make(reduce(reduce(loss, axis=axis), "none"))(u, v, scale, where=where, weights=weights)
            for loss in (by_group, plain)
        )
        np.testing.assert_allclose(got, expected, rtol=2e-6)
    assert (0 if axis else 1,) in seen
    jax.jit(lambda *arrays: by_group(*arrays))(u, v, scale)
    assert () in seen
    wrong = custom_loss(_term, signature=SIGNATURE, weighted_sum=_of_all)
    with pytest.raises(ValueError, match=r"one number for each group, of shape \(4,\)"):
        reduce(reduce(wrong, axis=-1), "none")(u, v)


def test_it_may_decline(rng):
    u, v, scale = arrays(rng, 4)
    both(lambda loss: lambda *a: loss(*a, power=3), (u, v, scale))
    assert seen


def test_over_devices(rng):
    u, v, scale = arrays(rng, 16)
    where = rng.random(16) < 0.4
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    spec = jax.P("data")

    def split(loss):
        cost = reduce(loss, axis_name="data")
        return jax.shard_map(
            lambda u, v, s, w: cost(u, v, s, where=w),
            mesh=mesh,
            in_specs=(spec, spec, jax.P(), spec),
            out_specs=jax.P(),
        )

    results = [jax.jit(jax.value_and_grad(split(loss), (0, 2)))(u, v, scale, where) for loss in (fast, plain)]
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert seen


def test_a_mean_is_one_sum_with_no_division_after_it(rng):
    u, v, scale = arrays(rng, 8)
    lines = str(jax.make_jaxpr(lambda u: fast(u, v, scale))(u)).splitlines()
    assert " div " not in lines[-2] + lines[-1]


def test_it_is_a_part_of_the_loss():
    assert fast != custom_loss(fast.__wrapped__, signature=SIGNATURE)
    assert fast == custom_loss(fast.__wrapped__, signature=SIGNATURE, weighted_sum=_at_once)
    assert hash(fast) == hash(custom_loss(fast.__wrapped__, signature=SIGNATURE, weighted_sum=_at_once))
    for loss in (fast, reduce(fast, "sum"), reduce(jaxloss.linear_softmax_cross_entropy, chunk_size=8)):
        assert pickle.loads(pickle.dumps(loss)) == loss == copy.deepcopy(loss)
    assert repr(reduce(fast, "sum")) == "jaxloss.reduce(fast, 'sum')"


def test_what_is_refused(rng):
    u, v, _ = arrays(rng, 4)
    with pytest.raises(TypeError, match="goes with a signature"):
        custom_loss(lambda u, v: u - v, weighted_sum=_at_once)
    with pytest.raises(TypeError, match="must be a function"):
        custom_loss(lambda u, v: u @ v, signature="(d),(d)->()", weighted_sum="fast")
    wrong = custom_loss(lambda u, v: u @ v, signature="(d),(d)->()", weighted_sum=lambda *arrays: arrays[-1])
    with pytest.raises(ValueError, match="must return one number"):
        wrong(u, v)


def test_the_laws_hold(rng):
    jaxloss.testing.check_loss(fast, *arrays(rng, 6))
