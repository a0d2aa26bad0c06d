"""Masks inside an item: what an array named `..._mask` deletes may hold anything, and is nowhere felt."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import custom_loss, reduce

POISONS = [np.nan, np.inf, -1e30, -5.0]


def f32(x):
    return np.asarray(x, np.float32)


def scale_invariant(prediction, target, pixel_mask=None):
    """Eigen's error, of the pixels that have a depth; defined for positive numbers alone."""
    keep = jnp.ones_like(prediction) if pixel_mask is None else pixel_mask.astype(prediction.dtype)
    difference = (jnp.log(prediction) - jnp.log(target)) * keep
    count = jnp.maximum(jnp.sum(keep), 1)
    return jnp.sum(difference**2) / count - 0.5 * (jnp.sum(difference) / count) ** 2


plain = custom_loss(scale_invariant, signature="(n),(n),(n)->()")
constant = custom_loss(scale_invariant, signature="(n),(n),(n)->()", stand_in=0.5)
both = pytest.mark.parametrize("loss", [plain, constant], ids=["search", "stand-in"])


def by_deletion(arrays, mask):
    """Value of each item, and gradients, of arrays from which the slots are cut."""
    value_of = jax.value_and_grad(scale_invariant, (0, 1))
    values, slopes = np.zeros(len(mask)), [np.zeros(mask.shape) for _ in arrays]
    for i, row in enumerate(mask):
        if row.any():
            value, gradient = value_of(*(jnp.asarray(a[i][row]) for a in arrays))
            values[i] = value
            for slope, g in zip(slopes, gradient, strict=True):
                slope[i, row] = g
    return values, slopes


@pytest.fixture
def pixels(rng):
    arrays = [f32(rng.uniform(0.5, 3, (5, 7))) for _ in range(2)]
    mask = rng.random((5, 7)) < 0.6
    mask[1], mask[2] = True, False
    return arrays, mask


def poisoned(arrays, mask, poison):
    return [np.where(mask, a, f32(poison)) for a in arrays]


@both
@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("chunk_size", [None, 2])
@pytest.mark.sampled(3)
def test_a_mask_for_each_item(loss, poison, chunk_size, pixels):
    arrays, mask = pixels
    values, slopes = by_deletion(arrays, mask)
    spoilt = poisoned(arrays, mask, poison)
    np.testing.assert_allclose(reduce(loss, "none", chunk_size=chunk_size)(*spoilt, mask), values, rtol=1e-5)
    cost = reduce(loss, chunk_size=chunk_size)
    value, got = jax.jit(jax.value_and_grad(cost, (0, 1)))(*spoilt, mask)
    np.testing.assert_allclose(value, np.mean(values), rtol=1e-5)  # an item with no pixel costs 0, and counts
    forward = jax.jit(jax.jacfwd(cost, (0, 1)))(*spoilt, mask)
    for one, other, expected in zip(got, forward, slopes, strict=True):
        np.testing.assert_allclose(one, expected / 5, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(other, expected / 5, rtol=1e-4, atol=1e-7)
        assert np.all(np.asarray(one)[~mask] == 0)


@both
def test_with_where_and_weights(loss, pixels):
    arrays, mask = pixels
    values, _ = by_deletion(arrays, mask)
    spoilt = poisoned(arrays, mask, np.nan)
    where = np.array([True, True, True, False, False])
    for a in spoilt:
        a[3:] = -1
    np.testing.assert_allclose(loss(*spoilt, mask, where=where), values[:3].mean(), rtol=1e-5)
    np.testing.assert_allclose(loss(*spoilt, mask, where=where & mask.any(-1)), values[:2].mean(), rtol=1e-5)
    weights = f32([1, 2, 3, 0, 0])
    np.testing.assert_allclose(loss(*spoilt, mask, weights=weights), weights @ values / 6, rtol=1e-5)
    tally = loss.tally(*spoilt, mask, where=where)
    np.testing.assert_allclose([tally.numerator, tally.denominator], [values[:3].sum(), 3], rtol=1e-5)


@both
def test_a_shared_mask(loss, pixels):
    arrays, mask = pixels
    shared = mask[0]
    everywhere = np.broadcast_to(shared, mask.shape)
    values, slopes = by_deletion(arrays, everywhere)
    spoilt = poisoned(arrays, everywhere, np.nan)
    value, got = jax.jit(jax.value_and_grad(loss, (0, 1)))(*spoilt, shared)
    np.testing.assert_allclose(value, np.mean(values), rtol=1e-5)
    for one, expected in zip(got, slopes, strict=True):
        np.testing.assert_allclose(one, expected / 5, rtol=1e-4, atol=1e-7)
    assert loss(*spoilt, np.zeros(7, bool)) == 0
    assert loss(spoilt[0][0], spoilt[1][0], shared) == pytest.approx(values[0], rel=1e-5)


@both
def test_every_slot_deleted(loss):
    nothing, nan = np.zeros((3, 4), bool), np.full((3, 4), np.nan, np.float32)
    for mask in (nothing, nothing[0]):
        value, gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))(nan, nan, mask)
        assert value == 0
        assert loss.tally(nan, nan, mask).denominator == 3
        np.testing.assert_array_equal(gradient, np.zeros((2, 3, 4)))
    assert loss(nan[0], nan[0], nothing[0]) == 0


