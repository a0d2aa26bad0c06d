"""Ours beside MONAI, kornia, torchmetrics, pytorch-metric-learning and POT; `make test-peers-vision`.

None of them needs torchvision here. Ours are computed in float32, theirs in float64 from the same rounded numbers.
Images of torch have their channels first, ours last; theirs are `[b, c, h, w]` in all rows. Where a peer means
something else by its arguments, the row says what is done about it.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

import jaxloss
from jaxloss.numerics import soft_skeleton

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the peers say of others as they are imported
    import kornia.losses
    import monai.losses
    import monai.metrics
    import ot
    import torchmetrics.functional as torchmetrics
    from monai.losses.unified_focal_loss import AsymmetricFocalTverskyLoss
    from pytorch_metric_learning import distances, losses, miners, reducers

pytestmark = pytest.mark.filterwarnings("ignore")  # the same as they are called


class Row(NamedTuple):
    """A loss beside what a peer has of it.

    Attributes:
        name: Of ours and of the peer, and of what is set.
        ours: From arrays in float32 to a number.
        theirs: From tensors in float64 to the same number.
        draw: From a generator to the arrays.
        slopes: The positions of the arrays whose gradients are compared.
        rtol: How close they are, where a constant or the precision of the peer is in the way.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    slopes: tuple[int, ...] = (0,)
    rtol: float = 1e-4


# --- segmentation


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


def _last(x):
    """`[b, c, h, w]` with the channels last."""
    return jnp.moveaxis(x, 1, -1)


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


# --- boxes, images and waveforms


def _boxes(rng):
    low = rng.uniform(0, 2, (2, 20, 2))
    return tuple(np.concatenate([low, low + rng.uniform(0.5, 2, low.shape)], -1))


def _images(rng, channels=3, side=15):
    image = rng.uniform(0, 1, (2, channels, side, side + 1))
    return np.clip(image + 0.2 * rng.normal(size=image.shape), 0, 1), image


def _waveforms(rng):
    target = rng.normal(size=(3, 200)) + 0.3
    return 0.7 * target + 0.2 * rng.normal(size=target.shape), target


def _ms_ssim_of_monai(x, y):
    options = {"kernel_size": 5, "kernel_sigma": 1.1, "weights": (0.3, 0.4, 0.3)}
    return 1 - monai.metrics.regression.compute_ms_ssim(x, y, 2, **options).mean()


IMAGES = (
    # MONAI computes in float32 whatever it is given.
    Row("giou-monai", jaxloss.giou, monai.losses.BoxGIoULoss(), _boxes),
    # kornia halves it, and its window has the deviation 1.5.
    Row(
        "ssim-kornia",
        lambda x, y: jaxloss.ssim(_last(x), _last(y)),
        lambda x, y: 2 * kornia.losses.ssim_loss(x, y, 11, padding="valid"),
        _images,
        slopes=(0, 1),
    ),
    # MONAI computes in float32.
    Row(
        "ssim-monai",
        lambda x, y: jaxloss.ssim(_last(x), _last(y), max_value=2.0, window_size=7, sigma=1.2, k1=0.02, k2=0.04),
        monai.losses.SSIMLoss(2, data_range=2.0, win_size=7, kernel_sigma=1.2, k1=0.02, k2=0.04),
        _images,
    ),
    # MONAI computes in float32, and takes the mean over channels before the product, as ours after it: so one channel.
    Row(
        "ms_ssim-monai",
        lambda x, y: jaxloss.ms_ssim(_last(x), _last(y), window_size=5, sigma=1.1, scale_weights=(0.3, 0.4, 0.3)),
        _ms_ssim_of_monai,
        lambda rng: _images(rng, 1, 24),
    ),
    # kornia gives a value for each channel.
    Row(
        "total_variation-kornia",
        lambda x: jaxloss.total_variation(_last(x)),
        lambda x: kornia.losses.total_variation(x).sum(1).mean(),
        lambda rng: _images(rng)[:1],
    ),
    Row(
        "total_variation-torchmetrics",
        lambda x: jaxloss.total_variation(_last(x)),
        lambda x: torchmetrics.total_variation(x, "mean"),
        lambda rng: _images(rng)[:1],
    ),
    # torchmetrics has the ratio itself, of which ours is the negative.
    *(
        Row(
            f"scale_invariant_sdr-zero_mean={zero_mean}-torchmetrics",
            lambda x, y, zero_mean=zero_mean: jaxloss.scale_invariant_sdr(x, y, zero_mean=zero_mean),
            lambda x, y, zero_mean=zero_mean: (
                -torchmetrics.scale_invariant_signal_distortion_ratio(x, y, zero_mean).mean()
            ),
            _waveforms,
        )
        for zero_mean in (False, True)
    ),
)


