"""Embeddings: pytorch-metric-learning and MONAI."""

import jax.numpy as jnp
import monai.losses
import numpy as np
import torch
from pytorch_metric_learning import distances, losses, miners, reducers

import jaxloss
from vision.row import Row

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
