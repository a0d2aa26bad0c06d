"""Segmentation: MONAI and kornia. Theirs are `[b, c, h, w]`, flattened to our `[b, c, n]`."""

import jax
import jax.numpy as jnp
import kornia.losses
import monai.losses
import numpy as np
from monai.losses.unified_focal_loss import AsymmetricFocalTverskyLoss
from scipy.ndimage import distance_transform_edt

import jaxloss
from jaxloss.numerics import soft_skeleton
from vision.row import Row


def _regions(rng):
    """Probabilities and truth of three regions in each of two images."""
    return rng.uniform(0.02, 0.98, (2, 3, 6, 7)), rng.integers(0, 2, (2, 3, 6, 7)).astype(float)


def _soft_regions(rng):
    return rng.uniform(0.02, 0.98, (2, 3, 6, 7)), rng.uniform(0, 1, (2, 3, 6, 7))


def _classes(rng):
    """Logits of three classes, and labels; every class is in both images."""
    labels = np.stack([rng.permutation(np.arange(42) % 3).reshape(6, 7) for _ in range(2)])
    return rng.normal(size=(2, 3, 6, 7)), labels


def _classes_without_one(rng):
    """Probabilities of four classes, and labels one-hot; the last one is in neither image."""
    labels = rng.permutation(np.arange(84) % 7 % 3).reshape(2, 6, 7)
    return rng.dirichlet(np.ones(4), (2, 6, 7)).transpose(0, 3, 1, 2), np.eye(4)[labels].transpose(0, 3, 1, 2)


def _thin(rng):
    return rng.uniform(0.02, 0.98, (2, 1, 8, 9)), (rng.uniform(size=(2, 1, 8, 9)) > 0.4).astype(float)


def _flat(x):
    """The pixels of each region on one axis."""
    return x.reshape(*x.shape[:2], -1)


def _on_regions(loss, **options):
    return lambda p, y: loss(_flat(p), _flat(y), **options)


def _on_logits(loss, **options):
    """Of the probabilities of a softmax, a region for each class."""
    return lambda x, labels: loss(_flat(jax.nn.softmax(x, axis=1)), _flat(jax.nn.one_hot(labels, 3, axis=1)), **options)


def _focal_tversky(p, y):
    p, y, options = _flat(p), _flat(y), {"alpha": 0.4, "beta": 0.6, "smooth": 1e-7}
    background = jaxloss.tversky(p[:, 0], y[:, 0], **options)
    return 0.5 * (background + jaxloss.focal_tversky(p[:, 1], y[:, 1], gamma=0.75, **options))


def _to_rim(region):
    """The distance of each pixel from the rim of a region, on both of its sides."""
    return distance_transform_edt(region) + distance_transform_edt(~region)


def _signed(region):
    return distance_transform_edt(~region) - (distance_transform_edt(region) - 1) * region


def _with_rims(rng):
    p, y = _thin(rng)
    return p, y, *(np.stack([_to_rim(image > 0.5) for image in x[:, 0]])[:, None] for x in (p, y))


def _with_signed_distances(rng):
    p, y = _thin(rng)
    return p, y, np.stack([_signed(image > 0.5) for image in y[:, 0]])[:, None]


def _cl_dice(p, y):
    skeletons = (_flat(soft_skeleton(x, iterations=2)) for x in (p, y))
    return jaxloss.cl_dice(_flat(p), _flat(y), *skeletons, smooth=1.0)


SEGMENTATION = (
    Row(
        "dice-monai",
        _on_regions(jaxloss.dice, smooth=1.0),
        monai.losses.DiceLoss(smooth_nr=1.0, smooth_dr=1.0),
        _regions,
    ),
    Row(
        "dice-squared-monai",
        _on_regions(jaxloss.dice, smooth=1.0, squared=True),
        monai.losses.DiceLoss(smooth_nr=1.0, smooth_dr=1.0, squared_pred=True, soft_label=True),
        _soft_regions,
    ),
    Row(
        "dice-minimum-monai",
        _on_regions(jaxloss.dice, overlap="minimum"),
        monai.losses.DiceLoss(smooth_nr=0, smooth_dr=0, soft_label=True),
        _soft_regions,
    ),
    # kornia takes logits and labels; its eps of 1e-8 is in the denominator alone.
    Row("dice-kornia", _on_logits(jaxloss.dice), kornia.losses.DiceLoss("macro"), _classes),
    # MONAI adds its smooth to twice the intersection and twice the union: 2 of it is 1 of ours.
    Row(
        "jaccard-monai",
        _on_regions(jaxloss.jaccard, smooth=1.0),
        monai.losses.DiceLoss(jaccard=True, smooth_nr=2.0, smooth_dr=2.0),
        _regions,
    ),
    Row(
        "tversky-monai",
        _on_regions(jaxloss.tversky, alpha=0.3, beta=0.7, smooth=1.0),
        monai.losses.TverskyLoss(alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0),
        _regions,
    ),
    Row("tversky-kornia", _on_logits(jaxloss.tversky), kornia.losses.TverskyLoss(0.3, 0.7), _classes),
    # MONAI raises the second class alone to a power, 1 - gamma; its delta is our beta, and 1 - delta our alpha.
    Row(
        "focal_tversky-monai",
        _focal_tversky,
        lambda p, y: AsymmetricFocalTverskyLoss(delta=0.6, gamma=0.25)(p[:, :2], y[:, :2]),
        _regions,
    ),
    *(
        Row(
            f"generalized_dice-{weighting}-monai",
            lambda p, y, weighting=weighting: jaxloss.generalized_dice(
                jnp.moveaxis(_flat(p), 1, -1), jnp.moveaxis(_flat(y), 1, -1), weighting=weighting
            ),
            monai.losses.GeneralizedDiceLoss(w_type=weighting, smooth_nr=0, smooth_dr=0),
            _classes_without_one,
        )
        for weighting in ("square", "simple", "uniform")
    ),
    Row("matthews-monai", _on_regions(jaxloss.matthews), monai.losses.MCCLoss(smooth_dr=0), _regions),
    Row(
        "lovasz_hinge-kornia",
        lambda x, labels: jaxloss.lovasz_hinge(x.reshape(2, -1), labels.reshape(2, -1)),
        kornia.losses.lovasz_hinge_loss,
        lambda rng: (rng.normal(size=(2, 1, 6, 7)), rng.integers(0, 2, (2, 6, 7))),
    ),
    # kornia takes logits, and the mean over all classes.
    Row(
        "lovasz_softmax-kornia",
        lambda x, labels: jaxloss.lovasz_softmax(
            jnp.moveaxis(_flat(jax.nn.softmax(x, axis=1)), 1, -1), labels.reshape(2, -1), classes="all"
        ),
        kornia.losses.lovasz_softmax_loss,
        _classes,
    ),
    # MONAI makes the distances, which are ours to give.
    Row(
        "hausdorff-monai",
        jaxloss.hausdorff,
        lambda p, y, *_: monai.losses.HausdorffDTLoss(include_background=True)(p, y),
        _with_rims,
    ),
    Row(
        "boundary-monai",
        lambda p, _, distances: jaxloss.boundary(p, distances),
        lambda p, y, _: monai.losses.BoundaryLoss()(p, y),
        _with_signed_distances,
    ),
    # MONAI adds another smooth to the sum of the two shares, which must be positive.
    Row("cl_dice-monai", _cl_dice, monai.losses.SoftclDiceLoss(iter_=2, smooth=1e-12), _thin),
)