@both
@pytest.mark.parametrize("mode", ["eager", "jitted"])
def test_under_debug_nans(loss, mode, pixels):
    arrays, mask = pixels
    arguments = [jnp.asarray(a) for a in [*poisoned(arrays, mask, np.nan), mask]]
    gradient = jax.value_and_grad(loss, (0, 1))
    with jax.debug_nans(True):
        value, _ = (gradient if mode == "eager" else jax.jit(gradient))(*arguments)
    np.testing.assert_allclose(value, by_deletion(arrays, mask)[0].mean(), rtol=1e-5)


@both
def test_items_one_by_one(loss, pixels):
    arrays, mask = pixels
    values = jax.vmap(loss)(*poisoned(arrays, mask, np.nan), mask)
    np.testing.assert_allclose(values, by_deletion(arrays, mask)[0], rtol=1e-5)


# ------------------------------------------------------------------------------------------------ several axes, shared


def weighted_image(image, column, pixel_mask):
    """Of channels of an image, with a weight for each column."""
    squares = jnp.log(image) ** 2 * jnp.sqrt(column)[:, None, None]
    return jnp.sum(squares * pixel_mask.T[..., None].astype(image.dtype))


@pytest.mark.parametrize("stand_in", [None, 2.0])
def test_axes_in_another_order_and_a_part_of_them(stand_in, rng):
    loss = custom_loss(weighted_image, signature="(w,h,c),(w),(h,w)->()", stand_in=stand_in)
    image, weights = f32(rng.uniform(1, 2, (3, 4, 2, 3))), f32(rng.uniform(1, 2, (3, 4)))
    mask = rng.random((3, 2, 4)) < 0.5
    spoilt = np.where(mask.transpose(0, 2, 1)[..., None], image, -np.inf)
    value, (to_image, to_weights) = jax.jit(jax.value_and_grad(loss, (0, 1)))(f32(spoilt), weights, mask)
    keep = mask.transpose(0, 2, 1)[..., None]
    terms = np.where(keep, np.log(image.astype(float)) ** 2, 0) * np.sqrt(weights)[:, :, None, None]
    np.testing.assert_allclose(value, terms.sum() / 3, rtol=1e-5)
    slope = np.where(keep, 2 * np.log(image) / image, 0) * np.sqrt(weights)[:, :, None, None]
    np.testing.assert_allclose(to_image, slope / 3, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(to_weights, terms.sum((2, 3)) / (2 * weights * 3), rtol=1e-4)


@pytest.mark.parametrize("stand_in", [None, 2.0])
def test_pairs_of_members(stand_in, rng):
    def spread(distances, member_mask):
        pairs = member_mask[:, None] & member_mask[None]
        return jnp.sum(jnp.where(pairs, jnp.log(distances), 0))

    loss = custom_loss(spread, signature="(n,n),(n)->()", stand_in=stand_in)
    distances, members = rng.uniform(1, 2, (2, 4, 4)), np.array([[True, False, True, True], [False, True, True, False]])
    pairs = members[:, :, None] & members[:, None]
    value, slope = jax.jit(jax.value_and_grad(loss))(f32(np.where(pairs, distances, np.nan)), members)
    np.testing.assert_allclose(value, np.sum(np.log(distances)[pairs]) / 2, rtol=1e-5)
    np.testing.assert_allclose(slope, np.where(pairs, 1 / distances / 2, 0), rtol=1e-5)


@pytest.mark.parametrize("stand_in", [None, {"hidden": 0.5, "kernel": 0.5}])
@pytest.mark.parametrize("masks", ["shared", "for each item"])
def test_a_kernel_that_all_items_share(stand_in, masks, rng):
    def head(hidden, labels, kernel, class_mask):
        logits = jnp.where(class_mask, hidden @ kernel, -jnp.inf)
        return jax.nn.logsumexp(logits) - logits[labels]

    loss = custom_loss(head, signature="(d),(),(d,v),(v)->()", stand_in=stand_in)
    hidden, kernel = f32(rng.normal(size=(4, 3))), f32(rng.normal(size=(3, 5)))
    allowed = np.array([False, True, True, False, True])
    labels = np.array([1, 4, 9, 2])
    where = np.array([True, True, False, True])
    mask = allowed if masks == "shared" else np.stack([allowed] * 4)
    spoilt_kernel, spoilt_hidden = np.where(allowed, kernel, f32(np.nan)), np.where(where[:, None], hidden, f32(np.nan))

    def cost(hidden, kernel):
        return loss(hidden, labels, kernel, mask, where=where)

    scores = hidden.astype(float)[where] @ kernel[:, allowed]
    chosen = np.array([0, 2, 1])
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    slope = (p - np.eye(3)[chosen]) / 3
    for derivative in (jax.grad, jax.jacfwd):
        to_hidden, to_kernel = jax.jit(derivative(cost, (0, 1)))(spoilt_hidden, spoilt_kernel)
        np.testing.assert_allclose(to_hidden[where], slope @ kernel[:, allowed].T, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(to_hidden[2], np.zeros(3))
        np.testing.assert_allclose(to_kernel[:, allowed], hidden[where].T @ slope, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(to_kernel[:, ~allowed], np.zeros((3, 2)))
    spoilt = jnp.asarray(spoilt_hidden), jnp.asarray(spoilt_kernel)
    with jax.debug_nans(True):
        value = jax.jit(cost)(*spoilt)
    np.testing.assert_allclose(value, -np.log(p[range(3), chosen]).mean(), rtol=1e-5)


# ------------------------------------------------------------------------------------------------ masks of the outputs


@pytest.mark.parametrize("stand_in", [None, 0.5])
@pytest.mark.parametrize("shared", [False, True])
def test_a_mask_of_the_outputs_joins_where(stand_in, shared, rng):
    def others(u, v, member_mask):
        """For each member, the mean distance to the others that are there."""
        distances = jnp.abs(jnp.log(u)[:, None] - jnp.log(v)[None])
        keep = member_mask.astype(u.dtype)
        return distances @ keep / jnp.maximum(jnp.sum(keep), 1)

    loss = custom_loss(others, signature="(n),(n),(n)->(n)", stand_in=stand_in)
    u, v = rng.uniform(1, 2, (2, 6)), rng.uniform(1, 2, (2, 6))
    members = np.array([[True, False, True, True, False, True], [False, True, False, False, True, False]])
    if shared:
        members[1] = members[0]
    mask = members[0] if shared else members
    spoilt = [f32(np.where(members, x, np.nan)) for x in (u, v)]
    expected = [np.abs(np.log(u[i][m])[:, None] - np.log(v[i][m])).mean(1) for i, m in enumerate(members)]
    value, gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))(*spoilt, mask)
    np.testing.assert_allclose(value, np.concatenate(expected).mean(), rtol=1e-5)
    for slope in gradient:
        assert np.all(np.isfinite(slope))
        np.testing.assert_array_equal(np.asarray(slope)[~members], 0)
    # `where` says which of them are averaged, and deletes none.
    where = members.copy()
    where[:, 0] = False
    kept = [e[where[i][members[i]]] for i, e in enumerate(expected)]
    np.testing.assert_allclose(loss(*spoilt, mask, where=where), np.concatenate(kept).mean(), rtol=1e-5)
    rows = reduce(loss, axis=-1)
    np.testing.assert_allclose(rows(*spoilt, mask), np.mean([e.mean() for e in expected]), rtol=1e-5)


def test_a_mask_of_elements_joins_where():
    @custom_loss
    def log_error(prediction, target, valid_mask=None):  # noqa: ARG001
        return (jnp.log(prediction) - target) ** 2

    prediction, target = f32([np.e, -1, 1]), f32([0, np.nan, 2])
    mask = np.array([True, False, True])
    value, slope = jax.value_and_grad(log_error)(prediction, target, mask)
    np.testing.assert_allclose(value, (1 + 4) / 2, rtol=1e-6)
    np.testing.assert_allclose(slope, [1 / np.e, 0, -2], rtol=1e-5)


# ---------------------------------------------------------------------------------------------- losses of the library


def test_targets_of_classes_that_may_not_be_chosen():
    logits, allowed = f32([[1, np.nan, 2], [3, np.inf, 0]]), np.array([True, False, True])
    targets = f32([[0.25, np.nan, 0.75], [1, 7, 0]])
    value, gradients = jax.jit(jax.value_and_grad(jaxloss.softmax_cross_entropy, (0, 1)))(logits, targets, allowed)
    expected = jaxloss.softmax_cross_entropy(logits[:, allowed], targets[:, allowed])
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))
        np.testing.assert_array_equal(np.asarray(gradient)[:, 1], 0)


