"""What `Tally` promises: sums that do not drift, however they are carried, and weights of any size."""

import functools
from dataclasses import FrozenInstanceError

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss
from jaxloss import Tally
from jaxloss.numerics import safe_sqrt

NAN = np.nan

error = jaxloss.absolute_error
squared = jaxloss.squared_error
total = functools.partial(jaxloss.reduce, how="sum")
none = functools.partial(jaxloss.reduce, how="none")
mean_of_rows = jaxloss.reduce(error, axis=-1)

both_x64 = pytest.mark.parametrize("x64", [False, True], ids=["x64-off", "x64-on"])


def f32(values):
    return np.asarray(values, np.float32)


def numbers(tally):
    return np.asarray(tally.numerator).tolist(), np.asarray(tally.denominator).tolist()


# ------------------------------------------------------------------------------------------------------------ addition


def test_tallies_add_up():
    a, b = Tally(2.0, 1.0), Tally(90, 9)
    assert numbers(a + b) == numbers(sum([a, b])) == numbers(0 + (b + a)) == numbers(sum([b], a)) == (92.0, 10.0)
    assert numbers(a + Tally(0, 0)) == numbers(a) == numbers(sum([a]))
    np.testing.assert_allclose((a + b).mean, 9.2, rtol=1e-6)


def test_finish_is_the_last_step_of_the_sum():
    p, t = f32([1, 2, 6, 7]), f32([0, 0, 0, 0])
    losses = (error, total(error), jaxloss.reduce(squared, lambda tally: safe_sqrt(tally.mean)))
    for loss, expected in zip(losses, (4, 16, np.sqrt(90 / 4)), strict=True):
        tally = loss.tally(p[:1], t[:1]) + loss.tally(p[1:], t[1:])
        np.testing.assert_allclose(loss.finish(tally), expected, rtol=1e-6)
        np.testing.assert_allclose(loss(p, t), expected, rtol=1e-6)


def test_tally_takes_the_inner_steps():
    values, weights = f32([[1, 2, NAN], [4, NAN, NAN], [NAN, NAN, NAN]]), f32([1, 3, 100])
    tally = jax.jit(lambda p: mean_of_rows.tally(p, jnp.zeros((3, 3)), where=~jnp.isnan(p), weights=weights))(values)
    assert numbers(tally) == (13.5, 4.0)  # 1 * 1.5 + 3 * 4
    unmasked = total(mean_of_rows).tally(f32(np.arange(1, 10).reshape(3, 3)), 0.0)
    np.testing.assert_allclose([unmasked.numerator, unmasked.denominator], [15, 3], rtol=1e-6)


def test_the_mean_of_nothing():
    value, gradient = jax.value_and_grad(lambda tally: tally.mean)(Tally(0.0, 0.0))
    assert (value, *numbers(gradient)) == (0, 0, 0)
    gradient = jax.grad(lambda tally: tally.mean)(Tally(3.0, 2.0))
    assert numbers(gradient) == (0.5, -0.75)  # 1 / d and -n / d**2
    several = Tally(f32([1, 2]), 0.0).mean
    np.testing.assert_array_equal(several, [0, 0])


@both_x64
def test_tallies_are_kept_in_float32_at_least(x64):
    with jax.enable_x64(x64):
        half = Tally(jnp.bfloat16(1), jnp.bfloat16(1))
        assert {half.numerator.dtype, half.denominator.dtype} == {jnp.dtype(jnp.float32)}
        # bfloat16 stops counting at 256.
        assert numbers(sum([half] * 300)) == (300.0, 300.0)
        wide = Tally(np.float64(1), 1)
        assert {wide.numerator.dtype, wide.denominator.dtype} == {jnp.dtype(jnp.float64 if x64 else jnp.float32)}
        gradients = Tally({"w": jnp.ones(2, jnp.float16), "b": jnp.float32(1)}, 2)
        assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype(jnp.float32)}


