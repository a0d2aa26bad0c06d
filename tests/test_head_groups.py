"""One sum for each sequence, and second derivatives at confident rows, of the head of a language model."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from test_language import ALL, assert_same, dense, example, head, no_large_gather, products, sizes

from jaxloss import dpo, linear_softmax_loss, reduce

WALKS = {"whole": {}, "parts": {"memory": 9000}, "small": {"strategy": "small", "memory": 4}}
by_sequence = lambda loss, how="sum": reduce(reduce(loss, how, axis=-1), "none")  # noqa: E731


def sequences(rng, dtype=np.float32):
    hidden, kernel, bias, labels, mask = example(rng, 42, dtype=dtype)
    where = rng.random((6, 7)) < 0.7
    where[2] = False
    hidden, labels = hidden.reshape(6, 7, -1), labels.reshape(6, 7)
    hidden, labels = jnp.where(where[..., None], hidden, jnp.nan), jnp.where(where, labels, -100)
    return (hidden, kernel, bias), labels, mask, where


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("how", ["sum", "mean", "chunks"])
@pytest.mark.sampled(9)
def test_values_and_every_derivative_of_each_sequence(how, walk, rng):
    point, labels, mask, where = sequences(rng)
    direction = tuple(jnp.where(jnp.isnan(x), 0, jnp.cos(x)) for x in point)

    def run(loss, **walk):
        values = by_sequence(loss, "mean" if how == "mean" else "sum")
        values = reduce(values, chunk_size=4) if how == "chunks" else values

        def each(hidden, kernel, bias):
            return values(hidden, labels, kernel, bias, mask, where=where, **ALL, **walk)

        def cost(*point):
            return jnp.sum(jnp.sin(each(*point)))

        def slopes(*point):
            return jax.grad(cost, (0, 1, 2))(*point)

        return jax.jit(
            lambda *x: (each(*x), jax.jvp(each, x, direction)[1], slopes(*x), jax.jvp(slopes, x, direction)[1])
        )(*point)

    got = run(head, **WALKS[walk])
    assert got[0][2] == 0
    assert_same(got, run(dense))
    assert np.all(np.asarray(got[2][0])[~where] == 0)


def test_bfloat16_sequences(rng):
    point, labels, mask, where = sequences(rng, jnp.bfloat16)

    def run(loss, **walk):
        def cost(*point):
            values = by_sequence(loss)(point[0], labels, point[1], point[2], mask, where=where, **walk)
            return jnp.sum(values**2)

        return jax.jit(jax.value_and_grad(cost, (0, 1, 2)))(*point)

    got, expected = run(head, memory=9000), run(dense)
    assert [x.dtype for x in got[1]] == [jnp.bfloat16] * 3
    assert_same(got[0], expected[0], 1e-5)
    assert_same(got[1], expected[1], 4 * float(jnp.finfo(jnp.bfloat16).eps))


def test_a_link_by_sequence_and_preference(rng):
    """Direct preference optimisation: the two answers' log-probabilities, never their logits."""
    point, labels, _, where = sequences(rng)
    log_probability = linear_softmax_loss(lambda softmax, temper: -softmax.surprisal / temper)
    temper = jnp.full((6, 7), 0.5)

    def cost(log_probabilities, *point):
        chosen, rejected = jnp.split(log_probabilities(*point), 2)
        return jnp.mean(jax.nn.softplus(-0.1 * (chosen - rejected)))

    def ours(hidden, kernel, bias):
        return by_sequence(log_probability)(hidden, labels, temper, kernel, bias, where=where, memory=9000)

    def plain(hidden, kernel, bias):
        return -by_sequence(dense)(hidden, labels, kernel, bias, where=where) / 0.5

    got, expected = (jax.jit(jax.value_and_grad(functools.partial(cost, f), (0, 1, 2)))(*point) for f in (ours, plain))
    assert_same(got, expected)


def preference(log_probabilities):
    chosen, rejected = jnp.split(log_probabilities, 2)
    return dpo(chosen, rejected, jnp.full_like(chosen, -900.0), jnp.full_like(chosen, -1000.0))


@pytest.mark.parametrize("of_sums", [lambda x: jnp.sum(jnp.sin(x)), preference], ids=["any", "dpo"])
def test_products_and_memory_of_sequences(of_sums):
    n, d, v = 1024, 256, 32768
    shapes = [jax.ShapeDtypeStruct(x, jnp.float32) for x in ((8, n // 8, d), (d, v))]
    labels = jax.ShapeDtypeStruct((8, n // 8), jnp.int32)

    def cost(hidden, kernel, labels):
        return of_sums(-by_sequence(head)(hidden, labels, kernel))

    assert products(cost, *shapes, labels) == 1
    assert products(jax.value_and_grad(cost, (0, 1)), *shapes, labels) == 4
    program = jax.jit(jax.value_and_grad(cost, (0, 1))).lower(*shapes, labels).compile()
    assert program.memory_analysis().temp_size_in_bytes <= 2 * 4 * n * v / 3
    assert max(sizes(program.as_text())) < n * v


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_sequences_over_devices(axis_type, rng):
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(axis_type,) * 2)
    hidden, kernel, bias, labels, _ = example(rng, 48, 6, 264)
    arrays, labels = (hidden.reshape(8, 6, -1), kernel, bias), labels.reshape(8, 6)
    specs = jax.P("data"), jax.P(None, "model"), jax.P("model"), jax.P("data")

    def run(loss, **keywords):
        return lambda hidden, kernel, bias, labels: by_sequence(loss)(hidden, labels, kernel, bias, **keywords)

    def slopes(values):
        return jax.jit(jax.value_and_grad(lambda *x: jnp.sum(jnp.sin(values(*x))), (0, 1, 2)))

    expected = slopes(run(dense))(*arrays, labels)
    placed = [jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip((*arrays, labels), specs, strict=True)]
    by_hand = jax.shard_map(
        run(head, class_axis_name="model", memory=9000), mesh=mesh, in_specs=specs, out_specs=jax.P("data")
    )
    for values in (by_hand, run(head)):
        with jax.set_mesh(mesh):
            program = slopes(values).lower(*placed).compile()
            assert_same(program(*placed), expected)
            no_large_gather(program, 6 * 264)


@pytest.mark.parametrize("far", [12.0, 16.0, 30.0])
def test_second_derivatives_of_a_row_that_is_sure_of_the_wrong_class(far):
    """With h = x and W = 1 the product of Hessian and v is p (v - sum p v), of which nothing may cancel."""
    logits = np.array([far, 0, 0.5, -0.3], np.float32)
    direction = np.array([1.0, 0.3, -0.7, 0.2], np.float32)
    with mpmath.workdps(60):
        p = [mpmath.exp(mpmath.mpf(float(x))) for x in logits]
        p = [x / mpmath.fsum(p) for x in p]
        mean = mpmath.fsum(a * float(b) for a, b in zip(p, direction, strict=True))
        expected = np.array([float(a * (float(b) - mean)) for a, b in zip(p, direction, strict=True)])
    for loss, keywords in ((head, {}), (head, {"strategy": "small", "memory": 4}), (by_sequence(head), {})):

        def slope(hidden, loss=loss, keywords=keywords):
            rows = hidden[None, None], jnp.array([[1]])
            return jax.grad(lambda h: jnp.sum(loss(*rows[:0], h, rows[1], jnp.eye(4), **keywords)))(rows[0])[0, 0]

        got = jax.jit(lambda x, v, f=slope: jax.jvp(f, (x,), (v,))[1])(logits, direction)
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=3e-7 * np.max(np.abs(expected)))
