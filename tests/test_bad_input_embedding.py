"""Mistakes with the losses of embeddings: what each is told."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
LABELS = np.array([0, 0, 1, 1])
KERNEL = np.ones((3, 5), np.float32)


def call(loss, *arrays, **options):
    return lambda: loss(*arrays, **options)


MISTAKES = {
    "clip-other-members": (ValueError, call(jaxloss.clip, X, X[:3]), ("clip: ", "second has 3", "first has 4")),
    "clip-one-pair": (ValueError, call(jaxloss.clip, X[0], X[0]), ("clip: ", "at least the axes (n, d)", "(3,)")),
    "clip-logits": (ValueError, call(jaxloss.clip, X, X @ X.T), ("clip: ", "second has 4", "'d'")),
    "clip-mask-as-labels": (
        TypeError,
        call(jaxloss.clip, X, X, np.ones(4, bool)),
        ("clip: labels must be integers", "bool"),
    ),
    "clip-temperature-0": (ValueError, call(jaxloss.clip, X, X, temperature=0.0), ("clip: temperature ", "> 0")),
    "clip-logit_scale": (
        TypeError,
        call(jaxloss.clip, X, X, logit_scale=100.0),
        ("clip has no argument 'logit_scale'", "temperature=1 / logit_scale"),
    ),
    "clip-similarity": (
        ValueError,
        call(jaxloss.clip, X, X, similarity="euclidean"),
        ("clip: similarity must be 'cosine' or 'dot'", "'euclidean'"),
    ),
    "clip-memory-0": (ValueError, call(jaxloss.clip, X, X, memory=0), ("clip: memory ", "> 0")),
    "clip-memory-traced": (
        TypeError,
        lambda: jax.jit(lambda memory: jaxloss.clip(X, X, memory=memory))(jnp.float32(1e6)),
        ("clip: memory must be a number of bytes", "shapes"),
    ),
    "clip-no-such-axis": (
        ValueError,
        call(jaxloss.clip, X, X, batch_axis_name="data"),
        ("clip: batch_axis_name='data'", "shard_map"),
    ),
    "siglip-mask-of-integers": (
        TypeError,
        call(jaxloss.siglip, X, X, item_mask=LABELS),
        ("siglip: item_mask must be booleans", "item_mask != 0"),
    ),
    "nt_xent-labels": (
        ValueError,
        call(jaxloss.nt_xent, X, LABELS),
        ("nt_xent: second must have at least the axes (n, d)",),
    ),
    "nt_xent-tau": (
        TypeError,
        call(jaxloss.nt_xent, X, X, tau=0.5),
        ("nt_xent has no argument 'tau'", "'temperature'"),
    ),
    "supervised-one-hot": (
        TypeError,
        call(jaxloss.supervised_contrastive, X, np.eye(4, dtype=np.float32)),
        ("supervised_contrastive: labels must be integers",),
    ),
    "supervised-float-labels": (
        TypeError,
        call(jaxloss.supervised_contrastive, X, LABELS.astype(np.float32)),
        ("supervised_contrastive: labels must be integers", "labels.astype(int)"),
    ),
    "supervised-views": (
        ValueError,
        call(jaxloss.supervised_contrastive, X[:, None].repeat(2, 1), LABELS),
        ("supervised_contrastive: ", "labels"),
    ),
    # Mining and metric learning: labels of other kinds, names of other libraries, flags that are numbers.
    "hard-one-hot": (
        TypeError,
        call(jaxloss.batch_hard_triplet, X, np.eye(4, dtype=np.float32)),
        ("batch_hard_triplet: labels must be integers", "jnp.argmax(labels, -1)"),
    ),
    "all-one-hot-integers": (
        ValueError,
        call(jaxloss.batch_all_triplet, X, np.eye(4, 2, dtype=int)),
        ("batch_all_triplet: labels has 2", "jnp.argmax(labels, -1)"),
    ),
    "semi-hard-column": (
        ValueError,
        call(jaxloss.batch_semi_hard_triplet, X, LABELS[:, None]),
        ("batch_semi_hard_triplet: labels has 1", "labels.squeeze(-1)"),
    ),
    "hard-soft-margin": (
        TypeError,
        call(jaxloss.batch_hard_triplet, X, LABELS, soft_margin=0.2),
        ("batch_hard_triplet: soft_margin must be True or False", "0.2"),
    ),
    "hard-distance": (
        ValueError,
        call(jaxloss.batch_hard_triplet, X, LABELS, distance="L2"),
        ("batch_hard_triplet: distance must be one of euclidean", "'L2'"),
    ),
    "multi-similarity-epsilon": (
        TypeError,
        call(jaxloss.multi_similarity, X, LABELS, epsilon=0.1),
        ("multi_similarity has no argument 'epsilon'", "'mining_margin'"),
    ),
    "circle-scale": (TypeError, call(jaxloss.circle, X, LABELS, s=80), ("circle has no argument 's'", "'gamma'")),
    "proxy-anchor-no-proxies": (
        TypeError,
        call(jaxloss.proxy_anchor, X, LABELS, num_classes=2),
        ("proxy_anchor has no argument 'num_classes'", "shapes of the arrays"),
    ),
    "proxy-anchor-classes-last": (
        ValueError,
        call(jaxloss.proxy_anchor, X, LABELS, np.ones((3, 5), np.float32)),
        ("proxy_anchor: proxies has 5", "(v, d)", "proxies.T"),
    ),
    # Heads: a kernel the other way round, degrees, a temperature, an axis without a mesh.
    "arcface-kernel": (
        ValueError,
        call(jaxloss.arcface, X, LABELS, KERNEL.T),
        ("arcface: kernel has 5", "(d, v)", "kernel.T"),
    ),
    "arcface-degrees": (
        ValueError,
        call(jaxloss.arcface, X, LABELS, KERNEL, margin=28.6),
        ("arcface: margin must be >= 0 and <= 3.14", "28.6"),
    ),
    "arcface-temperature": (
        TypeError,
        call(jaxloss.arcface, X, LABELS, KERNEL, temperature=0.05),
        ("arcface has no argument 'temperature'", "scale=1 / temperature"),
    ),
    "cosface-no-such-axis": (
        ValueError,
        call(jaxloss.cosface, X, LABELS, KERNEL, class_axis_name="model"),
        ("cosface: class_axis_name='model'", "shard_map"),
    ),
    "cosface-memory-traced": (
        TypeError,
        lambda: jax.jit(lambda memory: jaxloss.cosface(X, LABELS, KERNEL, memory=memory))(jnp.float32(1e6)),
        ("cosface: memory must be a number of bytes", "shapes"),
    ),
    "dino-center": (ValueError, call(jaxloss.dino, X, X, X[:1]), ("dino: ", "(1, 3)", "center.reshape(3,)")),
    "dino-temperature": (
        TypeError,
        call(jaxloss.dino, X, X, temperature=0.1),
        ("dino has no argument 'temperature'", "'student_temperature'"),
    ),
    "barlow-no-such-axis": (
        ValueError,
        call(jaxloss.barlow_twins, X, X, batch_axis_name="data"),
        ("barlow_twins: batch_axis_name='data'", "shard_map"),
    ),
    "barlow-lambda": (
        TypeError,
        call(jaxloss.barlow_twins, X, X, lambda_param=0.005),
        ("barlow_twins has no argument 'lambda_param'", "'redundancy_weight'"),
    ),
    "vicreg-eps": (TypeError, call(jaxloss.vicreg, X, X, eps=1e-4), ("vicreg has no argument 'eps'", "'epsilon'")),
    "koleo-two-views": (TypeError, call(jaxloss.koleo, X, X), ("koleo: item_mask must be booleans",)),
    # Pairs: labels of two columns, numbers that are none, what torch has.
    "contrastive-one-hot": (
        ValueError,
        call(jaxloss.contrastive, X, X, np.eye(4, 2, dtype=int)),
        ("contrastive: ", "jnp.argmax(labels, -1)"),
    ),
    "cosine-embedding-margin": (
        TypeError,
        call(jaxloss.cosine_embedding, X, X, np.ones(4), margin=None),
        ("cosine_embedding: margin must be a number", "None"),
    ),
    "triplet-swap": (
        TypeError,
        call(jaxloss.triplet, X, X, X, swap=True),
        ("triplet has no argument 'swap'", "jnp.minimum(to_negative"),
    ),
    "info_nce-one-negative": (
        ValueError,
        call(jaxloss.info_nce, X, X, X[0]),
        ("info_nce: negatives must have at least the axes (m, d)",),
    ),
    "info_nce-mask": (
        ValueError,
        call(jaxloss.info_nce, X, X, X, np.ones(3, bool)),
        ("info_nce: negative_mask has 3", "negatives has 4"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_a_sentence(name):
    error, mistaken, parts = MISTAKES[name]
    with pytest.raises(error) as caught:
        mistaken()
    message = str(caught.value)
    assert caught.type is error
    assert re.fullmatch(r"[^\n]*[.?]", message), message
    assert all(part in message for part in parts), message