@both_x64
def test_tallies_of_different_precision_add_up(x64):
    with jax.enable_x64(x64):
        tally = Tally(0, 0) + error.tally(f32([1, 2]), 0.0) + Tally(np.float64(4), 1)
    assert numbers(tally) == (7.0, 3.0)


# ------------------------------------------------------------------------------------------------- sums do not drift


@jax.jit
def added(start, tally, times):
    return jax.lax.fori_loop(0, times, lambda _, sum_: sum_ + tally, start)


@pytest.mark.parametrize(
    ("start", "tally", "times"),
    [
        ((0.5 * 2**24, 2.0**24), (1.5, 1.0), 2**24),  # 2**24 tokens one by one, after as many in one batch
        ((0.0, 0.0), (2345.0, 1000.0), 200_000),
        ((0.0, 0.0), (0.1, 0.3), 10**6),
        ((1e9, 0.0), (-1e3, 1e-3), 10**6),  # the numerator goes back to 0
        ((0.0, 2.0**25), (1e-30, 1e-2), 10**5),  # of a batch, not one digit reaches the sum
    ],
    ids=["tokens", "batches", "fractions", "back", "small"],
)
def test_a_sum_does_not_drift(start, tally, times):
    found = added(Tally(*start), Tally(*tally), times)
    expected = [float(np.float32(a)) + times * float(np.float32(b)) for a, b in zip(start, tally, strict=True)]
    np.testing.assert_allclose(numbers(found), expected, rtol=2e-7, atol=1e-5)


def test_a_count_of_single_tokens_goes_on():
    """Beyond 2**24 the sum is a multiple of 2, and beyond 2**25 of 4: the rest must join it when it is large enough."""
    found = added(Tally(0.0, 2.0**25), Tally(1.0, 1.0), 2**20 + 1)
    assert numbers(found) == (2**20 + 1, 2**25 + 2**20)
    assert numbers(found + Tally(1.0, 1.0) + Tally(1.0, 1.0) + Tally(1.0, 1.0)) == (2**20 + 4, 2**25 + 2**20 + 4)


def test_sum_of_a_list_does_not_drift():
    assert numbers(sum([Tally(1.0, 1.0)] * 500, Tally(2.0**24, 2.0**25))) == (2**24 + 500, 2**25 + 500)


def test_loops_of_the_library_do_not_drift():
    """10**6 micro-batches, and as many chunks, of one value each."""
    values = jnp.full(10**6, 0.1, jnp.float32)

    def cost(scale, batch):
        tally = error.tally(scale * batch, jnp.zeros_like(batch), weights=jnp.full_like(batch, 0.3))
        return tally, tally

    step = jax.jit(jaxloss.value_and_grad(cost, "sum", microbatch_size=1, has_aux=True))
    (value, aux), _ = step(jnp.float32(1), values)
    chunked = jaxloss.reduce(error, "sum", chunk_size=1)
    by_chunks, gradient = jax.jit(jax.value_and_grad(chunked))(values, jnp.zeros_like(values))
    tenth, weight = float(np.float32(0.1)), float(np.float32(0.3))
    np.testing.assert_allclose([value, *numbers(aux)], [1e6 * tenth * weight, 1e6 * tenth * weight, 1e6 * weight], 2e-7)
    np.testing.assert_allclose(by_chunks, 1e6 * tenth, rtol=2e-7)
    np.testing.assert_array_equal(gradient, 1)


def test_the_derivative_is_that_of_the_plain_sum():
    def sums(a, b):
        tally = Tally(a, 2 * a) + Tally(b, b * b) + Tally(2.0**24, 2.0**24)
        return jnp.stack([tally.numerator, tally.denominator])

    expected = [[1, 1], [2, 6]]
    for derivative in (jax.jacrev, jax.jacfwd):
        np.testing.assert_array_equal(np.stack(jax.jit(derivative(sums, (0, 1)))(1.0, 3.0), 1), expected)

    def mean(a):
        return (Tally(a * a, a) + Tally(1.0, 3.0)).mean  # (a**2 + 1) / (a + 3)

    np.testing.assert_allclose(jax.hessian(mean)(1.0), 20 / 4**3, rtol=1e-6)  # 2 (9 + 1) / (a + 3)**3