# --- embeddings


EUCLIDEAN = distances.LpDistance(normalize_embeddings=False)
MEAN = reducers.MeanReducer()  # that of all: their own leaves out what costs 0


def _views(rng):
    first = rng.normal(size=(8, 5))
    return first, first + 0.8 * rng.normal(size=first.shape)


def _labelled(*labels):
    """Embeddings of these classes, in another order each time."""
    return lambda rng: (rng.normal(size=(len(labels), 5)), rng.permutation(labels))


def _twins(rng):
    """Pairs that are near to each other, so that each has a negative beyond its positive."""
    labels = np.repeat(np.arange(5), 2)
    return 0.7 * rng.normal(size=(5, 4))[labels] + 0.3 * rng.normal(size=(10, 4)), labels


WITH_ONE_ALONE = _labelled(0, 0, 0, 1, 1, 1, 1, 2, 2, 3)
UNEQUAL = _labelled(0, 0, 0, 1, 1, 1, 1, 2, 2)
EQUAL = _labelled(0, 0, 0, 1, 1, 1, 2, 2, 2)


def _with_classes(rng):
    """The last of the four classes has no member."""
    return *UNEQUAL(rng), rng.normal(size=(4, 5))


def _with_kernel(rng):
    return *UNEQUAL(rng), rng.normal(size=(5, 4))


def _given(module, name, tensor):
    """A module with this tensor in place of its parameter."""
    delattr(module, name)
    setattr(module, name, tensor)
    return module


def _nt_xent_of_pml(first, second):
    labels = torch.arange(len(first)).repeat(2)
    return losses.NTXentLoss(temperature=0.2)(torch.cat([first, second]), labels)


def _clip_of_pml(first, second):
    # Labels that are one object with the others' say that both sets of embeddings are the same.
    labels, others = torch.arange(len(first)), torch.arange(len(first))
    loss = losses.NTXentLoss(temperature=0.2)
    there, back = loss(first, labels, None, second, others), loss(second, labels, None, first, others)
    return 0.5 * (there + back)


def _barlow_twins_of_monai(first, second):
    # A fault of MONAI: it divides by n what it made with deviations by n - 1, so that views which are equal still cost
    # something. Of a batch that is repeated the correlations are the same, and n / (n - 1) is 1.
    many = 2**16
    return monai.losses.BarlowTwinsLoss()(first.repeat(many, 1), second.repeat(many, 1))


def _all_pairs(x, labels):
    i, j = np.nonzero(~np.eye(len(x), dtype=bool))
    return jaxloss.contrastive(x[i], x[j], (labels[i] == labels[j]).astype(jnp.int32), margin=3.0)


def _contrastive_of_pml(x, labels):
    # It has no square, and a mean of its own for each kind of pair: so it is asked for all of them.
    loss = losses.ContrastiveLoss(neg_margin=3.0, distance=EUCLIDEAN, reducer=reducers.DoNothingReducer())
    off = torch.cat([kind["losses"] for kind in loss(x, labels).values()])
    return 0.5 * off.square().mean()


def _triplet_of_pml(distance):
    def theirs(anchor, positive, negative):
        of_each = torch.arange(3 * len(anchor)).reshape(3, -1)
        loss = losses.TripletMarginLoss(margin=0.5, distance=distance, reducer=MEAN)
        return loss(torch.cat([anchor, positive, negative]), indices_tuple=tuple(of_each))

    return theirs


def _mined(miner, distance, margin=0.2, **options):
    def theirs(x, labels):
        loss = losses.TripletMarginLoss(margin=margin, distance=distance, reducer=MEAN, **options)
        return loss(x, labels, miner and miner(x, labels))

    return theirs


def _multi_similarity_of_pml(x, labels):
    mined = miners.MultiSimilarityMiner(epsilon=0.1)(x, labels)
    return losses.MultiSimilarityLoss()(x, labels, mined)


