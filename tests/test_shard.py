"""One cost on one device and on eight: `axis_name` inside shard_map, and jit over sharded arrays."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, K
from jax.sharding import AxisType, NamedSharding

import jaxloss
from jaxloss import reduce

DEVICES, PER_DEVICE = 8, 3
AXIS_TYPES = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
RAGGED = np.random.default_rng(3).random(DEVICES * PER_DEVICE) < 0.6
RAGGED[:PER_DEVICE] = False  # the first device has nothing that counts
MASKS = {"ragged": RAGGED, "one device": np.arange(DEVICES * PER_DEVICE) < 2, "nothing": np.zeros_like(RAGGED)}

swept = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.draw.__name__}")
meshes = pytest.mark.parametrize("axis_type", AXIS_TYPES)


def mesh_of(axis_type, *sizes):
    names = ("data", "model")[: len(sizes)]
    devices = jax.devices()[: int(np.prod(sizes))]
    return jax.make_mesh(sizes, names, axis_types=(AXIS_TYPES[axis_type],) * len(sizes), devices=devices)


def example(case, rng):
    arrays = case.draw(rng, DEVICES * PER_DEVICE)
    return tuple(a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays)


def loss_of(case):
    return functools.partial(jaxloss.catalogue[case.name], **case.options[0])


def put(arrays, mesh, spec):
    specs = spec if isinstance(spec, tuple) and not isinstance(spec, jax.P) else (spec,) * len(arrays)
    return tuple(jax.device_put(array, NamedSharding(mesh, s)) for array, s in zip(arrays, specs, strict=True))


def specs_of(case, arrays):
    """Of a mask and the arrays: split by items, but for what all items share."""
    return jax.P("data"), *(jax.P() if i in case.shared else jax.P("data") for i in range(len(arrays)))


def alone(loss, positions, arrays, **keywords):
    value, gradients = jax.jit(jax.value_and_grad(loss, positions))(*arrays, **keywords)
    return np.asarray(value), [np.asarray(gradient) for gradient in gradients]


def assert_same(got, expected):
    (value, gradients), (expected_value, expected_gradients) = got, expected
    np.testing.assert_allclose(np.asarray(value), expected_value, rtol=1e-5)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        scale = np.max(np.abs(other), initial=1e-6)
        np.testing.assert_allclose(np.asarray(gradient), other, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.sweep  # the law of splitting tries every loss on an Auto mesh
@swept
@meshes
@pytest.mark.parametrize("devices", [2, 3, 8])
def test_shard_map_gives_the_cost_of_one_device(case, axis_type, devices, rng):
    loss, arrays = loss_of(case), example(case, rng)
    mesh, specs = mesh_of(axis_type, devices), specs_of(case, arrays)
    cost = reduce(loss, axis_name="data")
    split = jax.shard_map(lambda where, *a: cost(*a, where=where), mesh=mesh, in_specs=specs, out_specs=jax.P())
    positions = tuple(1 + i for i in case.differentiable)
    with jax.set_mesh(mesh):
        call = jax.jit(jax.value_and_grad(split, positions))
        for where in MASKS.values():
            got = call(*put((where, *arrays), mesh, specs))
            assert_same(got, alone(loss, case.differentiable, arrays, where=where))


def over_a_sharded_batch(case, axis_type, arrays, chunk_size):
    """The jitted value and gradient, and its arguments on the mesh."""
    loss = reduce(loss_of(case), chunk_size=chunk_size)
    call = jax.jit(lambda where, *a: jax.value_and_grad(loss, case.differentiable)(*a, where=where))
    return call, put((RAGGED, *arrays), mesh_of(axis_type, DEVICES), specs_of(case, arrays))


@pytest.mark.parametrize("chunk_size", [None, pytest.param(8, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("axis_type", ["auto", pytest.param("explicit", marks=pytest.mark.sweep)])
@swept
@pytest.mark.sampled(31)
def test_jit_over_a_sharded_batch_gathers_nothing(case, axis_type, chunk_size, rng):
    arrays = example(case, rng)
    with jax.set_mesh(mesh_of(axis_type, DEVICES)):
        call, split = over_a_sharded_batch(case, axis_type, arrays, chunk_size)
        compiled = call.lower(*split).compile()
        expected = alone(loss_of(case), case.differentiable, arrays, where=RAGGED)
        assert_same(compiled(*split), expected)
        assert "all-gather" not in compiled.as_text()


@swept
@pytest.mark.sampled(11)
def test_explicit_meshes_refuse_no_step_of_a_loss(case, rng):
    with jax.set_mesh(mesh_of("explicit", DEVICES)):
        for chunk_size in (None, 8):
            call, split = over_a_sharded_batch(case, "explicit", example(case, rng), chunk_size)
            value, gradients = call.eval_shape(*split)
            assert value.shape == ()
            positions = [1 + i for i in case.differentiable]
            assert [g.sharding.spec for g in gradients] == [jax.typeof(split[i]).sharding.spec for i in positions]


CLASS_LOSSES = [
    case for case in CASES if case.draw(np.random.default_rng(0), 1)[0].shape[1:] == (K,) and not case.sorts
]


@pytest.mark.parametrize("chunk_size", [None, pytest.param(8, marks=pytest.mark.sweep)])
@pytest.mark.parametrize("case", CLASS_LOSSES, ids=lambda case: f"{case.name}-{case.draw.__name__}")
@meshes
@pytest.mark.sampled(11)
def test_jit_over_sharded_classes_gathers_no_logits(case, axis_type, chunk_size, rng):
    loss = reduce(jaxloss.catalogue[case.name], chunk_size=chunk_size)
    options = {
        name: (*option, *[0.01] * (DEVICES - K)) if isinstance(option, tuple) else option
        for name, option in case.options[-1].items()
    }
    # Eight classes over eight devices: the drawn ones, and three that are hardly there.
    arrays = [
        a if a.ndim == 1 else np.pad(a, ((0, 0), (0, DEVICES - K)), constant_values=a.dtype.type(0.01))
        for a in example(case, rng)
    ]
    mesh = mesh_of(axis_type, DEVICES)
    with jax.set_mesh(mesh):
        call = jax.jit(lambda where, *a: jax.value_and_grad(loss, case.differentiable)(*a, where=where, **options))
        split = tuple(
            jax.device_put(a, NamedSharding(mesh, jax.P(None, "data") if a.ndim == 2 else jax.P(None))) for a in arrays
        )
        where = jax.device_put(RAGGED, NamedSharding(mesh, jax.P(None)))
        expected = alone(lambda *a: loss(*a, where=RAGGED, **options), case.differentiable, arrays)
        compiled = call.lower(where, *split).compile()
        assert_same(compiled(where, *split), expected)
        gathered = re.findall(r"= (\w+\[[\d,]*\])\S* all-gather", compiled.as_text())
        assert not gathered, gathered


@meshes
def test_two_mesh_axes(axis_type, rng):
    prediction, target = (rng.normal(size=(8, 6)).astype(np.float32) for _ in range(2))
    where = rng.random((8, 6)) < 0.5
    mesh = mesh_of(axis_type, 4, 2)
    spec = jax.P("data", "model")
    cost = reduce(jaxloss.huber, axis_name=("data", "model"))
    split = jax.shard_map(lambda p, t, w: cost(p, t, where=w), mesh=mesh, in_specs=(spec,) * 3, out_specs=jax.P())
    with jax.set_mesh(mesh):
        got = jax.jit(split)(*put((prediction, target, where), mesh, spec))
    np.testing.assert_allclose(np.asarray(got), jaxloss.huber(prediction, target, where=where), rtol=1e-6)


def test_a_last_step_that_is_not_linear_and_inner_steps(rng):
    prediction, target = (rng.normal(size=(16, 4)).astype(np.float32) for _ in range(2))
    where = rng.random((16, 4)) < 0.4
    mesh, spec = mesh_of("auto", DEVICES), jax.P("data")
    rmse = reduce(jaxloss.squared_error, lambda tally: jaxloss.numerics.safe_sqrt(tally.mean))
    for loss in (rmse, reduce(jaxloss.huber, axis=-1), reduce(reduce(jaxloss.huber, "sum", axis=-1), "sum")):
        cost = reduce(loss, axis_name="data")
        split = jax.shard_map(
            lambda p, t, w, c=cost: c(p, t, where=w), mesh=mesh, in_specs=(spec,) * 3, out_specs=jax.P()
        )
        np.testing.assert_allclose(
            jax.jit(split)(prediction, target, where), loss(prediction, target, where=where), rtol=1e-6
        )


def gradients_inside(check_vma):
    """The gradient of one cost in a parameter that all devices share, taken inside the map, as each device sees it."""
    cost = reduce(jaxloss.custom_loss(lambda prediction, scale: (prediction**2 + 1) * scale), "sum", axis_name="data")
    data = jnp.arange(8.0)

    def inside(w, d):
        return jnp.reshape(jax.grad(lambda w: cost(w * jnp.ones_like(d), d))(w), (1,))

    split = jax.shard_map(
        inside,
        mesh=mesh_of("auto", DEVICES),
        in_specs=(jax.P(), jax.P("data")),
        out_specs=jax.P("data"),
        check_vma=check_vma,
    )
    return np.asarray(jax.jit(split)(jnp.float32(1.0), data))


def test_gradients_inside_the_map():
    # The cost is (w^2 + 1) sum(d), so its gradient at w = 1 is 2 * 28.
    np.testing.assert_array_equal(gradients_inside(check_vma=True), np.full(8, 56.0))
    # Without the check each device's share comes once for each device's copy of the cost, and is not summed.
    np.testing.assert_array_equal(gradients_inside(check_vma=False), 8 * 2 * np.arange(8.0))


def test_what_does_not_go_with_axis_name():
    with pytest.raises(ValueError, match="'none'"):
        reduce(jaxloss.huber, "none", axis_name="data")
    with pytest.raises(ValueError, match="'none'"):
        reduce(reduce(jaxloss.huber, axis_name="data"), "none")
    rows = reduce(reduce(jaxloss.huber, axis=0), axis_name="data")
    split = jax.shard_map(rows, mesh=mesh_of("auto", DEVICES), in_specs=jax.P("data"), out_specs=jax.P())
    with pytest.raises(ValueError, match="an inner step reduces the first axis"):
        split(jnp.ones((8, 2)), jnp.ones((8, 2)))
    assert eval(repr(reduce(jaxloss.huber, axis_name="data"))) == reduce(jaxloss.huber, axis_name=("data",))