@pytest.mark.parametrize("jit", [True, False], ids=["jit", "disable-jit"])
def test_an_infinite_sum_stays_infinite(jit):
    with jax.disable_jit(not jit), jax.debug_nans(True):
        assert numbers(Tally(np.inf, 1.0) + Tally(1.0, 1.0) + Tally(1.0, 1.0)) == (np.inf, 3)
    assert np.isnan((Tally(np.inf, 1.0) + Tally(-np.inf, 1.0)).mean)


def test_gradients_take_no_more_memory():
    """A numerator that is a pytree is a plain sum: nothing is kept beside it."""
    gradients = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
    tally = Tally(gradients, 1.0) + Tally(gradients, 1.0)
    assert sum(leaf.size for leaf in jax.tree.leaves(tally)) == 8 + 2
    np.testing.assert_array_equal(tally.mean["w"], np.ones((3, 2)))


# ------------------------------------------------------------------------------------------------ what carries a tally


def test_a_tally_is_a_pytree():
    tally = Tally(f32([1, 2]), 2.0)
    leaves, structure = jax.tree.flatten(tally)
    assert [leaf.shape for leaf in leaves] == [(2,), (), (2,), ()]
    assert numbers(jax.tree.unflatten(structure, leaves)) == ([1, 2], 2)
    assert numbers(jax.tree.map(lambda leaf: 2 * leaf, tally)) == ([2, 4], 4)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tally)]
    assert paths[:2] == [".numerator", ".denominator"]
    assert jax.eval_shape(lambda t: t + t, tally).numerator.shape == (2,)
    assert "rest" not in repr(tally)
    with pytest.raises(FrozenInstanceError):
        tally.numerator = 0.0


@both_x64
def test_a_tally_as_scan_carry(x64):
    batches = f32([[1, 2], [3, 4], [5, NAN]])
    mask = ~np.isnan(batches)

    def over_batches(batches):
        def step(tally, batch):
            errors, mask = batch
            return tally + error.tally(errors, jnp.zeros_like(errors), where=mask), None

        return jax.lax.scan(step, Tally(0, 0), (batches, mask))[0]

    def cost(batches):
        tally = over_batches(batches)
        return error.finish(tally), tally

    with jax.enable_x64(x64):
        (value, tally), gradient = jax.jit(jax.value_and_grad(cost, has_aux=True))(batches)
    assert (float(value), *numbers(tally)) == (3, 15, 5)
    np.testing.assert_allclose(gradient, [[0.2, 0.2], [0.2, 0.2], [0.2, 0]], rtol=1e-6)


def test_tallies_under_vmap():
    rows, mask = f32([[1, 2], [3, NAN]]), np.array([[True, True], [True, False]])

    def one_shard(row, mask):
        local = error.tally(row, jnp.zeros(2), where=mask)
        return local, jax.lax.psum(local, "shards")

    local, everywhere = jax.jit(jax.vmap(one_shard, axis_name="shards"))(rows, mask)
    assert numbers(local) == ([3, 3], [2, 1])
    assert numbers(everywhere) == ([6, 6], [3, 3])
    np.testing.assert_allclose(local.mean, [1.5, 3])
    axes = jax.tree.map(lambda _: 0, local)
    np.testing.assert_allclose(jax.vmap(error.finish, in_axes=(axes,))(everywhere), [2, 2])
    assert numbers(jax.tree.map(jnp.sum, local)) == (6, 3)