@pytest.mark.parametrize("loss", [jaxloss.softmax_cross_entropy, jaxloss.softmax_cross_entropy_with_integer_labels])
def test_no_class_may_be_chosen(loss):
    logits = f32([[1, 2], [3, 5]])
    labels = np.array([0, 1]) if "labels" in loss.__name__ else f32(np.eye(2))
    mask = np.array([[False, False], [True, True]])
    value, gradient = jax.jit(jax.value_and_grad(loss))(logits, labels, mask)
    np.testing.assert_allclose(value, np.log1p(np.exp(-2)) / 2, rtol=1e-5)
    np.testing.assert_array_equal(gradient[0], [0, 0])


def test_classes_split_over_devices(rng):
    """The classes of one device may all be padding."""
    logits, labels = f32(rng.normal(size=(4, 16))), rng.integers(0, 6, 4)
    mask = np.arange(16) < 6
    loss = functools.partial(jaxloss.softmax_cross_entropy_with_integer_labels, class_axis_name="classes")
    mesh = jax.make_mesh((8,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.shard_map(
        loss, mesh=mesh, in_specs=(jax.P(None, "classes"), jax.P(), jax.P("classes")), out_specs=jax.P()
    )
    value, slope = jax.jit(jax.value_and_grad(split))(np.where(mask, logits, f32(np.nan)), labels, mask)
    whole = jax.value_and_grad(jaxloss.softmax_cross_entropy_with_integer_labels)
    expected, other = jax.jit(whole)(logits, labels, mask)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(slope, other, rtol=1e-5, atol=1e-7)


def test_every_loss_declares_what_stands_in():
    for loss in jaxloss.catalogue.values():
        assert set(loss._term.constants) == set(loss._term.arrays), loss
