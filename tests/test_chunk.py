"""A chunk at a time is the same cost, in memory that follows the chunk."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from jax.sharding import AxisType, NamedSharding

import jaxloss
from jaxloss import reduce

ITEMS = 13


def example(case, rng, *leading):
    arrays = case.draw(rng, int(np.prod(leading)))
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    return [a if i in case.shared else a.reshape(leading + a.shape[1:]) for i, a in enumerate(arrays)]


def run(loss, positions, arrays, **keywords):
    return jax.jit(jax.value_and_grad(loss, positions))(*arrays, **keywords)


def assert_same(got, expected):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        scale = np.max(np.abs(other), initial=1e-6)
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.sweep  # the law of splitting tries every loss with one size
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.draw.__name__}")
def test_chunks_give_the_value_and_the_gradients_of_the_whole(case, rng):
    loss, arrays = functools.partial(jaxloss.catalogue[case.name], **case.options[0]), example(case, rng, ITEMS)
    where = rng.random(ITEMS) < 0.6
    weights = rng.random(ITEMS).astype(np.float32)
    for i in set(case.differentiable) - set(case.shared):
        arrays[i] = np.where(where.reshape(-1, *[1] * (arrays[i].ndim - 1)), arrays[i], np.nan)
    expected = run(loss, case.differentiable, arrays, where=where, weights=weights)
    for size in (1, 4, 13, 50):
        chunked = reduce(loss, chunk_size=size)
        assert_same(run(chunked, case.differentiable, arrays, where=where, weights=weights), expected)


STEPS = {
    "sum": lambda loss: reduce(loss, "sum"),
    "none": lambda loss: reduce(loss, "none"),
    "rows": lambda loss: reduce(loss, axis=-1),
    "columns": lambda loss: reduce(loss, "sum", axis=0),
    "row sums": lambda loss: reduce(reduce(loss, "sum", axis=-1), "none"),
    "column means": lambda loss: reduce(reduce(loss, axis=0), "none"),
    "both": lambda loss: reduce(reduce(loss, axis=-1), "sum", axis=0),
    "rmse": lambda loss: reduce(loss, lambda tally: jaxloss.numerics.safe_sqrt(tally.mean)),
}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.sampled(11)
def test_chunks_of_every_reduction(steps, size, rng):
    prediction, target = (rng.normal(size=(5, 3)).astype(np.float32) for _ in range(2))
    where, weights = rng.random((5, 3)) < 0.7, rng.random(5).astype(np.float32)
    loss = STEPS[steps](jaxloss.huber)
    for keywords in ({}, {"where": where}, {"where": where[:, 0], "weights": weights}, {"where": True, "weights": 2.0}):
        call = functools.partial(reduce(loss, chunk_size=size), **keywords)
        whole = functools.partial(loss, **keywords)
        assert_same(jax.jit(call)(prediction, target), jax.jit(whole)(prediction, target))
        assert_same(jax.jit(jax.jacrev(call))(prediction, target), jax.jit(jax.jacrev(whole))(prediction, target))
        assert_same(jax.jit(jax.jacfwd(call))(prediction, target), jax.jit(jax.jacfwd(whole))(prediction, target))


def test_array_options_that_align_with_trailing_axes(rng):
    logits, targets = rng.normal(size=(5, 3)).astype(np.float32), (rng.random((5, 3)) < 0.5).astype(np.float32)
    option = {"positive_weight": jnp.array([1.0, 2.0, 3.0])}
    loss = jaxloss.sigmoid_binary_cross_entropy

    def cost(loss):
        return jax.value_and_grad(lambda w: loss(logits, targets, positive_weight=w))(option["positive_weight"])

    assert_same(cost(reduce(loss, chunk_size=4)), cost(loss))


@jaxloss.custom_loss(signature="(d),(),(d,v)->()")
def linear_head(hidden, labels, kernel):
    return jaxloss.numerics.surprisal(hidden @ kernel)[labels]


@jaxloss.custom_loss(signature="(n,d),(n)->(n)")
def spread(points, radii):
    """Couples a batch of n: how far the squared distances from each point to the others are from its radius."""
    distances = jnp.sum(jnp.square(points[:, None] - points[None]), -1)
    return jnp.sum(jnp.square(distances - radii[:, None]), -1)


def head(rng, n, d=8, v=32, dtype=np.float32):
    hidden, kernel = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(d, v)).astype(dtype)
    return jnp.asarray(hidden), jnp.asarray(rng.integers(0, v, n)), jnp.asarray(kernel)


def test_shared_arguments_get_the_gradient_of_all_chunks(rng):
    arrays, where = head(rng, 21), rng.random(21) < 0.5
    expected = run(linear_head, (0, 2), arrays, where=where)
    for size in (1, 4, 7):
        assert_same(run(reduce(linear_head, chunk_size=size), (0, 2), arrays, where=where), expected)
    points, radii = rng.normal(size=(7, 4, 3)).astype(np.float32), rng.random((7, 4)).astype(np.float32)
    outputs = rng.random((7, 4)) < 0.5
    expected = run(spread, (0, 1), (points, radii), where=outputs)
    assert_same(run(reduce(spread, chunk_size=2), (0, 1), (points, radii), where=outputs), expected)
    per_batch = reduce(reduce(spread, axis=-1), chunk_size=2)
    assert_same(
        run(per_batch, (0, 1), (points, radii), where=outputs),
        run(reduce(spread, axis=-1), (0, 1), (points, radii), where=outputs),
    )


def test_gradients_of_a_shared_low_precision_argument_add_up_in_float32(rng):
    hidden, labels, kernel = head(rng, 512)
    low = kernel.astype(jnp.bfloat16)
    truth = jax.jit(jax.grad(linear_head, 2))(hidden, labels, low.astype(jnp.float32))
    got = jax.jit(jax.grad(reduce(linear_head, chunk_size=2), 2))(hidden, labels, low)
    assert got.dtype == jnp.bfloat16
    # Half an ulp of bfloat16, that of the last rounding; 256 additions in bfloat16 would lose far more.
    np.testing.assert_allclose(got.astype(jnp.float32), truth, rtol=2**-8, atol=1e-7)


def temporaries(loss, *arrays, positions=(0,), **keywords):
    call = jax.jit(lambda keywords, *arrays: jax.value_and_grad(loss, positions)(*arrays, **keywords))
    return call.lower(keywords, *arrays).compile().memory_analysis().temp_size_in_bytes


def test_memory_follows_the_chunk_and_not_the_data(rng):
    chunked = reduce(linear_head, chunk_size=64)
    at_small, at_large = (temporaries(chunked, *head(rng, n, v=1024), positions=(0, 2)) for n in (511, 4095))
    assert at_large < 1.1 * at_small
    assert temporaries(linear_head, *head(rng, 4095, v=1024), positions=(0, 2)) > 4 * at_large


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
def test_no_copy_of_the_items_is_made(dtype):
    """Masked and weighed, by rows and by single values, gradients of the items themselves, a size that does not fit."""

    def kept(loss, rows):
        x, weights = jax.ShapeDtypeStruct((rows, 12), dtype), jax.ShapeDtypeStruct((rows,), jnp.float32)
        where = jax.ShapeDtypeStruct((rows, 12), bool)
        return temporaries(loss, x, x, where=where, weights=weights)

    for loss in (reduce(jaxloss.huber, chunk_size=500), reduce(reduce(jaxloss.huber, axis=-1), chunk_size=50)):
        assert kept(loss, 16389) - kept(loss, 4096) < 16389


def test_memory_of_a_users_pairwise_loss(rng):
    def arrays(n):
        return rng.normal(size=(n, 64, 3)).astype(np.float32), rng.random((n, 64)).astype(np.float32)

    chunked = reduce(spread, chunk_size=4)
    at_small, at_large = temporaries(chunked, *arrays(31)), temporaries(chunked, *arrays(255))
    assert at_large < 1.1 * at_small
    assert temporaries(spread, *arrays(256)) > 4 * at_large


@pytest.mark.parametrize("size", [6, 9, 40, 70])
def test_axes_are_cut_one_after_the_other(size, rng):
    """Nine items of five rows of three: parts of a row, rows, and items, with a mask and options of other ranks."""
    logits, targets = rng.normal(size=(9, 5, 3)).astype(np.float32), (rng.random((9, 5, 3)) < 0.5).astype(np.float32)
    options = {"positive_weight": jnp.array([1.0, 2.0, 3.0])}
    keywords = {"where": rng.random((9, 5)) < 0.7, "weights": rng.random(9).astype(np.float32)}
    for loss in (jaxloss.sigmoid_binary_cross_entropy, reduce(jaxloss.sigmoid_binary_cross_entropy, "none")):
        whole, parts = (
            functools.partial(one, targets=targets, **options, **keywords)
            for one in (loss, reduce(loss, chunk_size=size))
        )
        assert_same(jax.jit(parts)(logits), jax.jit(whole)(logits))
        assert_same(jax.jit(jax.jacrev(parts))(logits), jax.jit(jax.jacrev(whole))(logits))


def test_wrong_shapes_are_refused_before_anything_is_cut(rng):
    prediction, target = (rng.normal(size=(8, 3)).astype(np.float32) for _ in range(2))
    with pytest.raises(ValueError, match=r"where must have the shape of the values \(8, 3\).*got \(10,\)"):
        reduce(jaxloss.huber, chunk_size=6)(prediction, target, where=np.ones(10, bool))


def test_second_derivatives_of_bfloat16_items(rng):
    hidden, labels, kernel = head(rng, 9)
    low = hidden.astype(jnp.bfloat16)

    def curvature(loss):
        slope = lambda hidden: jax.grad(loss, 2)(hidden, labels, kernel)  # noqa: E731
        return jax.jit(jax.jvp, static_argnums=0)(slope, (low,), (jnp.ones_like(low),))

    assert_same(curvature(reduce(linear_head, chunk_size=4)), curvature(linear_head))


def test_forward_over_reverse_and_vmap(rng):
    arrays = head(rng, 9)
    direction = jnp.asarray(rng.normal(size=arrays[2].shape), jnp.float32)

    def curvature(loss):
        return jax.jvp(jax.grad(lambda kernel: loss(*arrays[:2], kernel)), (arrays[2],), (direction,))

    assert_same(
        jax.jit(lambda: curvature(reduce(linear_head, chunk_size=4)))(), jax.jit(lambda: curvature(linear_head))()
    )
    prediction, target = (rng.normal(size=(3, 7)).astype(np.float32) for _ in range(2))
    assert_same(
        jax.vmap(reduce(jaxloss.huber, chunk_size=2))(prediction, target), jax.vmap(jaxloss.huber)(prediction, target)
    )


@pytest.mark.parametrize("axis_type", ["auto", "explicit"])
def test_chunks_of_a_sharded_batch_gather_nothing(axis_type, rng):
    kind = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}[axis_type]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    hidden, labels, kernel = head(rng, 48)
    where = rng.random(48) < 0.5
    expected = run(linear_head, (0, 2), (hidden, labels, kernel), where=where)
    along, alike = NamedSharding(mesh, jax.P("data")), NamedSharding(mesh, jax.P())
    with jax.set_mesh(mesh):
        split = [jax.device_put(np.asarray(a), s) for a, s in ((hidden, along), (labels, along), (kernel, alike))]
        cost = reduce(linear_head, chunk_size=16)
        call = jax.jit(lambda where, *a: jax.value_and_grad(cost, (0, 2))(*a, where=where))
        mask = jax.device_put(where, along)
        program = call.lower(mask, *split).compile()
        assert_same(program(mask, *split), expected)
        assert "all-gather" not in program.as_text()
        if axis_type == "explicit":
            for size in (5, 12, 20):
                with pytest.raises(ValueError, match=f"chunk_size={size} must be a multiple of the 8 devices"):
                    jax.jit(reduce(linear_head, chunk_size=size))(*split)


@pytest.mark.parametrize("axis_type", ["auto", "explicit"])
def test_no_collective_inside_the_loop_of_a_shard_map(axis_type, rng):
    kind = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}[axis_type]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    hidden, labels, kernel = (np.asarray(a) for a in head(rng, 40))
    where = rng.random(40) < 0.5
    cost = reduce(reduce(linear_head, chunk_size=2), axis_name="data")
    specs = (jax.P("data"), jax.P("data"), jax.P(), jax.P("data"))

    def inside(hidden, labels, kernel, where):
        return jax.value_and_grad(lambda kernel: cost(hidden, labels, kernel, where=where))(kernel)

    with jax.set_mesh(mesh):
        arrays = [
            jax.device_put(a, NamedSharding(mesh, s))
            for a, s in zip((hidden, labels, kernel, where), specs, strict=True)
        ]
        call = jax.jit(jax.shard_map(inside, mesh=mesh, in_specs=specs, out_specs=jax.P()))
        expected = jax.jit(jax.value_and_grad(lambda kernel: linear_head(hidden, labels, kernel, where=where)))(kernel)
        program = call.lower(*arrays).compile()
        assert_same(program(*arrays), expected)
    hlo = program.as_text()
    computations = dict(re.findall(r"^(?:ENTRY )?(%?[\w.-]+) [^\n]*\{\n(.*?)^\}", hlo, re.MULTILINE | re.DOTALL))
    bodies = re.findall(r"body=(%?[\w.-]+)", hlo)
    assert bodies
    assert "all-reduce" in hlo
    assert not [body for body in bodies if "all-reduce" in computations[body]]


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "all"])
def test_a_size_that_is_none(size):
    with pytest.raises(ValueError, match="chunk_size must be an int of 1 or more"):
        reduce(jaxloss.huber, chunk_size=size)


def test_repr_and_equality():
    chunked = reduce(reduce(jaxloss.huber, "sum"), chunk_size=8)
    assert chunked == reduce(jaxloss.huber, "sum", chunk_size=8) == eval(repr(chunked))
    assert hash(chunked) == hash(reduce(jaxloss.huber, "sum", chunk_size=8))
    assert chunked != reduce(jaxloss.huber, "sum")
