"""Mistakes with the losses of embeddings: what each is told."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
LABELS = np.array([0, 0, 1, 1])


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
