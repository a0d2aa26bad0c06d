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
