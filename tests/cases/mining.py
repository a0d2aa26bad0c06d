"""Triplets of a batch: a batch is an item, whose value is the sum of those of its anchors."""

import functools

import numpy as np
from mpmath import mpf

from cases.embedding import DISTANCES
from cases.table import Case, softplus


def _of_anchors(oracle):
    """The sum over anchors of a formula of the distances to their positives and to their negatives."""

    @functools.wraps(oracle)
    def of_batch(embeddings, labels, mask=None, distance="euclidean", **options):
        here = [i for i, there in enumerate(mask or [True] * len(labels)) if there]
        total = mpf(0)
        for i in here:
            d = {j: DISTANCES[distance](embeddings[i], embeddings[j]) for j in here if j != i}
            positives = [x for j, x in d.items() if labels[j] == labels[i]]
            negatives = [x for j, x in d.items() if labels[j] != labels[i]]
            if positives and negatives:
                total += oracle(positives, negatives, **options)
        return total

    return of_batch


@_of_anchors
def batch_hard_triplet(positives, negatives, margin=0.2, soft_margin=False):
    gap = max(positives) - min(negatives)
    return softplus(gap) if soft_margin else max(gap + mpf(margin), mpf(0))


@_of_anchors
def batch_semi_hard_triplet(positives, negatives, margin=0.2):
    costs = []
    for d in positives:
        beyond = [n for n in negatives if n > d]
        costs.append(max(d - (min(beyond) if beyond else max(negatives)) + mpf(margin), mpf(0)))
    return sum(costs) / len(costs)


@_of_anchors
def batch_all_triplet(positives, negatives, margin=0.2, active_only=False):
    costs = [max(p - n + mpf(margin), mpf(0)) for p in positives for n in negatives]
    active = [cost for cost in costs if cost > 0]
    return sum(costs) / (max(len(active), 1) if active_only else len(costs))


LABELS = [0, 1, 0, 1, 0]
N = len(LABELS)


def labelled(rng, n):
    return rng.normal(size=(n, N, 2)), rng.permuted(np.tile(LABELS, (n, 1)), axis=1)


def some_labelled(rng, n):
    return *labelled(rng, n), rng.random((n, N)) < 0.8


_SPREAD = [[1.0, 0.2], [-0.7, 0.1], [0.9, 0.35], [-1.0, -0.2], [0.1, 0.8]]
_NEAR = [[1.0, 0.1], [0.3, 0.9], [0.1, 1.0], [0.8, 0.3], [-0.2, 0.4]]


def hard_batches(_):
    for vectors in (_SPREAD, _NEAR):
        yield from ((vectors, labels) for labels in (LABELS, [0, 0, 0, 0, 1]))
        for size in (1e-19, 1e-4, 1e4, 1e15):
            yield [[size * a for a in u] for u in vectors], LABELS
    # Far from the origin the products of vectors say nothing of their distances.
    yield [[1000 + a, 1000 - b] for a, b in _NEAR], LABELS


def _cases(oracle, *options):
    name = oracle.__name__
    corners = (([[0.5, 1.0]] * N, LABELS), (_SPREAD, [0, 1, 2, 3, 4]), (_SPREAD, [0] * N))
    yield Case(name, labelled, oracle, ({}, *options), corners, differentiable=(0,), hard=hard_batches)
    yield Case(name, some_labelled, oracle, corners=((_SPREAD, LABELS, [False] * N),), differentiable=(0,))


CASES = (
    *_cases(batch_hard_triplet, {"soft_margin": True, "distance": "squared_euclidean"}, {"distance": "cosine"}),
    *_cases(batch_semi_hard_triplet, {"margin": 0.5, "distance": "cosine"}),
    *_cases(batch_all_triplet, {"active_only": True, "margin": 0.5}),
)