def test_tallies_in_shard_map():
    """Each device adds up its own batches; the numerator varies over the mesh, the denominator does not."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(jax.P(), jax.P(None, "data")), out_specs=jax.P())
    def cost(scale, batches):
        def step(tally, batch):
            return tally + error.tally(scale * batch, jnp.zeros_like(batch)), None

        first = error.tally(scale * batches[0], jnp.zeros_like(batches[0])) + Tally(0.0, 2.0**24)
        tally = jax.lax.scan(step, first, batches[1:])[0]
        return error.finish(jax.lax.psum(tally, "data"))

    batches = f32(np.full((301, 12), 1 + 2**24 / 903))
    value, gradient = jax.jit(jax.value_and_grad(cost))(jnp.float32(1), batches)
    np.testing.assert_allclose(value, 1, rtol=1e-6)  # 12 * 301 values: each device counts 903 and 2**24
    np.testing.assert_allclose(gradient, 1, rtol=1e-5)


def test_gradients_accumulated_over_steps():
    rng = np.random.default_rng(5)
    x, y, kept = rng.normal(size=(9, 3)), rng.normal(size=9), rng.random(9) < 0.6
    parameters = {"w": f32([0.5, -1, 2]), "b": f32(0.25)}
    optimiser = optax.sgd(0.1, momentum=0.9)

    @jax.jit
    def micro_step(parameters, x, y, kept):
        def cost(parameters):
            tally = squared.tally(x @ parameters["w"] + parameters["b"], y, where=kept)
            return tally.numerator, tally.denominator

        (numerator, denominator), gradients = jax.value_and_grad(cost, has_aux=True)(parameters)
        return Tally((numerator, gradients), denominator)

    micro_batches = [(0, 2), (2, 3), (3, 9)]
    value, gradients = sum(micro_step(parameters, f32(x[a:b]), f32(y[a:b]), kept[a:b]) for a, b in micro_batches).mean
    updates, _ = optimiser.update(gradients, optimiser.init(parameters), parameters)
    stepped = optax.apply_updates(parameters, updates)

    e = (x @ parameters["w"].astype(float) + 0.25 - y)[kept]
    np.testing.assert_allclose(value, np.mean(e**2), rtol=1e-5)
    np.testing.assert_allclose(stepped["w"], parameters["w"] - 0.1 * 2 * x[kept].T @ e / len(e), rtol=1e-5)
    np.testing.assert_allclose(stepped["b"], 0.25 - 0.1 * 2 * np.mean(e), rtol=1e-5)


def test_tallies_in_optax_microbatching():
    p, mask = f32([1, 2, 3, NAN, 5, NAN]), np.array([True, True, True, False, True, False])
    tally_of = optax.microbatching.microbatch(
        lambda p, mask: error.tally(p, jnp.zeros_like(p), where=mask),
        (0, 1),
        2,
        optax.microbatching.AccumulationType.SUM,
    )
    tally = jax.jit(tally_of)(p, mask)
    assert isinstance(tally, Tally)
    assert numbers(tally) == (11.0, 4.0)


# ----------------------------------------------------------------------------------------------------- counts, weights


@pytest.mark.parametrize("shape", [(2**16, 1), (1, 2**15 + 16), (2**16,)], ids=["column", "row", "leading"])
def test_more_than_two_to_the_31_values_count(shape):
    values = (2**16, 2**15 + 16)

    def count(where):
        where = jnp.broadcast_to(where, values) if where.ndim == 2 else where
        return error.tally(jnp.ones(values), jnp.zeros(values), where=where).denominator

    assert float(jax.jit(count)(np.ones(shape, bool))) == 2**16 * (2**15 + 16)


LOSSES = (error, mean_of_rows, jaxloss.reduce(error, axis=0), jaxloss.reduce(error, chunk_size=2))


@jax.jit
def means(p, where, weights):
    """A mean by every way that weights go, and its gradient."""

    def batch_cost(scale, batch):
        return error.tally(scale * batch["p"], jnp.zeros_like(batch["p"]), where=batch["where"], weights=batch["w"])

    def whole(p, loss):
        return loss(p, jnp.zeros_like(p), where=where, weights=weights)

    def by_tallies(p):
        halves = [slice(0, 1), slice(1, None)]
        zeros = jnp.zeros_like(p)
        return sum(error.tally(p[h], zeros[h], where=where[h], weights=weights[h]) for h in halves).mean

    costs = [functools.partial(whole, loss=loss) for loss in LOSSES]
    found = [jax.value_and_grad(cost)(p) for cost in (*costs, by_tallies)]
    batch = {"p": p, "where": where, "w": weights}
    by_rows = jaxloss.reduce(error, axis_name="rows")
    mapped = jax.vmap(
        lambda p, where, w: by_rows(p, jnp.zeros_like(p), where=where, weights=w), (0, 0, 0), axis_name="rows"
    )(p, where, weights)
    return found, jaxloss.value_and_grad(batch_cost, microbatch_size=2)(jnp.float32(1), batch), mapped


@pytest.mark.parametrize("weight", [1e-30, 3e-20, 7.0, 2e20, 1e30])
@pytest.mark.parametrize("axes", [1, 2])
def test_a_constant_weight_changes_nothing_in_a_mean(weight, axes):
    p = f32([[1, 2, NAN], [4, NAN, NAN], [NAN, NAN, NAN]])
    weights = [np.full((3, 3)[:axes], w, np.float32) for w in (1, weight)]
    expected, found = (means(p, ~np.isnan(p), w) for w in weights)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), found, expected)
    np.testing.assert_allclose([value for value, _ in found[0]], [7 / 3, 2.75, 2.25, 7 / 3, 7 / 3], rtol=1e-6)


def test_weights_of_other_kinds_change_nothing_either():
    p = f32([[1, 2, 3], [4, 5, 6]])
    for weights in (7, 7.0, np.float64(7), np.full(2, 7), jnp.full(2, 7, jnp.bfloat16), np.full((2, 3), True)):
        np.testing.assert_allclose(error(p, 0.0, weights=weights), 3.5, rtol=1e-6)


@pytest.mark.parametrize("smallest", [0.0, -0.0, 1e-39, 1e-45])
def test_a_weight_of_0_or_a_subnormal_one_is_a_mask(smallest):
    p, weights = f32([NAN, 2, 4]), f32([smallest, 1, 3])
    value, gradients = jax.jit(jax.value_and_grad(lambda p, w: error(p, jnp.zeros(3), weights=w), (0, 1)))(p, weights)
    assert value == 3.5
    np.testing.assert_allclose(gradients, [[0, 0.25, 0.75], [0, -0.375, 0.125]], rtol=1e-6)


@pytest.mark.parametrize("mode", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_a_negative_weight_in_an_array_makes_its_value_nan(mode):
    p, weights = f32([[1, 2], [3, 4], [5, 6]]), f32([[-1, 1], [1, 3], [-2, -2]])

    def cost(loss, where=None):
        return mode(lambda p, w: loss(p, jnp.zeros_like(p), where=where, weights=w))(p, weights)

    np.testing.assert_array_equal(cost(none(error)), [[NAN, 2], [3, 12], [NAN, NAN]])
    np.testing.assert_array_equal(cost(none(mean_of_rows)), [NAN, (3 + 12) / 4, NAN])
    for loss in (error, total(error), jaxloss.reduce(error, chunk_size=2), mean_of_rows):
        assert np.isnan(cost(loss))
    with jax.debug_nans(True):
        assert cost(error, where=weights > 0) == (2 + 3 + 12) / 5


def test_a_negative_number_as_weight_is_refused():
    for weights in (-1.0, np.float32(-1), np.array(-1.0)):
        with pytest.raises(ValueError, match="absolute_error: weights must be >= 0"):
            error(f32([1, 2]), 0.0, weights=weights)
