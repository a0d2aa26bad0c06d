"""What the losses of embeddings are known to be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxloss
from jaxloss import reduce

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(6, 4)).astype(np.float32) for _ in range(2))
E = np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]], np.float32)
LABELS = np.array([0, 0, 1, 1])


def values(loss, *arrays, **options):
    return np.asarray(reduce(loss, "none")(*arrays, **options))


def test_worked_examples():
    first, second = np.float32([[1, 0], [0, 1]]), np.float32([[0.8, 0.6], [-0.6, 0.8]])
    np.testing.assert_allclose(values(jaxloss.clip, first, second, temperature=0.5), [0.286024] * 2, atol=1e-6)
    one_way = values(jaxloss.clip, first, second, temperature=0.5, symmetric=False)
    np.testing.assert_allclose(one_way, [0.059033, 0.513015], atol=1e-6)
    np.testing.assert_allclose(values(jaxloss.siglip, first, second), [2.126928, 2.145078], atol=1e-6)
    of_classes = values(jaxloss.supervised_contrastive, E, LABELS, temperature=0.5)
    np.testing.assert_allclose(of_classes, [1.027123, 1.514304, 1.514304, 1.027123], atol=1e-6)


def test_nt_xent_is_that_of_optax_for_labels_in_pairs():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = optax.losses.ntxent(jnp.concatenate([X, Y]), jnp.tile(jnp.arange(6), 2), 0.3)
    np.testing.assert_allclose(jaxloss.nt_xent(X, Y, temperature=0.3), expected, rtol=1e-5)


def test_one_member_has_nothing_to_be_told_from():
    for loss in (jaxloss.clip, jaxloss.nt_xent):
        value, slope = jax.jit(jax.value_and_grad(loss))(X[:1], Y[:1])
        assert value == 0
        np.testing.assert_array_equal(slope, np.zeros_like(slope))


def test_clip_one_way_is_a_linear_softmax():
    """In-batch negatives are a linear head, whose kernel is the other side."""
    x, y = (jaxloss.numerics.unit_vector(jnp.asarray(z)) for z in (X, Y))
    head = jaxloss.linear_softmax_cross_entropy(x / 0.07, np.arange(6), embedding=y)
    np.testing.assert_allclose(jaxloss.clip(X, Y, symmetric=False), head, rtol=1e-5)


def test_duplicates_are_not_each_others_negatives():
    texts = np.concatenate([Y[:3], Y[:3]])
    labels = np.tile(np.arange(3), 2)
    x, y = (z / np.linalg.norm(z, axis=-1, keepdims=True) for z in (X.astype(float), texts.astype(float)))
    logits = x @ y.T / 0.07
    logits[(labels[:, None] == labels) & ~np.eye(6, dtype=bool)] = -np.inf
    own = np.diagonal(logits)
    expected = (np.log(np.exp(logits).sum(0)) + np.log(np.exp(logits).sum(1)) - 2 * own) / 2
    np.testing.assert_allclose(values(jaxloss.clip, X, texts, labels), expected, rtol=1e-4, atol=1e-6)
    assert values(jaxloss.siglip, X, texts, labels).sum() < values(jaxloss.siglip, X, texts).sum()


def test_a_confident_batch_costs_what_it_should():
    """All of it is one minus a number near 1 to the textbook formula."""
    x = np.eye(4, dtype=np.float32)
    expected = np.log1p(3 * np.exp(-1 / 0.05))
    np.testing.assert_allclose(jaxloss.clip(x, x, temperature=0.05), expected, rtol=1e-5)
    np.testing.assert_allclose(jaxloss.nt_xent(x, x, temperature=0.05), np.log1p(6 * np.exp(-1 / 0.05)), rtol=1e-5)
    np.testing.assert_allclose(jaxloss.info_nce(x[0], x[0], x[1:], temperature=0.05), expected, rtol=1e-5)


def test_a_twin_is_a_negative():
    """Self is left out by its number, and not by its similarity."""
    np.testing.assert_allclose(jaxloss.nt_xent(E[[0, 0]], E[[0, 0]]), np.log(3), rtol=1e-6)


def test_an_anchor_without_a_positive():
    value, slope = jax.jit(jax.value_and_grad(jaxloss.supervised_contrastive))(X, np.arange(6))
    assert value == 0
    np.testing.assert_array_equal(slope, np.zeros_like(slope))


def test_members_without_a_label_are_negatives():
    labels = np.array([0, 0, -1, -1, 1, 1])
    known = labels >= 0
    value, slope = jax.jit(jax.value_and_grad(jaxloss.supervised_contrastive))(X, labels, where=known)
    apart = values(jaxloss.supervised_contrastive, X, np.where(known, labels, [2, 3, 4, 5, 6, 7]))
    np.testing.assert_allclose(value, apart[known].mean(), rtol=1e-6)
    assert np.all(np.asarray(slope)[~known] != 0)


def test_micro_batches_have_fewer_negatives():
    x, y = (RNG.normal(size=(64, 8)).astype(np.float32) for _ in range(2))
    whole, parts = (jaxloss.clip(x.reshape(k, -1, 8), y.reshape(k, -1, 8)) for k in (1, 8))
    assert parts < 0.9 * whole


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bits_are_widened_before_they_are_normalised(dtype):
    x, y = jnp.asarray(X, dtype), jnp.asarray(Y, dtype)
    wide = jaxloss.clip(x.astype(jnp.float32), y.astype(jnp.float32), temperature=0.01)
    np.testing.assert_allclose(jaxloss.clip(x, y, temperature=0.01), wide, rtol=1e-6)


def test_negatives_that_all_queries_share():
    each = np.broadcast_to(Y, (6, 6, 4))
    shared, of_each = (jaxloss.info_nce(X, X[::-1], negatives) for negatives in (Y, each))
    np.testing.assert_allclose(shared, of_each, rtol=1e-6)
    mask = np.arange(6) < 4
    spoilt = np.where(mask[:, None], Y, np.nan)
    np.testing.assert_allclose(
        jaxloss.info_nce(X, X[::-1], spoilt, mask), jaxloss.info_nce(X, X[::-1], Y[:4]), rtol=1e-6
    )
    assert jaxloss.info_nce(X, X[::-1], Y, np.zeros(6, bool)) == 0


def test_the_slope_of_a_learned_scale():
    by_scale = jax.jit(jax.grad(lambda log_scale: jaxloss.siglip(X, Y, temperature=jnp.exp(-log_scale))))(jnp.log(10.0))
    step = 1e-2
    costs = [jaxloss.siglip(X, Y, temperature=float(np.exp(-np.log(10.0) + s))) for s in (-step, step)]
    np.testing.assert_allclose(by_scale, (costs[0] - costs[1]) / (2 * step), rtol=1e-3)


def test_mined_examples():
    found = values(jaxloss.batch_hard_triplet, E, LABELS)
    np.testing.assert_allclose(found, [0.461972, 0.811584, 0.811584, 0.461972], atol=1e-6)
    np.testing.assert_allclose(
        values(jaxloss.batch_semi_hard_triplet, E, LABELS), [0, 0.461972, 0.461972, 0], atol=1e-6
    )


@pytest.mark.parametrize(
    "loss", [jaxloss.batch_hard_triplet, jaxloss.batch_semi_hard_triplet, jaxloss.batch_all_triplet]
)
def test_triplets_without_the_cube(loss):
    embeddings, labels = jax.ShapeDtypeStruct((2048, 64), jnp.float32), jax.ShapeDtypeStruct((2048,), jnp.int32)
    compiled = jax.jit(jax.value_and_grad(loss)).lower(embeddings, labels).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 64 * 2**20


def test_the_nearest_are_told_apart_far_from_the_origin():
    x, labels = RNG.normal(size=(32, 8)).astype(np.float32), np.arange(32) % 4
    there = values(jaxloss.batch_hard_triplet, x + np.float32(1024), labels)
    np.testing.assert_allclose(there, values(jaxloss.batch_hard_triplet, x, labels), atol=2e-3)


@pytest.mark.parametrize("name", ["arcface", pytest.param("cosface", marks=pytest.mark.sweep)])
def test_classes_over_devices(name):
    loss, labels = jaxloss.catalogue[name], np.array([0, 2, 3, 7, 5, 1])
    kernel = RNG.normal(size=(4, 8)).astype(np.float32)

    def costs(x, kernel, **options):
        return loss(x, labels, kernel, **options), reduce(loss, "none")(x, labels, kernel, **options)

    mesh = jax.make_mesh((4,), ("model",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    split = functools.partial(costs, class_axis_name="model")
    of_devices = jax.shard_map(split, mesh=mesh, in_specs=(jax.P(), jax.P(None, "model")), out_specs=jax.P())
    got, expected = (jax.jit(jax.value_and_grad(f, (0, 1), has_aux=True))(X, kernel) for f in (of_devices, costs))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
