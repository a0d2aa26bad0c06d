"""Metric learning: a batch is an item, whose value is the sum of those of its anchors."""

from mpmath import exp, inf, log, mpf

from cases.contrastive import dot, there, vectors
from cases.mining import LABELS, N, hard_batches, labelled, some_labelled
from cases.table import Case


def _log_sum(logits):
    """Log of one and the sum of exp."""
    largest = max([mpf(0), *logits])
    return largest + log(sum(exp(x - largest) for x in [mpf(0), *logits]))


def _of_anchors(embeddings, labels, mask):
    """For each anchor that is there the cosines of its positives and of its negatives."""
    (x,), here = vectors("cosine", embeddings), there(mask, embeddings)
    for i in here:
        s = {j: dot(x[i], x[j]) for j in here if j != i}
        yield [t for j, t in s.items() if labels[j] == labels[i]], [t for j, t in s.items() if labels[j] != labels[i]]


def multi_similarity(embeddings, labels, mask=None, alpha=2.0, beta=50.0, base=0.5, mining_margin=0.1):
    total = mpf(0)
    for positives, negatives in _of_anchors(embeddings, labels, mask):
        if mining_margin < inf:
            if not (positives and negatives):
                continue
            mined = [s for s in positives if s < max(negatives) + mpf(mining_margin)]
            negatives = [s for s in negatives if s > min(positives) - mpf(mining_margin)]
            positives = mined
        pull = _log_sum([-mpf(alpha) * (s - mpf(base)) for s in positives]) / mpf(alpha)
        total += pull + _log_sum([mpf(beta) * (s - mpf(base)) for s in negatives]) / mpf(beta)
    return total


def circle(embeddings, labels, mask=None, margin=0.4, gamma=80.0, **_):
    total, m, g = mpf(0), mpf(margin), mpf(gamma)
    for positives, negatives in _of_anchors(embeddings, labels, mask):
        push = [g * max(s + m, 0) * (s - m) for s in negatives]
        pull = [-g * max(1 + m - s, 0) * (s - 1 + m) for s in positives]
        total += _log_sum([a + b for a in push for b in pull])
    return total


def proxy_anchor(embeddings, labels, proxies, mask=None, margin=0.1, alpha=32.0):
    (x, p), here = vectors("cosine", embeddings, proxies), there(mask, embeddings)
    m, a = mpf(margin), mpf(alpha)
    if not here:
        return mpf(0)
    s = {(i, v): dot(x[i], p[v]) for i in here for v in range(len(p))}
    pull = [[-a * (t - m) for (i, k), t in s.items() if k == v and labels[i] == v] for v in range(len(p))]
    push = [[a * (t + m) for (i, k), t in s.items() if k == v and labels[i] != v] for v in range(len(p))]
    present = [logits for logits in pull if logits]
    return sum(map(_log_sum, present)) / len(present) + sum(map(_log_sum, push)) / len(p)


_PROXIES = [[1.0, 0.1], [-0.2, 1.0], [-0.8, -0.7]]


def with_proxies(rng, n):
    return *labelled(rng, n), rng.normal(size=(3, 2))


def some_with_proxies(rng, n):
    *arrays, mask = some_labelled(rng, n)
    return *arrays, rng.normal(size=(3, 2)), mask


_SPREAD = [[1.0, 0.2], [-0.7, 0.1], [0.9, 0.35], [-1.0, -0.2], [0.1, 0.8]]
_CORNERS = (([[0.0, 0.0]] * N, LABELS), (_SPREAD, [0, 1, 2, 3, 4]), (_SPREAD, [0] * N))


def _cases(oracle, *options):
    name = oracle.__name__
    yield Case(name, labelled, oracle, ({}, *options), _CORNERS, differentiable=(0,), hard=hard_batches)
    yield Case(name, some_labelled, oracle, corners=((_SPREAD, LABELS, [False] * N),), differentiable=(0,))


CASES = (
    *_cases(multi_similarity, {"mining_margin": float("inf")}, {"alpha": 4.0, "beta": 10.0, "base": 0.2}),
    *_cases(circle, {"margin": 0.25, "gamma": 8.0}),
    Case(
        "proxy_anchor",
        with_proxies,
        proxy_anchor,
        options=({}, {"margin": 0.2, "alpha": 4.0}),
        corners=(([[0.0, 0.0]] * N, LABELS, _PROXIES), (_SPREAD, [2] * N, _PROXIES)),
        differentiable=(0, 2),
        shared=(2,),
        hard=lambda ulp: ((*batch, _PROXIES) for batch in hard_batches(ulp)),
    ),
    Case(
        "proxy_anchor",
        some_with_proxies,
        proxy_anchor,
        corners=((_SPREAD, LABELS, _PROXIES, [False] * N),),
        differentiable=(0, 2),
        shared=(2,),
    ),
)
