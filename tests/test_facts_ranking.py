"""What the losses of lists are known to be."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import ndcg_score

import jaxloss
from jaxloss import reduce
from jaxloss.losses.ranking import pairwise

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(4, 7)).astype(np.float32)
GRADES = RNG.integers(0, 4, (4, 7)).astype(np.float32)


def test_the_probabilities_of_all_orders_add_up():
    scores = np.array([0.3, -1.0, 2.0, 0.5], np.float32)
    orders = np.array(list(itertools.permutations(range(4))), np.float32)
    nll = reduce(jaxloss.list_mle, "none")(np.broadcast_to(scores, orders.shape), orders)
    np.testing.assert_allclose(np.exp(-np.asarray(nll)).sum(), 1, rtol=1e-6)


def test_list_mle_is_cox_of_events_without_censoring():
    hazard = reduce(jaxloss.cox, "none")(SCORES, -GRADES, np.ones_like(GRADES), ties="breslow")
    np.testing.assert_allclose(reduce(jaxloss.list_mle, "none")(SCORES, GRADES), 7 * hazard, rtol=1e-6)


@pytest.mark.parametrize("loss", [jaxloss.list_mle, jaxloss.unique_softmax, jaxloss.pairwise_logistic])
def test_the_order_of_tied_documents_does_not_matter(loss):
    shuffled = RNG.permutation(7)
    np.testing.assert_allclose(loss(SCORES, GRADES), loss(SCORES[:, shuffled], GRADES[:, shuffled]), rtol=1e-6)


def test_approx_ndcg_tends_to_the_metric():
    metric = [ndcg_score([2**y - 1], [s]) for y, s in zip(GRADES, SCORES, strict=True)]
    smooth = reduce(jaxloss.approx_ndcg, "none")(SCORES, GRADES, temperature=1e-4)
    np.testing.assert_allclose(1 - smooth, metric, rtol=1e-5)


def test_gains_beyond_the_format_have_a_ratio():
    assert np.isfinite(jaxloss.approx_ndcg(np.array([0.1, 0.2]), np.array([200.0, 100.0])))


def test_twice_the_variance_of_the_errors():
    expected = 2 * np.var(SCORES - GRADES, axis=-1, ddof=1)
    np.testing.assert_allclose(reduce(jaxloss.pairwise_squared_error, "none")(SCORES, GRADES), expected, rtol=1e-5)


def test_the_number_of_pairs_as_weights_pools_the_lists():
    pairs = (GRADES[:, :, None] > GRADES[:, None, :]).sum((1, 2)).astype(np.float32)
    ahead = SCORES[:, :, None] - SCORES[:, None, :]
    costs = np.log1p(np.exp(-ahead))[GRADES[:, :, None] > GRADES[:, None, :]]
    np.testing.assert_allclose(jaxloss.pairwise_logistic(SCORES, GRADES, weights=pairs), costs.mean(), rtol=1e-6)


def test_packed_lists_are_masks_over_shared_documents():
    scores, grades = SCORES.ravel(), GRADES.ravel()
    lists = np.repeat(np.arange(4), 7)
    packed = jaxloss.pairwise_hinge(scores, grades, lists == np.arange(4)[:, None])
    np.testing.assert_allclose(packed, jaxloss.pairwise_hinge(SCORES, GRADES), rtol=1e-6)


def test_a_new_network_has_a_gradient():
    """All scores are equal: the weights of lambda_rank must not be."""
    slope = jax.jit(jax.grad(jaxloss.lambda_rank))(np.zeros(4, np.float32), np.array([0, 2, 1, 3], np.float32))
    assert np.all(slope != 0)


@pytest.mark.parametrize("loss", [jaxloss.lambda_rank, jaxloss.pairwise_squared_hinge], ids=["tiles", "sorts"])
def test_memory_follows_the_documents_and_not_the_pairs(loss):
    documents = 8192
    array = jax.ShapeDtypeStruct((documents,), jnp.float32)
    program = jax.jit(jax.value_and_grad(loss)).lower(array, array).compile()
    assert program.memory_analysis().temp_size_in_bytes < documents**2 * 4 / 32


@pytest.mark.parametrize("power", [1, 2])
def test_misses_of_a_margin_by_sorts(power, monkeypatch):
    monkeypatch.setattr(pairwise, "_FEW", 0)
    scores = np.float32(RNG.integers(-4, 4, (3, 40)) / 4)  # some pairs are at the margin
    grades = np.stack([RNG.integers(0, most, 40) for most in (2, 5, 40)]).astype(np.float32)
    mask = RNG.random((3, 40)) < 0.8

    @jax.jit
    def found(scores, margin):
        def cost(scores, margin):
            of_lists = jax.vmap(lambda *arrays: pairwise._mean_of_misses(*arrays, margin, power))
            return jnp.sum(of_lists(scores, grades, mask))

        return jax.value_and_grad(cost, (0, 1))(scores, margin)

    missed = 0.5 - (np.float64(scores)[:, :, None] - scores[:, None, :])
    pairs = (grades[:, :, None] > grades[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    share = (pairs & (missed > 0)) / pairs.sum((1, 2), keepdims=True)
    pull = power * missed ** (power - 1) * share
    value, (slope, slope_in_margin) = found(scores, np.float32(0.5))
    np.testing.assert_allclose(value, (missed**power * share).sum(), rtol=1e-6)
    np.testing.assert_allclose(slope, pull.sum(1) - pull.sum(2), atol=1e-6)
    np.testing.assert_allclose(slope_in_margin, pull.sum(), rtol=1e-6)
    value, _ = found(np.where(np.arange(40) == np.argmax(mask[0]), np.float32(np.nan), scores), np.float32(0.5))
    assert np.isnan(value)


@pytest.mark.parametrize("loss", [jaxloss.list_mle, jaxloss.approx_mrr, jaxloss.pairwise_logistic])
def test_a_relevance_that_is_nan_is_not_passed_over(loss):
    grades = np.where(np.arange(28).reshape(4, 7) == 9, np.float32(np.nan), GRADES)
    assert np.isnan(loss(SCORES, grades))
    assert np.isfinite(loss(SCORES, grades, grades == GRADES))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"lambda_rank: scheme must be 'lambda_rank', 'ndcg_loss2' or"):
        jaxloss.lambda_rank(SCORES, GRADES, scheme="ndcg")
    for top in (0, 1.5):
        with pytest.raises(ValueError, match=rf"lambda_rank: top must be a whole number >= 1, got {top}"):
            jaxloss.lambda_rank(SCORES, GRADES, top=top)
