"""Contrastive losses: a batch is an item, whose value is the sum of those of its anchors."""

import itertools

import numpy as np
from mpmath import exp, mp, mpf, sqrt

from cases.table import Case, softplus


def dot(u, v):
    return sum(mpf(a) * mpf(b) for a, b in zip(u, v, strict=True))


def _unit(u):
    length = sqrt(dot(u, u))
    return [mpf(a) / length for a in u] if length else u


def vectors(similarity, *sides):
    return [[_unit(u) for u in side] if similarity == "cosine" else side for side in sides]


def there(mask, vectors):
    return [i for i, here in enumerate(mask or [True] * len(vectors)) if here]


def _surprisal(positive, negatives):
    return mp.log1p(sum(exp(x - positive) for x in negatives))


def info_nce(query, positive, negatives, mask=None, temperature=0.07, similarity="cosine"):
    (q, p), tau = vectors(similarity, [query, positive])[0], mpf(temperature)
    (others,) = vectors(similarity, negatives)
    return _surprisal(dot(q, p) / tau, [dot(q, others[k]) / tau for k in there(mask, others)])


def clip(first, second, labels=None, mask=None, temperature=0.07, symmetric=True, similarity="cosine"):
    (x, y), here = vectors(similarity, first, second), there(mask, first)
    total = mpf(0)
    for a, b in ((x, y), (y, x))[: 1 + symmetric]:
        for i in here:
            others = [j for j in here if j != i and not (labels and labels[i] == labels[j])]
            s = {j: dot(a[i], b[j]) / mpf(temperature) for j in [i, *others]}
            total += _surprisal(s[i], [s[j] for j in others])
    return total / (1 + symmetric)


def siglip(first, second, labels=None, mask=None, temperature=0.1, bias=-10.0, similarity="cosine"):
    (x, y), here = vectors(similarity, first, second), there(mask, first)
    total = mpf(0)
    for i, j in itertools.product(here, here):
        if i == j or not (labels and labels[i] == labels[j]):
            logit = dot(x[i], y[j]) / mpf(temperature) + mpf(bias)
            total += softplus(-logit if i == j else logit)
    return total


def nt_xent(first, second, mask=None, temperature=0.1, similarity="cosine"):
    (x, y), here = vectors(similarity, first, second), there(mask, first)
    total = mpf(0)
    for a, b in ((x, y), (y, x)):
        for i in here:
            s = {(v, j): dot(a[i], z[j]) / mpf(temperature) for v, z in enumerate((a, b)) for j in here}
            total += _surprisal(s[1, i], [t for (_, j), t in s.items() if j != i])
    return total / 2


def supervised_contrastive(embeddings, labels, mask=None, temperature=0.1, similarity="cosine"):
    (x,), here = vectors(similarity, embeddings), there(mask, embeddings)
    total = mpf(0)
    for i in here:
        s = {a: dot(x[i], x[a]) / mpf(temperature) for a in here if a != i}
        positives = [a for a in s if labels[a] == labels[i]]
        if positives:
            total += sum(_surprisal(s[p], [t for a, t in s.items() if a != p]) for p in positives) / len(positives)
    return total


# ------------------------------------------------------------------------------------------------------------- batches

N, D = 3, 2
LABELS = [0, 1, 0, 1]


def _queries(rng, n):
    return rng.normal(size=(n, D)), rng.normal(size=(n, D)), rng.normal(size=(n, N, D))


def _queue(rng, n):
    return rng.normal(size=(n, D)), rng.normal(size=(n, D)), rng.normal(size=(N, D))


def _some_negatives(rng, n):
    return *_queries(rng, n), rng.random((n, N)) < 0.7


def _pairs(rng, n):
    return rng.normal(size=(n, N, D)), rng.normal(size=(n, N, D))


def _some_pairs(rng, n):
    mask = rng.random((n, N)) < 0.7
    mask[:, 0] = True
    return *_pairs(rng, n), mask


def _some_labelled_pairs(rng, n):
    *pairs, mask = _some_pairs(rng, n)
    return *pairs, rng.integers(0, 2, (n, N)), mask


def _labelled(rng, n):
    return rng.normal(size=(n, len(LABELS), D)), rng.permuted(np.tile(LABELS, (n, 1)), axis=1)


def _some_labelled(rng, n):
    return *_labelled(rng, n), rng.random((n, len(LABELS))) < 0.8


