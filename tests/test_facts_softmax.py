"""How the softmax losses are related: what one becomes at the limit of an option is another, to rounding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss

K = 6
LOGITS = np.random.default_rng(0).normal(size=(8, K)).astype(np.float32) * 3
LABELS = np.arange(8) % K
ONE_HOT = np.eye(K, dtype=np.float32)[LABELS]
SOFT = np.random.default_rng(1).dirichlet(np.ones(K), 8).astype(np.float32)
COUNTS = np.array([1000, 1, 20, 300, 7, 50])
MARGINS = (0.5 * COUNTS**-0.25).astype(np.float32)

cross_entropy = jaxloss.softmax_cross_entropy_with_integer_labels


def one_minus_p(logits, labels):
    return jnp.mean(1 - jnp.sum(jax.nn.softmax(logits) * jax.nn.one_hot(labels, K), -1))


SAME = {
    "focal of gamma 0": (functools.partial(jaxloss.softmax_focal, gamma=0.0), cross_entropy, LABELS),
    "poly of epsilon 0": (
        functools.partial(jaxloss.poly_cross_entropy, epsilon=0.0),
        jaxloss.softmax_cross_entropy,
        SOFT,
    ),
    "poly of optax": (
        functools.partial(jaxloss.poly_cross_entropy, epsilon=1.5),
        lambda x, t: jnp.mean(optax.losses.poly_loss_cross_entropy(x, t, epsilon=1.5)),
        SOFT,
    ),
    "generalized of q 0": (functools.partial(jaxloss.generalized_cross_entropy, q=0.0), cross_entropy, LABELS),
    "generalized of q near 0": (functools.partial(jaxloss.generalized_cross_entropy, q=1e-9), cross_entropy, LABELS),
    "generalized of q 1": (functools.partial(jaxloss.generalized_cross_entropy, q=1.0), one_minus_p, LABELS),
    "adjusted by a uniform prior": (
        functools.partial(jaxloss.logit_adjusted_cross_entropy, log_prior=np.full(K, -np.log(K), np.float32)),
        cross_entropy,
        LABELS,
    ),
    "adjusted at temperature 0": (
        functools.partial(jaxloss.logit_adjusted_cross_entropy, log_prior=[-np.inf, *range(K - 1)], temperature=0.0),
        cross_entropy,
        LABELS,
    ),
    "ldam without a margin": (
        functools.partial(jaxloss.ldam, class_counts=COUNTS, max_margin=0.0, scale=1.0),
        cross_entropy,
        LABELS,
    ),
    "ldam by its definition": (
        functools.partial(jaxloss.ldam, class_counts=COUNTS, max_margin=0.5, scale=3.0),
        lambda x, y: cross_entropy(3 * (x - jnp.asarray(MARGINS)[y][:, None] * jnp.asarray(ONE_HOT)), y),
        LABELS,
    ),
    "bi-tempered at 1": (
        functools.partial(jaxloss.bi_tempered_cross_entropy, t1=1.0, t2=1.0),
        jaxloss.softmax_cross_entropy,
        ONE_HOT,
    ),
    "bi-tempered near 1": (
        functools.partial(jaxloss.bi_tempered_cross_entropy, t1=1 - 1e-7, t2=1 + 1e-7),
        jaxloss.softmax_cross_entropy,
        ONE_HOT,
    ),
    "bi-tempered at 1, of any targets": (
        functools.partial(jaxloss.bi_tempered_cross_entropy, t1=1.0, t2=1.0),
        lambda x, t: jaxloss.softmax_cross_entropy(x, t) + jnp.mean(jnp.sum(t * jnp.log(t), -1)),
        SOFT,
    ),
    "symmetric of beta 0": (
        functools.partial(jaxloss.symmetric_cross_entropy, alpha=2.0, beta=0.0),
        lambda x, y: 2 * cross_entropy(x, y),
        LABELS,
    ),
    "symmetric of alpha 0": (
        functools.partial(jaxloss.symmetric_cross_entropy, alpha=0.0, beta=0.5, log_zero=-6.0),
        lambda x, y: 3 * one_minus_p(x, y),
        LABELS,
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_same(name):
    loss, other, targets = SAME[name]
    for got, expected in zip(*(jax.jit(jax.value_and_grad(f))(LOGITS, targets) for f in (loss, other)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-7)


def test_one_hot_targets_are_labels():
    labels = functools.partial(jaxloss.symmetric_cross_entropy, alpha=1.0, beta=2.0, log_zero=-1.0)
    targets = functools.partial(jaxloss.poly_cross_entropy, epsilon=2.0)
    np.testing.assert_allclose(labels(LOGITS, LABELS), targets(LOGITS, ONE_HOT), rtol=1e-6)


def test_the_slope_in_q_at_0_is_half_the_square_of_the_surprisal():
    slope = jax.jit(jax.grad(lambda q: jaxloss.generalized_cross_entropy(LOGITS, LABELS, q=q)))(0.0)
    surprisal = jaxloss.reduce(cross_entropy, "none")(LOGITS, LABELS)
    np.testing.assert_allclose(slope, -0.5 * np.mean(np.square(surprisal)), rtol=1e-6)


THRESHOLDS = np.array([-2.0, -0.5, 0.0, 3.0], np.float32)
PREDICTIONS = np.linspace(-6, 6, 9, dtype=np.float32)


def test_ordered_classes_share_all_there_is():
    costs = [
        jaxloss.reduce(jaxloss.ordinal_cross_entropy, "none")(PREDICTIONS, np.full(9, label), THRESHOLDS)
        for label in range(5)
    ]
    np.testing.assert_allclose(np.sum(np.exp(-np.array(costs)), axis=0), 1, rtol=1e-6)


def test_two_ordered_classes_are_a_sigmoid():
    labels = np.arange(9) % 2
    ordinal = jax.value_and_grad(lambda f: jaxloss.ordinal_cross_entropy(f, labels, np.zeros(1, np.float32)))
    binary = jax.value_and_grad(lambda f: jaxloss.sigmoid_binary_cross_entropy(f, labels.astype(np.float32)))
    for got, expected in zip(ordinal(PREDICTIONS), binary(PREDICTIONS), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_thresholds_and_prediction_move_together():
    labels = np.arange(9) % 5
    by_prediction, by_thresholds = jax.jit(jax.grad(jaxloss.ordinal_cross_entropy, (0, 2)))(
        PREDICTIONS, labels, THRESHOLDS
    )
    np.testing.assert_allclose(np.sum(by_prediction), -np.sum(by_thresholds), rtol=1e-5)


@pytest.mark.parametrize("label", [-1, 5, -100])
def test_a_label_that_is_no_ordered_class(label):
    assert np.isnan(jaxloss.ordinal_cross_entropy(0.0, label, THRESHOLDS))


def test_arrays_of_options_may_be_traced_and_have_gradients():
    def cost(log_prior, counts, margin, scale):
        adjusted = jaxloss.logit_adjusted_cross_entropy(LOGITS, LABELS, log_prior=log_prior)
        return adjusted + jaxloss.ldam(LOGITS, LABELS, class_counts=counts, max_margin=margin, scale=scale)

    options = -np.arange(K, dtype=np.float32), COUNTS.astype(np.float32), np.float32(0.5), np.float32(3.0)
    slopes = jax.jit(jax.grad(cost, (0, 1, 2, 3)))(*options)
    for number, slope in enumerate(slopes):
        step = np.zeros_like(np.atleast_1d(options[number]))
        step[-1] = 1e-2 * max(1, abs(np.atleast_1d(options[number])[-1]))
        step = step.reshape(np.shape(options[number]))
        above, below = (
            float(jax.jit(cost)(*options[:number], options[number] + h, *options[number + 1 :])) for h in (step, -step)
        )
        np.testing.assert_allclose(np.sum(slope * step), (above - below) / 2, rtol=1e-2, atol=1e-5)


def test_an_infinite_tempered_cost_has_no_nan_in_its_gradient():
    def cost(targets, logits, t1, t2):
        return jaxloss.bi_tempered_cross_entropy(logits, targets, t1=t1, t2=t2)

    gradient = jax.jit(jax.value_and_grad(cost, (0, 1, 2, 3)))
    value, slopes = gradient(jnp.array([1.0, 0.0]), jnp.array([-jnp.inf, 0.0]), 1.0, 1.0)
    assert value == np.inf
    assert all(np.all(np.isfinite(slope)) for slope in slopes)


@pytest.mark.parametrize("t2", [0.0, 0.5, 1.2, 4.0])
def test_a_class_without_a_chance_leaves_the_slopes_of_bi_tempered_alone(t2):
    def slopes(logits, targets):
        cost = functools.partial(lambda x, y, t: jaxloss.bi_tempered_cross_entropy(x, y, t2=t), jnp.float32(logits))
        return jax.jit(jax.grad(cost, (0, 1)))(jnp.float32(targets), jnp.float32(t2))

    with_it, without = slopes([3.0, 2.5, -np.inf], [0.0, 1.0, 0.0]), slopes([3.0, 2.5], [0.0, 1.0])
    np.testing.assert_allclose(with_it[0][:2], without[0], rtol=1e-6)
    np.testing.assert_allclose(with_it[1], without[1], rtol=1e-6)
    impossible = jax.grad(jaxloss.bi_tempered_cross_entropy)(jnp.full(3, -np.inf), jnp.float32([0.0, 1.0, 0.0]), t2=t2)
    np.testing.assert_array_equal(impossible, 0)
