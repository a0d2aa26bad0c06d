"""What callers hand over is taken for what it is: integers of any width, lists, numbers, objects around arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

absolute, squared, huber = jaxloss.absolute_error, jaxloss.squared_error, jaxloss.huber
binary, sparse = jaxloss.sigmoid_binary_cross_entropy, jaxloss.softmax_cross_entropy_with_integer_labels
P = jnp.array([1.0, 3.0])


class Parameter:
    """An array in a box, as libraries of layers have them."""

    def __init__(self, value):
        self.value = value

    def __jax_array__(self):
        return self.value


# ------------------------------------------------------------------------------------------------------- wide integers


@pytest.mark.parametrize("kind", [np.int64, np.uint64, list])
def test_targets_beyond_32_bits(kind):
    prediction = jnp.array([3.1e9, 5.2e9])
    target = [3_000_000_000, 5_000_000_000] if kind is list else np.array([3_000_000_000, 5_000_000_000], kind)
    np.testing.assert_allclose(absolute(prediction, target), 1.5e8, rtol=1e-5)
    np.testing.assert_allclose(absolute(prediction, target, where=np.array([True, False])), 1e8, rtol=1e-5)


def test_numbers_beyond_32_bits():
    np.testing.assert_allclose(absolute(P, 3_000_000_000), 3e9, rtol=1e-6)
    np.testing.assert_allclose(absolute(P, np.int64(-3_000_000_000)), 3e9, rtol=1e-6)
    np.testing.assert_allclose(absolute(P, 2**70), 2.0**70, rtol=1e-6)


@pytest.mark.parametrize("weights", [[2**32, 2**32], [2**63, 2**63]], ids=str)
def test_weights_beyond_32_bits(weights):
    assert squared(P, 0.0, weights=np.array(weights, np.uint64)) == squared(P, 0.0, weights=weights) == 5
    assert squared(P, 0.0, weights=np.array(weights, np.uint64), where=np.array([False, True])) == 9


def test_options_beyond_32_bits():
    assert huber(P, 0.0, delta=np.array([2**33, 2**33])) == huber(P, 0.0, delta=np.int64(2**33)) == 2.5


def test_batches_beyond_32_bits():
    cost = jaxloss.value_and_grad(lambda p, y: absolute.tally(p * jnp.ones(y.shape), y), microbatch_size=2)
    value, gradient = cost(jnp.float32(0), np.array([3_000_000_000, 5_000_000_000, 1, 0]))
    np.testing.assert_allclose(value, 2e9, rtol=1e-6)
    assert gradient == -0.75  # at 0 the slope is 0


def test_integers_that_fit_are_integers_still():
    with pytest.raises(ValueError, match="targets looks like integer labels"):
        jaxloss.softmax_cross_entropy(jnp.ones((2, 3)), np.array([0, 1], np.int64))


# ----------------------------------------------------------------------------------------------------- lists and boxes


def test_lists_are_taken_as_arrays():
    logits = jnp.zeros((2, 3))
    expected = binary(logits, jnp.ones((2, 3)), positive_weight=jnp.array([1.0, 2.0, 3.0]))
    assert binary(logits, [[1, 1, 1], [1, 1, 1]], positive_weight=[1, 2, 3]) == expected
    assert binary(logits, jnp.ones((2, 3)), positive_weight=(1.0, jnp.float32(2), np.float32(3))) == expected
    assert jax.jit(lambda x: binary(logits, jnp.ones((2, 3)), positive_weight=[x, 2 * x, 3 * x]))(1.0) == expected
    assert sparse(logits, [0, 1], where=[True, False], weights=[1, 2]) == sparse(logits, [0, 2])
    counts = [10, 10, 10]
    assert jaxloss.ldam(logits, [0, 1], class_counts=counts) == jaxloss.ldam(
        logits, [0, 1], class_counts=np.array(counts)
    )


@pytest.mark.parametrize(
    "run", [lambda call, *x: call(*x), lambda call, *x: jax.jit(call)(*x)], ids=["eager", "jitted"]
)
def test_objects_that_hold_an_array(run):
    def cost(prediction, delta, weights, where):
        box = Parameter
        return huber(box(prediction), box(np.zeros(2)), delta=box(delta), weights=box(weights), where=box(where))

    # 2 (3 - 1) with weight 3, and a half with weight 1
    assert run(cost, P, jnp.float32(2.0), P, jnp.array([True, True])) == (3 * 4 + 0.5) / 4
    assert run(cost, P, jnp.float32(2.0), P, jnp.array([False, True])) == 4


@pytest.mark.parametrize("scale", [2, np.float64(2), np.float16(2), np.int64(2), np.array(2), np.array(2.0)], ids=repr)
def test_a_number_of_numpy_is_the_number_of_python(scale):
    seen = []
    loss = jaxloss.custom_loss(lambda u, v, *, scale=1.0: seen.append(scale) or scale * (u - v))
    assert loss(P, 0.0, scale=scale) == 4
    assert [(type(x), x) for x in seen] == [(float, 2.0)]


def test_an_object_that_holds_an_array_bound_in_a_loss():
    assert jaxloss.reduce(functools.partial(huber, delta=Parameter(jnp.float32(2.0))), "sum")(P, 0.0) == 4.5
    with pytest.raises(ValueError, match=r"delta must be > 0, got"):
        huber(P, 0.0, delta=Parameter(np.float32(-1)))


# ------------------------------------------------------------------------------------------------------- out of domain


@pytest.mark.parametrize("array", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(
    "loss",
    [
        jaxloss.kl_divergence,
        jaxloss.generalized_kl_divergence,
        jaxloss.jensen_shannon_divergence,
        functools.partial(jaxloss.renyi_divergence, alpha=0.5),
        functools.partial(jaxloss.renyi_divergence, alpha=2.0),
        jaxloss.hellinger_distance,
        jaxloss.total_variation_distance,
    ],
    ids=["kl", "generalized_kl", "jensen_shannon", "renyi_half", "renyi_2", "hellinger", "total_variation"],
)
def test_a_negative_probability_is_nan_for_its_item(loss, array):
    half = np.full((3, 2), 0.5, np.float32)
    rows = [half, half]
    rows[array] = np.float32([[0.5, 0.5], [-0.5, 1.5], [1.0, -0.0]])
    values = jaxloss.reduce(loss, "none")(*rows)
    np.testing.assert_array_equal(np.isnan(values), [False, True, False])
    assert not np.isnan(loss(*rows, where=np.array([True, False, True])))
