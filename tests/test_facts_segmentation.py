"""What the segmentation losses are known to be."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from jax.sharding import PartitionSpec as P
from sklearn.metrics import f1_score, jaccard_score, matthews_corrcoef

import jaxloss
from jaxloss import Tally, numerics, reduce, value_and_grad

PIXELS = 40


@pytest.fixture
def masks():
    """Of two classes in six images, and what a network says of them; the last image is empty."""
    rng = np.random.default_rng(0)
    truth = (rng.random((6, 2, PIXELS)) < 0.3).astype(np.float32)
    truth[-1] = 0
    return (rng.normal(size=truth.shape) + 2 * truth - 1).astype(np.float32), truth


@pytest.mark.parametrize(
    ("loss", "score"),
    [
        (jaxloss.dice, f1_score),
        (jaxloss.jaccard, jaccard_score),
        (jaxloss.matthews, matthews_corrcoef),
        (functools.partial(jaxloss.tversky, alpha=0.5, beta=0.5), f1_score),
    ],
)
def test_of_hard_masks_it_is_the_score_of_scikit_learn(masks, loss, score):
    predicted, truth = (masks[0] > 0)[:5, 0], masks[1][:5, 0]
    expected = [1 - score(y, p) for p, y in zip(predicted, truth, strict=True)]
    np.testing.assert_allclose(reduce(loss, "none")(predicted, truth), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [jaxloss.dice, jaxloss.jaccard, jaxloss.tversky, jaxloss.matthews])
def test_an_empty_region(loss):
    some, none = jnp.array([0.8, 0.1, 0.6]), jnp.zeros(3)
    value_and_slope = jax.value_and_grad(loss)
    for predicted, expected in ((none, 0.0), (some, 1.0)):
        value, slope = value_and_slope(predicted, none)
        assert value == expected
        if expected or loss is jaxloss.matthews:
            assert not np.any(slope)
    if loss is not jaxloss.matthews:  # with a smooth it teaches to predict nothing
        value, slope = jax.jit(jax.value_and_grad(functools.partial(loss, smooth=1.0)))(some, none)
        assert 0 < value < 1
        assert np.all(slope > 0)


@pytest.mark.parametrize("options", [{"overlap": "minimum"}, {"squared": True}])
def test_soft_targets_that_are_met_cost_nothing(options):
    soft = jnp.array([0.5, 0.2, 0.9])
    value, slope = jax.jit(jax.value_and_grad(functools.partial(jaxloss.dice, **options)))(soft, soft)
    assert value == 0
    assert not np.any(slope)
    assert jaxloss.dice(soft, soft) > 0.2


def test_squares_of_small_probabilities_do_not_vanish():
    small, none = jnp.array([1e-30, 3e-30]), jnp.zeros(2)
    assert jaxloss.dice(small, none, squared=True) == 1
    assert jaxloss.dice(small, small, squared=True) == 0


def test_the_ends_of_tversky_are_dice_and_jaccard(masks):
    p, y = jax.nn.sigmoid(masks[0]), masks[1]
    same = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    same(jaxloss.tversky(p, y, alpha=0.5, beta=0.5, smooth=1.0), jaxloss.dice(p, y, smooth=2.0))
    same(jaxloss.tversky(p, y, alpha=1.0, beta=1.0), jaxloss.jaccard(p, y))


def test_alpha_weighs_what_is_falsely_predicted():
    false_positive = jaxloss.tversky(jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0]), alpha=0.9, beta=0.1)
    np.testing.assert_allclose(false_positive, 0.9 / 1.9, rtol=1e-6)


# ----------------------------------------------------------------------------------------------------- a batch as one

_COUNTS = {
    "dice": lambda p, y: Tally(jnp.sum(p + y - 2 * p * y, (0, 2)), jnp.sum(p + y, (0, 2))),
    "jaccard": lambda p, y: Tally(jnp.sum(p + y - 2 * p * y, (0, 2)), jnp.sum(p + y - p * y, (0, 2))),
    "tversky": lambda p, y: Tally(
        jnp.sum(0.3 * p * (1 - y) + 0.7 * (1 - p) * y, (0, 2)),
        jnp.sum(p * y + 0.3 * p * (1 - y) + 0.7 * (1 - p) * y, (0, 2)),
    ),
    "matthews": lambda p, y: Tally(
        jnp.sum(jnp.stack([p * y, p * (1 - y), (1 - p) * y, (1 - p) * (1 - y)]), (1, 3)), jnp.float32(p[:, 0].size)
    ),
}


def _of_counts(name, tally):
    if name != "matthews":
        return jnp.mean(tally.mean)
    tp, fp, fn, tn = tally.mean
    return jnp.mean(1 - (tp * tn - fp * fn) / jnp.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def test_a_batch_as_one_region_is_exact_however_it_is_split(masks):
    logits, truth = masks

    def cost(shift, batch):
        p = jax.nn.sigmoid(batch[0] + shift)
        return {name: counts(p, batch[1]) for name, counts in _COUNTS.items()}

    def how(tallies):
        return sum(_of_counts(name, tally) for name, tally in tallies.items())

    def pooled(shift):
        p, y = (jnp.moveaxis(x, 1, 0).reshape(2, -1) for x in (jax.nn.sigmoid(logits + shift), jnp.asarray(truth)))
        return sum(jaxloss.catalogue[name](p, y) for name in _COUNTS)

    expected = jax.jit(jax.value_and_grad(pooled))(jnp.float32(0.3))
    found = jax.jit(value_and_grad(cost, how, microbatch_size=4))(jnp.float32(0.3), (logits, truth))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    step = value_and_grad(cost, how, microbatch_size=2, axis_name="data")
    split = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("data")), out_specs=(P(), P()))
    np.testing.assert_allclose(jax.jit(split)(jnp.float32(0.3), (logits, truth)), expected, rtol=1e-5)


# ------------------------------------------------------------------------------------------------------------- classes


def test_the_weights_of_generalized_dice_are_those_of_the_paper():
    rng = np.random.default_rng(1)
    p, y = rng.dirichlet(np.ones(3), PIXELS), np.eye(3)[np.arange(PIXELS) % 7 % 3]
    w = 1 / y.sum(0) ** 2
    expected = 1 - 2 * np.sum(w * np.sum(p * y, 0)) / np.sum(w * np.sum(p + y, 0))
    np.testing.assert_allclose(jaxloss.generalized_dice(p, y), expected, rtol=1e-6)


def test_a_class_that_an_image_does_not_have_weighs_as_much_as_the_smallest():
    p = jnp.array([[0.7, 0.2, 0.1]] * 4)
    y = jnp.eye(3)[jnp.array([0, 1, 1, 1])]
    tp, whole, w = jnp.sum(p * y, 0), jnp.sum(p + y, 0), jnp.array([1.0, 1 / 9, 1.0])
    np.testing.assert_allclose(jaxloss.generalized_dice(p, y), 1 - 2 * w @ tp / (w @ whole), rtol=1e-6)


def test_lovasz_softmax_of_certain_predictions_is_the_jaccard_loss():
    rng = np.random.default_rng(2)
    labels, predicted = rng.integers(0, 3, PIXELS), rng.integers(0, 3, PIXELS)
    found = jaxloss.lovasz_softmax(np.eye(3, dtype=np.float32)[predicted], labels)
    np.testing.assert_allclose(found, 1 - jaccard_score(labels, predicted, average="macro"), rtol=1e-6)


def test_lovasz_softmax_takes_the_classes_that_are_present():
    p, labels = jnp.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), jnp.array([0, 1])
    present, every = (jaxloss.lovasz_softmax(p, labels, classes=classes) for classes in ("present", "all"))
    np.testing.assert_allclose((2 * present + 0.3) / 3, every, rtol=1e-6)


def test_lovasz_hinge_of_an_empty_image_is_the_largest_error():
    logits = jnp.array([1.0, -0.5, 0.2, -2.0])
    value, slope = jax.jit(jax.value_and_grad(jaxloss.lovasz_hinge))(logits, jnp.zeros(4, int))
    assert value == 2
    assert slope.tolist() == [1, 0, 0, 0]


def test_a_perfect_prediction_costs_lovasz_nothing():
    rows = jnp.eye(3)[jnp.array([0, 1, 1, 0])]
    value, slope = jax.jit(jax.value_and_grad(jaxloss.lovasz_softmax))(rows, jnp.array([0, 1, 1, 0]))
    assert value == 0
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("outside", [-0.1, 1.1, 255.0])
def test_a_mask_of_other_numbers_is_no_mask(outside):
    p, y = jnp.array([0.5, 0.5, 0.5]), jnp.array([0.0, 1.0, outside])
    for loss in (jaxloss.dice, jaxloss.jaccard, jaxloss.tversky, jaxloss.focal_tversky, jaxloss.matthews):
        assert np.isnan(loss(p, y))
        assert np.isnan(loss(y, p))
        assert np.isfinite(loss(p, y, y <= 1) if outside > 0 else loss(p, y, y >= 0))


def test_a_label_beside_0_and_1_is_no_label_of_a_region():
    labels = jnp.array([0, 1, 2])
    assert np.isnan(jaxloss.lovasz_hinge(jnp.ones(3), labels))
    assert np.isnan(jaxloss.lovasz_softmax(jnp.full((3, 2), 0.5), labels))
    assert np.isfinite(jaxloss.lovasz_softmax(jnp.full((3, 2), 0.5), labels, labels < 2))


# --------------------------------------------------------------------------------------------------------------- shape


def test_the_maps_of_boundary_and_hausdorff_are_those_of_scipy():
    truth = np.zeros((7, 7))
    truth[2:5, 2:5] = 1
    edt = scipy.ndimage.distance_transform_edt
    signed = edt(1 - truth) * (1 - truth) - (edt(truth) - 1) * truth
    assert (signed[3, 3], signed[2, 2], signed[2, 1]) == (-1, 0, 1)
    everywhere, right = jaxloss.boundary(np.ones((7, 7)), signed), jaxloss.boundary(truth, signed)
    assert right < 0 < everywhere
    unsigned = edt(1 - truth) + edt(truth)
    assert jaxloss.hausdorff(truth, truth, unsigned, unsigned) == 0


def _eroded(image):
    """By loops: the minimum over a pixel and its face neighbours."""
    out = np.array(image)
    for place in np.ndindex(image.shape):
        for axis, step in itertools.product(range(image.ndim), (-1, 1)):
            beside = list(place)
            beside[axis] += step
            if 0 <= beside[axis] < image.shape[axis]:
                out[place] = min(out[place], image[tuple(beside)])
    return out


def _dilated(image):
    out = np.array(image)
    for place in np.ndindex(image.shape):
        out[place] = image[tuple(slice(max(k - 1, 0), k + 2) for k in place)].max()
    return out


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 4)])
def test_the_skeleton_is_that_of_the_paper(shape):
    image = np.random.default_rng(4).random(shape)
    eroded, expected = image, np.maximum(image - _dilated(_eroded(image)), 0)
    for _ in range(2):
        eroded = _eroded(eroded)
        rest = np.maximum(eroded - _dilated(_eroded(eroded)), 0)
        expected = expected + np.maximum(rest - expected * rest, 0)
    skeleton = functools.partial(numerics.soft_skeleton, iterations=2, axes=len(shape))
    np.testing.assert_allclose(jax.jit(skeleton)(jnp.float32(image)), expected, atol=1e-6)
    image = jnp.float32(image)
    way = jnp.cos(jnp.arange(image.size, dtype=jnp.float32)).reshape(shape)
    forward = jax.jit(lambda x, v: jax.jvp(lambda x: jnp.sum(skeleton(x)), (x,), (v,))[1])(image, way)
    backward = jnp.sum(jax.jit(jax.grad(lambda x: jnp.sum(skeleton(x))))(image) * way)
    np.testing.assert_allclose(forward, backward, rtol=1e-4)


def test_a_broken_tube_costs_more_than_a_thin_one():
    truth = np.zeros((9, 15), np.float32)
    truth[3:6] = 1
    thin, broken = truth.copy(), truth.copy()
    thin[3], broken[:, 6:9] = 0, 0

    def cost(image):
        skeletons = (numerics.soft_skeleton(jnp.asarray(x), iterations=2).reshape(-1) for x in (image, truth))
        return jaxloss.cl_dice(image.reshape(-1), truth.reshape(-1), *skeletons)

    assert cost(truth) == 0
    assert cost(thin) < 1e-6 < 0.05 < cost(broken)
    assert jaxloss.dice(broken.reshape(-1), truth.reshape(-1)) < jaxloss.dice(thin.reshape(-1), truth.reshape(-1))
