"""Arrays and options of a loss, by name, shared, left out; and the dtypes that come of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

NAN = np.nan
error = jaxloss.absolute_error
both_x64 = pytest.mark.parametrize("x64", [False, True], ids=["x64-off", "x64-on"])


def f32(values):
    return np.asarray(values, np.float32)


@jaxloss.custom_loss(signature="(d),(),(d,v)->()")
def head(hidden, labels, kernel, *, temperature=1.0):
    scores = hidden @ kernel / temperature
    return jax.nn.logsumexp(scores) - scores[labels]


mean = functools.partial(jaxloss.reduce, how="mean")
none = functools.partial(jaxloss.reduce, how="none")


def test_arrays_by_name():
    assert jaxloss.huber(target=f32([0, 0]), prediction=f32([3, 0])) == 1.25  # (3 - 0.5) / 2


def test_scalars_in_elementwise_losses():
    p = f32([1, 2, 6])
    assert jax.jit(error)(p, 3.0) == jax.jit(error)(p, f32(3)) == error(3, p) == error(3, [1.0, 2.0, 6.0]) == 2
    assert error(6.5, 3) == 3.5
    # The scalar is shared: its gradient adds up, and a masked NaN beside it does no harm.
    gradient = jax.jit(jax.grad(lambda t: error(f32([1, 2, NAN]), t, where=np.array([True, True, False]))))(3.0)
    assert gradient == 1


def test_optional_arrays_are_left_out():
    @jaxloss.custom_loss
    def weighed(prediction, target, offset=None, factor=None):
        e = prediction - target
        e = e if offset is None else e + offset
        return e if factor is None else e * factor

    p = f32([1, 2])
    assert weighed(p, 0.0) == weighed(p, 0.0, None) == weighed(p, 0.0, offset=None, factor=None) == 1.5
    assert weighed(p, 0.0, f32([10, 20])) == 16.5
    assert weighed(p, 0.0, factor=f32([2, 3])) == weighed(p, 0.0, None, f32([2, 3])) == 4
    assert weighed(p, 0.0, f32([10, NAN]), where=np.array([True, False])) == 11


def test_an_optional_array_in_a_signature():
    @jaxloss.custom_loss(signature="(d),(d,v),(v)->()")
    def largest(hidden, kernel, bias=None):
        scores = hidden @ kernel
        return jnp.max(scores if bias is None else scores + bias)

    hidden, kernel = f32([[1, 2], [3, 4]]), f32([[1, 0, 1], [0, 1, 1]])
    assert jax.jit(largest)(hidden, kernel) == 5  # (3 + 7) / 2
    assert jax.jit(largest)(hidden, kernel, f32([10, 0, 0])) == 12  # (11 + 13) / 2
    assert jax.jit(largest)(hidden, kernel, bias=f32([[10, 0, 0], [0, 0, 0]])) == 9  # one for each: (11 + 7) / 2


def test_a_shared_kernel():
    rng = np.random.default_rng(1)
    hidden, kernel = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
    labels, mask = rng.integers(0, 5, (2, 3)), np.array([[True, False, True], [False, True, True]])
    poisoned = np.where(mask[..., None], hidden, NAN)
    wrong = np.where(mask, labels, 99)

    rows, chosen, temperature = hidden[mask], labels[mask], 2.0
    scores = rows @ kernel / temperature
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    slope = (p - np.eye(5)[chosen]) / len(rows)

    def cost(hidden, kernel, temperature):
        return head(hidden, wrong, kernel, temperature=temperature, where=mask)

    arrays = f32(poisoned), f32(kernel), f32(temperature)
    value, (to_hidden, to_kernel, to_temperature) = jax.jit(jax.value_and_grad(cost, (0, 1, 2)))(*arrays)
    np.testing.assert_allclose(value, np.mean(-np.log(p[range(4), chosen])), rtol=1e-5)
    np.testing.assert_allclose(to_hidden[mask], slope @ kernel.T / temperature, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(to_hidden[~mask], np.zeros((2, 4)))
    np.testing.assert_allclose(to_kernel, rows.T @ slope / temperature, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(to_temperature, -np.sum(slope * scores) / temperature, rtol=1e-4, atol=1e-6)
    forward = jax.jit(jax.jacfwd(cost, (1, 2)))(*arrays)
    np.testing.assert_allclose(forward[0], to_kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(forward[1], to_temperature, rtol=1e-4, atol=1e-6)


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (2, 3), (1, 1, 1)], ids=str)
def test_an_array_option_aligns_with_the_trailing_axes(shape):
    rng = np.random.default_rng(2)
    logits, targets = rng.normal(size=(4, 2, 3)), rng.integers(0, 2, (4, 2, 3))
    weight = rng.uniform(0.5, 2, shape)

    def cost(weight):
        return jaxloss.sigmoid_binary_cross_entropy(f32(logits), targets, positive_weight=weight)

    value, gradient = jax.jit(jax.value_and_grad(cost))(f32(weight))
    positive = targets * softplus(-logits)
    np.testing.assert_allclose(value, np.mean(weight * positive + (1 - targets) * softplus(logits)), rtol=1e-6)
    aligned = (1,) * (3 - len(shape)) + shape
    spread = tuple(axis for axis in range(3) if aligned[axis] == 1)
    expected = np.sum(positive, axis=spread, keepdims=True).reshape(shape) / 24
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_a_boolean_array_option_aligns_too():
    @jaxloss.custom_loss
    def signed(prediction, target, *, flipped=False):
        return jnp.where(flipped, target - prediction, prediction - target)

    assert jax.jit(lambda p: signed(p, 0.0, flipped=np.array([True, False])))(f32([[1, 10], [2, 20]])) == 27 / 4


def test_an_option_of_a_loss_with_a_signature_is_passed_as_it_is():
    @jaxloss.custom_loss(signature="(d),(d)->()")
    def scaled(u, v, *, scale, name="l1"):
        assert name == "l1"
        return jnp.sum(scale * (u - v))

    assert jax.jit(scaled)(f32([[1, 2], [3, 4]]), f32([[0, 0], [0, 0]]), scale=np.array([10.0, 1.0])) == 23


def test_an_output_with_a_core_axis():
    @jaxloss.custom_loss(signature="(n,d),(n)->(n)")
    def centred(points, target):
        return jnp.sum((points - jnp.mean(points, axis=0, keepdims=True)) ** 2, axis=-1) - target

    points = np.array([[[0.0, 0.0], [2.0, 0.0], [4.0, 6.0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 7.0]]])
    values = np.array([[8.0, 4, 20], [4, 4, 16]])  # around [2, 2] and [1, 3]
    arrays = f32(points), np.zeros((2, 3), np.float32)
    np.testing.assert_allclose(none(centred)(*arrays), values)
    # Where no output of an item counts, the item may hold anything; where one does, all its points have a say.
    first_only = np.array([[True, False, True], [False, False, False]])
    poisoned = f32(np.stack([points[0], np.full((3, 2), NAN)]))
    np.testing.assert_allclose(centred(poisoned, arrays[1], where=first_only), 14)
    np.testing.assert_allclose(centred(poisoned, arrays[1], where=np.array([True, False])), 32 / 3, rtol=1e-6)
    np.testing.assert_allclose(none(mean(centred, axis=-1))(*arrays), np.mean(values, axis=1), rtol=1e-6)
    np.testing.assert_allclose(mean(centred, axis=-1).tally(*arrays).numerator, 56 / 3, rtol=1e-6)
    np.testing.assert_allclose(centred(*arrays, weights=f32([[1, 0, 3], [0, 0, 0]])), (8 + 60) / 4, rtol=1e-6)


def test_an_inner_step_over_a_core_axis_crosses_no_split():
    loss = mean(jaxloss.custom_loss(lambda u: u, signature="(n)->(n)"), axis=-1)
    one = loss.tally(f32([1, 2, 6]))  # a single item, without an axis of items
    assert (float(one.numerator), float(one.denominator)) == (3, 1)
    np.testing.assert_allclose(loss.finish(one + loss.tally(f32([[1, 2, 3], [4, 4, 4]]))), 3, rtol=1e-6)


def test_a_size_in_the_signature():
    @jaxloss.custom_loss(signature="(2),(2)->()")
    def area(lower, upper):
        return jnp.prod(upper - lower)

    assert area(f32([[0, 0], [1, 1]]), f32([[2, 3], [2, 2]])) == 3.5
    with pytest.raises(ValueError, match=r"^area: lower has 3 along its axis '2' \(shape \(3,\)\)"):
        area(f32([0, 0, 0]), f32([1, 1, 1]))


# -------------------------------------------------------------------------------------------------------------- dtypes

LOW = [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64]


@pytest.mark.parametrize("second", LOW, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("first", LOW, ids=lambda dtype: dtype.__name__)
def test_dtypes_of_value_and_gradients(first, second):
    with jax.enable_x64(True):
        p, t = jnp.array([0.1, 2.7, -1.3], first), jnp.array([1.1, 0.4, 0.3], second)
        delta = jnp.array(0.7, jnp.float64)
        weights = jnp.array([1, 2, 3.0], jnp.float16)
        value, gradients = jax.jit(
            jax.value_and_grad(lambda *a: jaxloss.huber(*a[:2], delta=a[2], weights=a[3]), (0, 1, 2, 3))
        )(p, t, delta, weights)
        assert value.dtype == (jnp.float64 if jnp.float64 in (first, second) else jnp.float32)
        assert [gradient.dtype for gradient in gradients] == [first, second, jnp.float64, jnp.float16]
        e, w = np.asarray(p, np.float64) - np.asarray(t, np.float64), np.array([1, 2, 3])
        expected = np.where(np.abs(e) <= 0.7, e**2 / 2, 0.7 * (np.abs(e) - 0.35))
        # The inputs are rounded, the arithmetic is not.
        np.testing.assert_allclose(value, np.sum(w * expected) / 6, rtol=1e-6)
        slope = w * np.clip(e, -0.7, 0.7) / 6
        precision = max(float(jnp.finfo(first).eps), 1e-6)
        np.testing.assert_allclose(np.asarray(gradients[0], np.float64), slope, rtol=precision)


@both_x64
def test_scalars_do_not_decide_the_dtype(x64):
    with jax.enable_x64(x64):
        p = jnp.array([1.5, 2.5], jnp.float32)
        for scalar in (0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5)):
            value = error(p, scalar)
            assert (value.dtype, value) == (jnp.float32, 1.5)
        assert error(1.5, 0).dtype == (jnp.float64 if x64 else jnp.float32)
        assert error(np.array([1, 2]), 0).dtype == (jnp.float64 if x64 else jnp.float32)
        assert error(np.array([1.5, 2.5]), 0.5).dtype == (jnp.float64 if x64 else jnp.float32)


@both_x64
def test_everything_else_follows_the_arrays(x64):
    with jax.enable_x64(x64):
        p, t = jnp.array([[1.0, 2.0]], jnp.bfloat16), jnp.array([[0, 1]], jnp.uint8)
        weights, mask = np.array([[1.0, 3.0]]), np.array([[True, True]])
        loss = jaxloss.reduce(functools.partial(jaxloss.huber, delta=np.array([0.5, 2.0])), "sum")
        tally = loss.tally(p, t, where=mask, weights=weights)
        values = jaxloss.reduce(loss, "none")(p, t, where=mask, weights=weights)
    assert {tally.numerator.dtype, tally.denominator.dtype, values.dtype} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(values, [[0.375, 1.5]])  # 0.5 (1 - 0.25), and 3 times 0.5
    assert tally.denominator == 4