EMBEDDINGS = (
    Row(
        "nt_xent-pytorch_metric_learning",
        lambda x, y: jaxloss.nt_xent(x, y, temperature=0.2),
        _nt_xent_of_pml,
        _views,
        slopes=(0, 1),
    ),
    Row(
        "nt_xent-monai",
        lambda x, y: jaxloss.nt_xent(x, y, temperature=0.2),
        monai.losses.ContrastiveLoss(0.2),
        _views,
        slopes=(0, 1),
    ),
    # Theirs is one direction: the mean of both.
    Row(
        "clip-pytorch_metric_learning",
        lambda x, y: jaxloss.clip(x, y, temperature=0.2),
        _clip_of_pml,
        _views,
        slopes=(0, 1),
    ),
    Row(
        "supervised_contrastive-pytorch_metric_learning",
        jaxloss.supervised_contrastive,
        losses.SupConLoss(reducer=MEAN),
        WITH_ONE_ALONE,
    ),
    Row(
        "multi_similarity-pytorch_metric_learning",
        jaxloss.multi_similarity,
        _multi_similarity_of_pml,
        WITH_ONE_ALONE,
    ),
    # Without a miner it takes all pairs.
    Row(
        "multi_similarity-all-pytorch_metric_learning",
        lambda x, labels: jaxloss.multi_similarity(x, labels, mining_margin=jnp.inf),
        losses.MultiSimilarityLoss(),
        WITH_ONE_ALONE,
    ),
    # It holds the weights, as the paper does.
    Row(
        "circle-pytorch_metric_learning",
        lambda x, labels: jaxloss.circle(x, labels, hold_weights=True),
        losses.CircleLoss(reducer=MEAN),
        WITH_ONE_ALONE,
    ),
    Row(
        "proxy_anchor-pytorch_metric_learning",
        jaxloss.proxy_anchor,
        lambda x, labels, proxies: _given(losses.ProxyAnchorLoss(4, 5), "proxies", proxies)(x, labels),
        _with_classes,
        slopes=(0, 2),
    ),
    # Its margin is in degrees.
    Row(
        "arcface-pytorch_metric_learning",
        jaxloss.arcface,
        lambda x, labels, kernel: _given(losses.ArcFaceLoss(4, 5, np.degrees(0.5)), "W", kernel)(x, labels),
        _with_kernel,
        slopes=(0, 2),
    ),
    Row(
        "cosface-pytorch_metric_learning",
        jaxloss.cosface,
        lambda x, labels, kernel: _given(losses.CosFaceLoss(4, 5), "W", kernel)(x, labels),
        _with_kernel,
        slopes=(0, 2),
    ),
    Row("contrastive-pytorch_metric_learning", _all_pairs, _contrastive_of_pml, UNEQUAL),
    *(
        Row(
            f"triplet-{name}-pytorch_metric_learning",
            lambda a, p, n, name=name: jaxloss.triplet(a, p, n, margin=0.5, distance=name),
            _triplet_of_pml(distance),
            lambda rng: tuple(rng.normal(size=(3, 8, 5))),
            slopes=(0, 1, 2),
        )
        for name, distance in (
            ("euclidean", EUCLIDEAN),
            ("squared_euclidean", distances.LpDistance(normalize_embeddings=False, power=2)),
            ("cosine", distances.CosineSimilarity()),
        )
    ),
    Row(
        "batch_hard_triplet-pytorch_metric_learning",
        jaxloss.batch_hard_triplet,
        _mined(miners.BatchHardMiner(distance=EUCLIDEAN), EUCLIDEAN),
        UNEQUAL,
    ),
    Row(
        "batch_hard_triplet-soft-cosine-pytorch_metric_learning",
        lambda x, labels: jaxloss.batch_hard_triplet(x, labels, soft_margin=True, distance="cosine"),
        _mined(
            miners.BatchHardMiner(distance=distances.CosineSimilarity()),
            distances.CosineSimilarity(),
            margin=0.0,
            smooth_loss=True,
        ),
        UNEQUAL,
    ),
    # It has no mean for each anchor, so classes have the same size.
    Row("batch_all_triplet-pytorch_metric_learning", jaxloss.batch_all_triplet, _mined(None, EUCLIDEAN), EQUAL),
    # It mines for the hardest positive alone, and leaves out an anchor without a negative beyond it: so classes have
    # two members, which are near to each other.
    Row(
        "batch_semi_hard_triplet-pytorch_metric_learning",
        lambda x, labels: jaxloss.batch_semi_hard_triplet(x, labels, margin=1.0),
        _mined(miners.BatchEasyHardMiner("hard", "semihard", distance=EUCLIDEAN), EUCLIDEAN, margin=1.0),
        _twins,
    ),
    Row(
        "vicreg-pytorch_metric_learning",
        jaxloss.vicreg,
        lambda x, y: losses.VICRegLoss()(x, ref_emb=y),
        _views,
        slopes=(0, 1),
    ),
    Row("barlow_twins-monai", jaxloss.barlow_twins, _barlow_twins_of_monai, _views, slopes=(0, 1)),
)


