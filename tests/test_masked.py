"""Masked is deleted, whatever stands behind the mask: on numbers worked by hand."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

NAN = np.nan
squared = jaxloss.squared_error
sparse = jaxloss.softmax_cross_entropy_with_integer_labels


def f32(values):
    return np.asarray(values, np.float32)


def _log_error(prediction, target, *, shift=1.0, scale=1.0):
    """Defined for predictions above the shift only."""
    return jnp.square(scale * jnp.log(prediction - shift) - target)


log_error = jaxloss.custom_loss(_log_error)


@jaxloss.custom_loss(signature="(d),(),(d,v)->()")
def head(hidden, labels, kernel, *, temperature=1.0):
    scores = hidden @ kernel / temperature
    return jax.nn.logsumexp(scores) - scores[labels]


PREDICTION, TARGET = np.array([1.5, 3.0, 2.2, 4.0]), np.array([0.3, -1.0, 0.5, 2.0])
KEPT = np.array([False, True, False, True])
SHIFT, SCALE = 1.25, 0.75
POISONS = {
    "nan": (NAN, NAN),
    "inf": (np.inf, -np.inf),
    "on-the-edge": (SHIFT, 0.0),
    "outside": (-5.0, 0.0),
    "huge": (3e38, -3e38),
}


def log_error_by_hand():
    """Value, and gradients in prediction, target, shift and scale, of the two items that count."""
    x, y = PREDICTION[KEPT] - SHIFT, TARGET[KEPT]
    e = SCALE * np.log(x) - y
    gradient = np.zeros((2, 4))
    gradient[:, KEPT] = [e * SCALE / x, -e]
    return np.mean(e**2), *gradient, np.mean(-2 * e * SCALE / x), np.mean(2 * e * np.log(x))


DECLARED = {
    "nothing": None,  # an item that counts is looked for
    "a number": 20.0,
    "a mapping": {"prediction": 20.0, "target": 0},
    "a part of them": {"prediction": 20.0},
}
both_modes = pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd], ids=["reverse", "forward"])


@both_modes
@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("declared", DECLARED)
def test_poison_behind_the_mask_of_a_loss_with_a_domain(declared, poison, derivative):
    loss = jaxloss.custom_loss(_log_error, stand_in=DECLARED[declared])
    arrays = [f32(np.where(KEPT, a, b)) for a, b in zip((PREDICTION, TARGET), POISONS[poison], strict=True)]

    def cost(prediction, target, shift, scale):
        return loss(prediction, target, shift=shift, scale=scale, where=KEPT)

    value, *expected = log_error_by_hand()
    arguments = *arrays, f32(SHIFT), f32(SCALE)
    np.testing.assert_allclose(cost(*arguments), value, rtol=1e-5)
    for gradient, by_hand in zip(jax.jit(derivative(cost, (0, 1, 2, 3)))(*arguments), expected, strict=True):
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-5)


@both_modes
@pytest.mark.parametrize("declared", DECLARED)
def test_nothing_counts(declared, derivative):
    loss = jaxloss.custom_loss(_log_error, stand_in=DECLARED[declared])

    def cost(prediction, target, shift, scale, weights):
        return loss(prediction, target, shift=shift, scale=scale, where=np.zeros(2, bool), weights=weights)

    # No item is in the domain, and the shared arguments do not get to know.
    arguments = f32([NAN, -1]), f32(0), f32(50), f32(NAN), f32([NAN, 1])
    assert jax.jit(cost)(*arguments) == 0
    for gradient in jax.jit(derivative(cost, (0, 1, 2, 3, 4)))(*arguments):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_second_derivatives_behind_the_mask():
    poisoned = np.where(KEPT, PREDICTION, NAN)
    hessian = jax.jit(jax.hessian(lambda p: log_error(p, f32(TARGET), shift=SHIFT, scale=SCALE, where=KEPT)))(
        f32(poisoned)
    )
    x, y = PREDICTION - SHIFT, TARGET
    diagonal = np.where(KEPT, SCALE * (SCALE - SCALE * np.log(x) + y) / x**2, 0)
    np.testing.assert_allclose(hessian, np.diag(diagonal), rtol=1e-5)


def test_nothing_counts_for_a_shared_kernel():
    def cost(kernel, temperature, weights):
        return head(f32([[NAN, 1]]), np.array([7]), kernel, temperature=temperature, weights=weights)

    arguments = f32([[1, 2], [3, 4]]), f32(0), f32([0])
    value, gradients = jax.jit(jax.value_and_grad(cost, (0, 1, 2)))(*arguments)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_nothing_counts_for_sums_and_values(reduction):
    loss = jaxloss.reduce(log_error, reduction)
    p = f32([NAN, -1, 2])
    np.testing.assert_array_equal(loss(p, 0.0, where=False), np.zeros(3 if reduction == "none" else ()))
    np.testing.assert_array_equal(jax.jit(jax.grad(lambda p: jnp.sum(loss(p, 0.0, where=False))))(p), np.zeros(3))


def test_masked_single_items_under_vmap():
    poisoned = f32(np.where(KEPT, PREDICTION, -5)), f32(np.where(KEPT, TARGET, NAN))

    def one(p, t, counts, shift):
        return log_error(p, t, shift=shift, scale=SCALE, where=counts)

    arguments = *poisoned, KEPT, f32(SHIFT)
    axes = (0, 0, 0, None)
    values = jax.jit(jax.vmap(one, axes))(*arguments)
    x, y = PREDICTION - SHIFT, TARGET
    e = SCALE * np.log(x) - y
    np.testing.assert_allclose(values, np.where(KEPT, e**2, 0), rtol=1e-5)
    for derivative in (jax.grad, jax.jacfwd):
        to_prediction, to_shift = jax.jit(jax.vmap(derivative(one, (0, 3)), axes))(*arguments)
        slope = np.where(KEPT, 2 * e * SCALE / x, 0)
        np.testing.assert_allclose(to_prediction, slope, rtol=1e-5)
        np.testing.assert_allclose(to_shift, -slope, rtol=1e-5)


def test_masked_labels_and_masks_of_a_batch():
    # The first row that counts takes the place of the others, with its own class_mask.
    logits = f32([[NAN, NAN, NAN], [1, 2, 50], [np.inf, -np.inf, NAN]])
    class_mask = np.array([[False, False, False], [True, True, False], [False, True, False]])
    kept = np.array([False, True, False])
    value, gradient = jax.jit(
        jax.value_and_grad(lambda x: sparse(x, np.array([9, 0, -1]), class_mask, where=kept, label_smoothing=0.1))
    )(logits)
    np.testing.assert_allclose(value, np.log1p(np.e) - 0.05, rtol=1e-6)  # 0.95 log(1 + e) + 0.05 (log(1 + e) - 1)
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(gradient, [[0, 0, 0], [p - 0.95, 0.95 - p, 0], [0, 0, 0]], rtol=1e-5)


@pytest.mark.parametrize("mode", ["eager", "jitted"])
def test_poison_under_debug_nans(mode):
    prediction, target = f32([NAN, 1, 3]), f32([0, 0, NAN])
    logits, labels = f32([[1, 2], [NAN, NAN]]), np.array([0, 7], np.int32)
    weights = f32([NAN, 2, 1])
    arrays = jax.tree.map(jnp.asarray, (prediction, target, logits, labels, weights))
    mask, rows = jnp.array([False, True, False]), jnp.array([True, False])

    def cost(prediction, target, logits, labels, weights):
        return (
            squared(prediction, target, where=mask, weights=weights)
            + sparse(logits, labels, where=rows)
            + log_error(prediction, target, where=mask, shift=0.5)
        )

    derivative = jax.value_and_grad(cost, (0, 1, 2, 4))
    with jax.debug_nans(True):
        value, gradients = (derivative if mode == "eager" else jax.jit(derivative))(*arrays)
    np.testing.assert_allclose(value, 1 + np.log1p(np.e) + np.log(0.5) ** 2, rtol=1e-6)
    slope = 2 + 2 * np.log(0.5) / 0.5
    p = 1 / (1 + np.e)
    expected = [0, slope, 0], [0, -2 - 2 * np.log(0.5), 0], [[p - 1, 1 - p], [0, 0]], [0, 0, 0]
    for gradient, by_hand in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, by_hand, rtol=1e-5)


@pytest.mark.parametrize("kind", [np.int32, np.uint8, bool])
def test_what_stands_in_for_integers_is_no_integer(kind):
    entropy = jaxloss.custom_loss(lambda rate, count: rate - count * jnp.log(rate), stand_in=0.5)
    rate, where = jnp.asarray([1, 0, 1], kind), jnp.array([True, False, True])
    with jax.debug_nans(True):
        assert jax.jit(lambda rate: entropy(rate, rate, where=where))(rate) == 1


@pytest.mark.parametrize("mode", ["eager", "jitted"])
@pytest.mark.parametrize("loss", [sparse, jaxloss.linear_softmax_cross_entropy], ids=lambda loss: loss.__name__)
def test_a_label_stands_in_that_a_shared_mask_forbids(loss, mode):
    linear = loss is not sparse
    loss = jaxloss.custom_loss(
        loss.__wrapped__, signature=loss.signature, stand_in=0.5, weighted_sum=loss._term.weighted_sum
    )
    rng = np.random.default_rng(0)
    logits, kernel = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    forbidden, where = jnp.array([False, True, True]), jnp.array([True, False, True, False])
    labels = jnp.array([1, 7, 2, -1])
    poisoned = jnp.asarray(np.where(where[:, None], logits, NAN), jnp.float32)
    kernel = jnp.asarray(kernel, jnp.float32)

    def cost(x, kernel, smoothing):
        options = {"label_smoothing": smoothing, "where": where}
        if linear:
            return loss(x, labels, kernel, class_mask=forbidden, **options)
        return loss(x @ kernel, labels, forbidden, **options)

    derivative = jax.value_and_grad(cost, (0, 1, 2))
    if linear or mode == "jitted":  # what comes before a loss has its own NaN
        derivative = jax.jit(derivative)
    kept = jnp.asarray(logits[where], jnp.float32)

    def expected(kept, kernel, smoothing):
        scores = (kept @ kernel)[:, 1:]
        surprisal = jax.nn.logsumexp(scores, axis=1, keepdims=True) - scores
        targets = (1 - smoothing) * jnp.eye(2) + smoothing / 2
        return jnp.mean(jnp.sum(targets * surprisal, 1))

    wanted, slopes = jax.jit(jax.value_and_grad(expected, (0, 1, 2)))(kept, kernel, 0.1)
    with jax.debug_nans(linear):
        value, (to_x, to_kernel, to_smoothing) = derivative(poisoned, kernel, 0.1)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(to_x[jnp.array([0, 2])], slopes[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(to_smoothing, slopes[2], rtol=1e-4)
    if linear:
        np.testing.assert_array_equal(to_x[jnp.array([1, 3])], np.zeros((2, 3)))
        np.testing.assert_allclose(to_kernel, slopes[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "given", ["0.5", NAN, {"prediction": NAN}, {"nothing": 0.5}, {"prediction": None}, {}, [0.5]], ids=repr
)
def test_what_cannot_stand_in(given):
    with pytest.raises(TypeError, match=r"^_log_error: stand_in must be a finite number, or a mapping"):
        jaxloss.custom_loss(_log_error, stand_in=given)


def test_a_stand_in_is_a_part_of_the_loss():
    one, other = (jaxloss.custom_loss(_log_error, stand_in=given) for given in (2.0, {"prediction": 2, "target": 2}))
    assert one == other != jaxloss.custom_loss(_log_error)
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