_FIRST, _SECOND = [[1.0, 0.1], [0.2, 1.0], [-1.0, 0.3]], [[0.8, 0.6], [-0.6, 0.9], [-0.9, -0.1]]
_ZERO = [0.0, 0.0]
_PAIR_CORNERS = (
    (_FIRST, _FIRST),  # the gradient of two equal directions is that of the others
    ([_ZERO] * N, _SECOND),
    (_FIRST, [_ZERO, *_SECOND[1:]]),
    ([_FIRST[0]] * N, [_SECOND[0]] * N),
)


def _times(factor, vectors):
    return [[factor * a for a in u] for u in vectors]


def _hard_pairs(_):
    yield _FIRST, _SECOND
    yield _FIRST, _SECOND[::-1]
    for size in (1e-30, 1e-10, 1e4, 1e15):
        yield _times(size, _FIRST), _SECOND
    yield [[1.0, 1e-4], [1e-4, 1.0], [-1.0, -1e-4]], [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]


_OPPOSED = [[1.0, 0.2], [-1.0, 0.1], [1.0, 0.3], [-1.0, -0.2]]
_MIXED = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]


def _hard_labelled(_):
    yield from ((vectors, labels) for vectors in (_OPPOSED, _MIXED) for labels in (LABELS, [0, 0, 0, 1], [0, 0, 0, 0]))
    for size in (1e-30, 1e-10, 1e4, 1e15):
        yield _times(size, _OPPOSED), LABELS


def _hard_queries(_):
    for query, positive in ((_FIRST[0], _SECOND[0]), (_FIRST[2], _SECOND[0]), ([1.0, 1e-3], [1.0, 0.0])):
        yield query, positive, _FIRST
        yield query, positive, [[-1.0, 0.1], [-1.0, 0.0], [-1.0, -0.2]]
        yield from (([size * a for a in query], positive, _SECOND) for size in (1e-30, 1e4, 1e15))


_NONE = [False] * N

CASES = (
    Case(
        "info_nce",
        _queries,
        info_nce,
        options=({}, {"temperature": 0.5}, {"similarity": "dot", "temperature": 1.0}),
        corners=((_ZERO, _FIRST[0], _SECOND), (_FIRST[0], _FIRST[0], _FIRST), (_FIRST[0], _ZERO, [_ZERO] * N)),
        differentiable=(0, 1, 2),
        hard=_hard_queries,
    ),
    Case("info_nce", _queue, info_nce, differentiable=(0, 1, 2), shared=(2,), variant="-queue"),
    Case(
        "info_nce",
        _some_negatives,
        info_nce,
        corners=((_FIRST[0], _SECOND[0], _FIRST, _NONE),),
        differentiable=(0, 1, 2),
    ),
    Case(
        "clip",
        _pairs,
        clip,
        options=({}, {"temperature": 0.5, "symmetric": False}, {"similarity": "dot", "temperature": 1.0}),
        corners=_PAIR_CORNERS,
        hard=_hard_pairs,
    ),
    Case("clip", _some_labelled_pairs, clip, corners=((_FIRST, _SECOND, [0, 1, 2], _NONE),)),
    Case(
        "siglip",
        _pairs,
        siglip,
        options=({}, {"temperature": 0.5, "bias": -1.0}, {"similarity": "dot", "temperature": 1.0, "bias": 0.5}),
        corners=_PAIR_CORNERS,
        hard=_hard_pairs,
    ),
    Case("siglip", _some_labelled_pairs, siglip, corners=((_FIRST, _SECOND, [0, 1, 2], _NONE),)),
    Case(
        "nt_xent",
        _pairs,
        nt_xent,
        options=({}, {"temperature": 0.5}, {"similarity": "dot", "temperature": 1.0}),
        corners=_PAIR_CORNERS,
        hard=_hard_pairs,
    ),
    Case("nt_xent", _some_pairs, nt_xent, corners=((_FIRST, _SECOND, _NONE),)),
    Case(
        "supervised_contrastive",
        _labelled,
        supervised_contrastive,
        options=({}, {"temperature": 0.5}, {"similarity": "dot", "temperature": 1.0}),
        corners=(
            ([_ZERO] * 4, LABELS),
            (_MIXED, [0, 1, 2, 3]),
        ),
        differentiable=(0,),
        hard=_hard_labelled,
    ),
    Case(
        "supervised_contrastive",
        _some_labelled,
        supervised_contrastive,
        corners=((_MIXED, LABELS, [False] * 4),),
        differentiable=(0,),
    ),
)
