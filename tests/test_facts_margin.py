"""What relates the losses by a margin, the sparse ones and the focal ones to each other and to those of elsewhere."""

import copy
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import hinge_loss

import jaxloss
from jaxloss import numerics
from jaxloss.numerics import simplex

CLASSES = 4
RNG = np.random.default_rng(5)
SCORES = RNG.normal(size=(12, CLASSES)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, 12)
SCORE, BIT = SCORES[:, 0], np.arange(12) % 2
SIGN, TARGET = (2 * BIT - 1).astype(np.float32), BIT.astype(np.float32)
SOFT = RNG.uniform(size=12).astype(np.float32)
same = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=1e-7)


def items(loss, *arrays, **options):
    return jaxloss.reduce(loss, "none")(*arrays, **options)


def conjugate(x):
    """The largest p x - |p|^2 / 2 over the simplex."""
    p = simplex.project_to_simplex(x)
    return jnp.vdot(p, x) - jnp.vdot(p, p) / 2


# --------------------------------------------------------------------------------------------------------------- focal


@pytest.mark.parametrize("target", [TARGET, SOFT], ids=["hard", "soft"])
def test_without_weighing_down_the_cross_entropy_is_left(target):
    cross_entropy = items(jaxloss.sigmoid_binary_cross_entropy, SCORE, target)
    same(items(jaxloss.sigmoid_focal, SCORE, target, gamma=0.0), cross_entropy)
    same(items(jaxloss.asymmetric, SCORE, target, gamma_negative=0.0, gamma_positive=0.0, shift=0.0), cross_entropy)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_without_a_shift_and_with_one_gamma_the_asymmetric_loss_is_the_focal_one(gamma):
    asymmetric = items(jaxloss.asymmetric, SCORE, SOFT, gamma_negative=gamma, gamma_positive=gamma, shift=0.0)
    same(asymmetric, items(jaxloss.sigmoid_focal, SCORE, SOFT, gamma=gamma))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_of_a_logit_is_that_of_its_probability(gamma):
    options = {"alpha": 0.25, "gamma": gamma}
    of_probability = items(jaxloss.binary_focal, numerics.sigmoid(SCORE), SOFT, **options)
    same(items(jaxloss.sigmoid_focal, SCORE, SOFT, **options), of_probability, rtol=1e-5)


def test_no_alpha_is_twice_an_alpha_of_one_half():
    same(items(jaxloss.sigmoid_focal, SCORE, SOFT), 2 * items(jaxloss.sigmoid_focal, SCORE, SOFT, alpha=0.5))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_sure_logit_has_a_finite_gradient(gamma):  # optax #1267
    slopes = jax.jit(jax.grad(lambda x, gamma: jaxloss.sigmoid_focal(x, 1.0, gamma=gamma), (0, 1)))(1000.0, gamma)
    assert slopes == (0, 0)


def test_curvature_at_a_certain_probability():
    # Of -(1 - p)^gamma log p at 1, and of -log p at 1 and -log(1 - p) at 0.
    focal = jax.jit(jax.grad(jax.grad(lambda p, gamma: jaxloss.binary_focal(p, 1.0, alpha=1.0, gamma=gamma))))
    assert [float(focal(1.0, gamma)) for gamma in (0.0, 1.0, 2.0)] == [1, 2, 0]
    cross_entropy = jax.jit(jax.grad(jax.grad(jaxloss.binary_cross_entropy)))
    assert [float(cross_entropy(p, p)) for p in (0.0, 1.0)] == [1, 1]


@pytest.mark.parametrize("loss", ["multiclass_hinge", "multiclass_perceptron"])
def test_of_rivals_that_tie_one_has_the_slope(loss):
    slopes = jax.jit(jax.grad(jaxloss.catalogue[loss]))(jnp.array([2.0, 0.0, 2.0, 1.0]), 1)
    np.testing.assert_array_equal(np.sort(slopes), [-1, 0, 0, 1])


@pytest.mark.parametrize("loss", ["multiclass_hinge", "multiclass_perceptron"])
def test_no_nan_among_the_rivals_is_swallowed(loss):
    scores = np.zeros((3, 40), np.float32)
    for place in range(40):  # a maximum of XLA on a CPU loses some of them
        assert np.isnan(jaxloss.catalogue[loss](np.where(np.arange(40) == place, np.nan, scores), [0, 1, 2]))


# -------------------------------------------------------------------------------------------------------------- margin


@pytest.mark.parametrize("target", [0.0, 0.5, 2.0, np.nan])
@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "perceptron"])
def test_a_target_that_is_no_sign_is_not_taken_for_one(name, target):  # jaxopt #389
    assert np.isnan(jaxloss.catalogue[name](5.0, target))
    assert np.isfinite(jaxloss.catalogue[name](np.ones(2), np.array([1, target]), where=np.array([True, False])))


def test_the_squared_hinge_is_the_square():
    same(items(jaxloss.squared_hinge, SCORE, SIGN), items(jaxloss.hinge, SCORE, SIGN) ** 2)


def test_hinges_of_scikit_learn():
    same(jaxloss.hinge(SCORE, SIGN), hinge_loss(SIGN, SCORE))
    same(jaxloss.multiclass_hinge(SCORES, LABELS), hinge_loss(LABELS, SCORES, labels=np.arange(CLASSES)))