# --- transport


def _points(rng):
    return rng.normal(size=(9, 3)), rng.normal(size=(7, 3)) + 0.5


def _weighed(rng):
    return *_points(rng), *(rng.dirichlet(np.full(n, 3.0)) for n in (9, 7))


def _sinkhorn_of_pot(p, q, a, b):
    # The gradient of its iterations is that of the envelope once they have converged.
    options = {"reg": 1.0, "reg_type": "KL", "debias": True, "max_iter": 5000, "tol": 1e-13, "grad": "envelope"}
    return ot.solve_sample(p, q, a / a.sum(), b / b.sum(), **options).value


def _wasserstein_of_pot(order):
    return lambda p, q, a, b: ot.wasserstein_1d(p[:, 0], q[:, 0], a / a.sum(), b / b.sum(), p=order)


def _sliced_of_pot(p, q, directions):
    # It takes unit vectors as columns, and a root.
    directions = (directions / directions.norm(dim=1, keepdim=True)).T
    return ot.sliced_wasserstein_distance(p, q, projections=directions, p=2) ** 2


def _bures_of_pot(p_mean, p_log_variance, q_mean, q_log_variance):
    # It takes covariances, and a root.
    p, q = (log_variance.exp()[:, None, None] for log_variance in (p_log_variance, q_log_variance))
    distance = ot.gaussian.bures_wasserstein_distance(p_mean[:, None], q_mean[:, None], p, q, paired=True)
    return distance.square().mean()


TRANSPORT = (
    Row("sinkhorn_divergence-pot", jaxloss.sinkhorn_divergence, _sinkhorn_of_pot, _weighed, slopes=(0, 1, 2, 3)),
    *(
        Row(
            f"wasserstein_1d-order={order}-pot",
            lambda p, q, a, b, order=order: jaxloss.wasserstein_1d(p[:, 0], q[:, 0], a, b, order=order),
            _wasserstein_of_pot(order),
            _weighed,
            slopes=(0, 1, 2, 3),
        )
        for order in (1, 2, 3)
    ),
    Row(
        "sliced_wasserstein-pot",
        jaxloss.sliced_wasserstein,
        _sliced_of_pot,
        lambda rng: (*_points(rng), rng.normal(size=(6, 3))),
        slopes=(0, 1, 2),
    ),
    Row(
        "gaussian_wasserstein-pot",
        jaxloss.gaussian_wasserstein,
        _bures_of_pot,
        lambda rng: tuple(rng.normal(size=(4, 6))),
        slopes=(0, 1, 2, 3),
    ),
)


ROWS = (*SEGMENTATION, *IMAGES, *EMBEDDINGS, *TRANSPORT)


def _theirs(row, arrays):
    tensors = [torch.tensor(x, dtype=torch.float64 if x.dtype.kind == "f" else torch.int64) for x in arrays]
    for k in row.slopes:
        tensors[k].requires_grad_()
    value = row.theirs(*tensors)
    value.backward()
    return value.item(), [tensors[k].grad.numpy() for k in row.slopes]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_ours_is_theirs(row):
    ours = jax.jit(jax.value_and_grad(row.ours, row.slopes))
    for seed in range(3):
        drawn = row.draw(np.random.default_rng(seed))
        arrays = [x.astype(np.float32 if x.dtype.kind == "f" else np.int32) for x in drawn]
        value, gradients = ours(*arrays)
        true, slopes = _theirs(row, arrays)
        np.testing.assert_allclose(value, true, rtol=row.rtol)
        for got, slope in zip(gradients, slopes, strict=True):
            assert np.any(slope)
            np.testing.assert_allclose(got, slope, rtol=row.rtol, atol=0.1 * row.rtol * np.max(np.abs(slope)))
