"""The worked examples of the guide this library began with: Singh (2024), Loss Functions in Deep Learning.

Every example has its formula worked here again. Three places of the guide do not agree with its own formulas; what is
tested is the formula, and the row says what the guide prints.
"""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

EXAMPLES = {
    "2.1 mean squared error": (jaxloss.squared_error(6.1, 6.3), 0.2**2, "0.04"),
    "2.2 mean absolute error": (jaxloss.absolute_error(6.1, 6.3), 0.2, "0.2"),
    "2.3 huber": (jaxloss.huber(6.1, 6.3, delta=1.0), 0.2**2 / 2, "0.02"),
    "3.1 binary cross entropy": (jaxloss.binary_cross_entropy(0.8, 1.0), -math.log(0.8), "0.223"),
    "3.2 categorical cross entropy": (
        jaxloss.categorical_cross_entropy(jnp.array([0.7, 0.2, 0.1]), jnp.array([1, 0, 0])),
        -math.log(0.7),
        "0.357",
    ),
    "3.3 sparse categorical cross entropy": (
        jaxloss.sparse_categorical_cross_entropy(jnp.array([0.7, 0.2, 0.1]), 0),
        -math.log(0.7),
        "0.357",
    ),
    # The guide prints 0.018.
    "4.1 kl divergence": (
        jaxloss.kl_divergence(jnp.array([0.4, 0.6]), jnp.array([0.5, 0.5])),
        0.4 * math.log(0.8) + 0.6 * math.log(1.2),
        "0.0201",
    ),
    "4.2 discriminator of a gan": (
        jaxloss.gan_discriminator(0.9, 0.1),
        -0.5 * (math.log(0.9) + math.log(1 - 0.1)),
        "0.105",
    ),
    # The guide prints 0.001.
    "4.3 focal": (
        jaxloss.binary_focal(0.9, 1.0, alpha=0.25, gamma=2.0),
        -0.25 * (1 - 0.9) ** 2 * math.log(0.9),
        "0.000263401",
    ),
    "4.4 triplet": (jaxloss.triplet_from_distances(0.5, 1.0, margin=0.2), 0.0, "0"),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_worked_example(example):
    got, formula, printed = EXAMPLES[example]
    decimals = len(printed.partition(".")[2])
    # 6.1 and 6.3 round to float32 with up to 2.4e-7 each, which is 2.4e-6 of their difference and twice that, squared.
    assert float(got) == pytest.approx(formula, rel=5e-6, abs=0)
    assert f"{float(got):.{decimals}f}" == printed


@jaxloss.custom_loss
def log_squared(prediction, target):
    """Section 5. It grows logarithmically, so it weighs large errors less (the guide says both more and less)."""
    return jnp.log1p(jnp.square(prediction - target))


def test_the_custom_loss_of_section_5():
    prediction, target = np.array([0.5, 2.0, -3.0, 100.0]), np.zeros(4)
    by_hand = np.log(1 + (prediction - target) ** 2)
    np.testing.assert_allclose(jaxloss.reduce(log_squared, "sum")(prediction, target), by_hand.sum(), rtol=1e-6)
    np.testing.assert_allclose(log_squared(prediction, target), by_hand.mean(), rtol=1e-6)
    mask = np.array([True, True, True, False])
    np.testing.assert_allclose(log_squared(prediction, target, where=mask), by_hand[:3].mean(), rtol=1e-6)
    assert log_squared(100.0, 0.0) < 0.01 * jaxloss.squared_error(100.0, 0.0)


def test_the_cost_is_the_mean_of_the_loss():
    """Section 1.1: a loss is of one example, a cost is the average over the data set."""
    prediction, target = np.array([6.1, 3.0, -1.0]), np.array([6.3, 1.0, -1.5])
    cost = np.mean((prediction - target) ** 2)
    np.testing.assert_allclose(jaxloss.squared_error(prediction, target), cost, rtol=1e-6)