@pytest.mark.parametrize(
    ("of_many", "of_two"), [("multiclass_hinge", "hinge"), ("multiclass_perceptron", "perceptron")]
)
def test_two_classes_are_one_score(of_many, of_two):
    both = np.stack([np.zeros_like(SCORE), SCORE], axis=-1)
    same(items(jaxloss.catalogue[of_many], both, BIT), items(jaxloss.catalogue[of_two], SCORE, SIGN))


@pytest.mark.parametrize("name", ["multiclass_hinge", "multiclass_perceptron", "multiclass_sparsemax", "entmax15"])
def test_a_shift_of_all_logits_changes_nothing(name):
    rows = np.round(SCORES * 64) / 64
    same(items(jaxloss.catalogue[name], rows + 1024, LABELS), items(jaxloss.catalogue[name], rows, LABELS))


# ------------------------------------------------------------------------------------------------------ Fenchel, Young


def test_two_classes_of_sparsemax():
    both = np.stack([np.zeros_like(SCORE), SCORE], axis=-1)
    same(items(jaxloss.multiclass_sparsemax, both, BIT), items(jaxloss.sparsemax, SCORE, BIT))


@pytest.mark.parametrize(
    ("name", "max_fun", "constant"),
    [
        ("multiclass_sparsemax", conjugate, 0.5),
        ("softmax_cross_entropy_with_integer_labels", numerics.logsumexp, 0.0),
        ("multiclass_perceptron", jnp.max, 0.0),
    ],
)
def test_a_loss_is_that_of_its_conjugate(name, max_fun, constant):
    made, one_hot = jaxloss.fenchel_young(max_fun), np.eye(CLASSES, dtype=np.float32)[LABELS]
    loss = jaxloss.catalogue[name]
    same(items(made, SCORES, one_hot) + constant, items(loss, SCORES, LABELS), rtol=1e-5)
    same(jax.jit(jax.grad(made))(SCORES, one_hot), jax.jit(jax.grad(loss))(SCORES, LABELS), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "map_to_simplex"),
    [("multiclass_sparsemax", simplex.project_to_simplex), ("entmax15", simplex.entmax15_probabilities)],
)
def test_the_gradient_is_the_error_of_the_distribution(name, map_to_simplex):
    slopes = jax.jit(jax.grad(jaxloss.reduce(jaxloss.catalogue[name], "sum")))(jnp.asarray(SCORES), LABELS)
    p = map_to_simplex(jnp.asarray(SCORES))
    same(np.sum(p, -1), 1)
    same(slopes, p - np.eye(CLASSES, dtype=np.float32)[LABELS])


@pytest.mark.parametrize("size", [1, 2, 300])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_nearest_distribution_of_many_classes(size, scale):
    x = np.random.default_rng(size).normal(size=size).astype(np.float32) * np.float32(scale)
    sorted_x = np.sort(x.astype(float))[::-1]
    thresholds = (np.cumsum(sorted_x) - 1) / np.arange(1, size + 1)
    same(simplex.project_to_simplex(jnp.asarray(x)), np.maximum(x - thresholds.max(), 0))


def test_a_made_loss_is_a_loss():
    made = jaxloss.fenchel_young(numerics.logsumexp)
    again = jaxloss.fenchel_young(numerics.logsumexp)
    assert isinstance(made, jaxloss.Loss)
    assert (made, hash(made)) == (again, hash(again))
    assert made != jaxloss.fenchel_young(jnp.max)
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert repr(jaxloss.reduce(made, "sum")) == "jaxloss.reduce(jaxloss.fenchel_young(logsumexp), 'sum')"
    jaxloss.testing.check_loss(made, SCORES, np.eye(CLASSES, dtype=np.float32)[LABELS])
    with pytest.raises(TypeError, match="fenchel_young takes a function"):
        jaxloss.fenchel_young(2.0)


# --------------------------------------------------------------------------------------------------------------- optax


@pytest.mark.parametrize(
    ("ours", "theirs", "arrays", "options"),
    [
        (jaxloss.sigmoid_focal, optax.losses.sigmoid_focal_loss, (SCORE, TARGET), {}),
        (jaxloss.sigmoid_focal, optax.losses.sigmoid_focal_loss, (SCORE, TARGET), {"alpha": 0.25, "gamma": 0.5}),
        (jaxloss.hinge, optax.losses.hinge_loss, (SCORE, SIGN), {}),
        (jaxloss.perceptron, optax.losses.perceptron_loss, (SCORE, SIGN), {}),
        (jaxloss.sparsemax, optax.losses.sparsemax_loss, (SCORE, BIT), {}),
        (jaxloss.multiclass_hinge, optax.losses.multiclass_hinge_loss, (SCORES, LABELS), {}),
        (jaxloss.multiclass_perceptron, optax.losses.multiclass_perceptron_loss, (SCORES, LABELS), {}),
        (jaxloss.multiclass_sparsemax, optax.losses.multiclass_sparsemax_loss, (SCORES, LABELS), {}),
        (
            jaxloss.fenchel_young(numerics.logsumexp),
            optax.losses.make_fenchel_young_loss(jax.nn.logsumexp),
            (SCORES, np.eye(CLASSES, dtype=np.float32)[LABELS]),
            {},
        ),
    ],
)
def test_ordinary_values_are_those_of_optax(ours, theirs, arrays, options):
    arrays = tuple(map(jnp.asarray, arrays))
    # Its own code is not written for the strict world.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = theirs(*arrays, **options)
    same(items(ours, *arrays, **options), expected, rtol=2e-5, atol=1e-6)
