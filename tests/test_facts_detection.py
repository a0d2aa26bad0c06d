"""What the losses of boxes and of a detector's scores are known to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss import Tally, reduce

BOXES = [jaxloss.iou, jaxloss.giou, jaxloss.diou, jaxloss.ciou, jaxloss.eiou]
UNIT = np.array([0.0, 0.0, 1.0, 1.0], np.float32)
TRUE = np.array([1.0, 1.0, 3.0, 4.0], np.float32)


@pytest.mark.parametrize("box", [TRUE, [0.3, 0.7, 0.3, 0.7], [1.0, 2.0, 1.0, 5.0]])
def test_equal_boxes_cost_nothing(box):
    box = jnp.asarray(box, jnp.float32)
    for loss in BOXES:
        value, slope = jax.jit(jax.value_and_grad(loss))(box, box)
        assert value == 0, loss
        assert not np.any(slope), loss


def test_boxes_that_do_not_meet():
    away = UNIT + np.array([2, 0, 2, 0], np.float32)
    value, slope = jax.jit(jax.value_and_grad(jaxloss.iou))(UNIT, away)
    assert value == 1
    assert not np.any(slope)
    value, slope = jax.jit(jax.value_and_grad(jaxloss.giou))(UNIT, away)
    np.testing.assert_allclose(value, 4 / 3, rtol=1e-6)
    assert slope[2] < 0  # grow towards it


def test_an_inverted_box_is_empty_and_earns_nothing():
    inverted = np.array([1.0, 1.0, 0.2, 0.2], np.float32)
    assert jaxloss.giou(inverted, UNIT) == 1
    assert jaxloss.iou(inverted, UNIT) == 1
    slope = jax.jit(jax.grad(jaxloss.eiou))(inverted, UNIT)
    assert slope[2] < 0 < slope[0]  # the sizes pull it back


@pytest.mark.parametrize("loss", BOXES)
def test_a_unit_of_length_changes_nothing(loss):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 2, (2, 50, 2))
    p, t = np.concatenate([low, low + rng.uniform(0.1, 2, low.shape)], -1).astype(np.float32)
    expected = reduce(loss, "none")(p, t)
    for unit in (2.0**66, 2.0**-66):
        np.testing.assert_allclose(reduce(loss, "none")(p * unit, t * unit), expected, rtol=1e-6)


def test_all_pairs_by_vmap():
    boxes, targets = jnp.stack([UNIT, UNIT + 1, TRUE]), jnp.stack([UNIT, TRUE])
    each = jax.vmap(lambda p: reduce(jaxloss.giou, "none")(jnp.broadcast_to(p, targets.shape), targets))(boxes)
    assert each.shape == (3, 2)
    np.testing.assert_allclose(each[2, 0], jaxloss.giou(TRUE, UNIT), rtol=1e-6)


# --------------------------------------------------------------------------------------------------------------- scores


def test_a_target_at_a_bin_is_a_label():
    logits = np.random.default_rng(2).normal(size=(5, 5)).astype(np.float32)
    found = reduce(jaxloss.distribution_focal, "none")(logits, np.arange(5.0))
    labelled = reduce(jaxloss.softmax_cross_entropy_with_integer_labels, "none")(logits, np.arange(5))
    np.testing.assert_allclose(found, labelled, rtol=1e-6)


@pytest.mark.parametrize("target", [-0.1, 4.1, np.nan])
def test_a_target_outside_the_bins_is_no_place(target):
    assert np.isnan(jaxloss.distribution_focal(jnp.zeros(5), target))
    assert np.isfinite(
        jax.jit(jax.grad(jaxloss.distribution_focal))(jnp.zeros((2, 5)), np.array([1.5, target]), where=[True, False])
    ).all()


def test_quality_focal_of_hard_targets_is_focal():
    logits = np.linspace(-5, 5, 11, dtype=np.float32)
    for y in (0.0, 1.0):
        np.testing.assert_allclose(
            jaxloss.quality_focal(logits, np.full(11, y)), jaxloss.sigmoid_focal(logits, np.full(11, y)), rtol=1e-6
        )


def test_alpha_of_varifocal_weighs_negatives_alone():
    logits = np.array([0.3, -0.2], np.float32)
    one, two = (reduce(jaxloss.varifocal, "none")(logits, np.array([0.0, 0.8]), alpha=a) for a in (0.5, 1.0))
    np.testing.assert_allclose(two / one, [2, 1], rtol=1e-6)


def test_the_cost_over_the_peaks_is_a_tally():
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(4, 9)).astype(np.float32), rng.random((4, 9)).astype(np.float32)
    targets[[0, 0, 3], [1, 5, 2]] = 1

    def tally(x, y):
        return Tally(reduce(jaxloss.gaussian_focal, "sum").tally(x, y).numerator, (y == 1).sum())

    whole = tally(logits, targets).mean
    parts = sum(tally(x, y) for x, y in zip(logits, targets, strict=True)).mean
    np.testing.assert_allclose(whole, jnp.sum(reduce(jaxloss.gaussian_focal, "none")(logits, targets)) / 3, rtol=1e-6)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


@pytest.mark.parametrize("loss", [jaxloss.quality_focal, jaxloss.varifocal, jaxloss.gaussian_focal])
def test_a_quality_outside_0_and_1_is_none(loss):
    assert np.isnan(loss(0.5, 1.1))
    assert np.isnan(loss(0.5, -0.1))
