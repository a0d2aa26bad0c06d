"""Learning to rank: lists of documents, with and without a mask."""

import functools
import itertools

from mpmath import exp, inf, log, mp, mpf

from cases.table import Case, softplus

N = 5  # documents of a list


def _deleted(oracle):
    """The oracle of a list without the documents that the mask deletes."""

    @functools.wraps(oracle)
    def without(scores, targets, item_mask=None, **options):
        kept = [i for i, here in enumerate(item_mask or [True] * len(scores)) if here]
        return oracle([mpf(scores[i]) for i in kept], [mpf(targets[i]) for i in kept], **options)

    return without


def _surprisal(score, others):
    """Log sum exp of the others and the score, less the score."""
    if score == -inf:
        return inf
    return mp.log1p(sum(exp(s - score) for s in others))


@_deleted
def listwise_softmax(s, y):
    return sum((yi * _surprisal(s[i], s[:i] + s[i + 1 :]) for i, yi in enumerate(y) if yi), mpf(0))


@_deleted
def list_mle(s, y):
    behind = [[sj for j, sj in enumerate(s) if j != i and y[j] <= y[i]] for i in range(len(s))]
    return sum(map(_surprisal, s, behind), mpf(0))


@_deleted
def unique_softmax(s, y):
    lower = [[sj for j, sj in enumerate(s) if y[j] < y[i]] for i in range(len(s))]
    return sum(((2**yi - 1) * _surprisal(si, low) for si, yi, low in zip(s, y, lower, strict=True) if yi), mpf(0))


def _pairs(s, y):
    return [s[i] - s[j] for i, j in itertools.permutations(range(len(s)), 2) if y[i] > y[j]]


def _mean(values):
    return sum(values) / len(values) if values else mpf(0)


@_deleted
def pairwise_logistic(s, y):
    return _mean([softplus(-ahead) for ahead in _pairs(s, y)])


@_deleted
def pairwise_hinge(s, y, margin=1.0):
    return _mean([max(mpf(margin) - ahead, 0) for ahead in _pairs(s, y)])


@_deleted
def pairwise_squared_hinge(s, y, margin=1.0):
    return _mean([max(mpf(margin) - ahead, 0) ** 2 for ahead in _pairs(s, y)])


@_deleted
def pairwise_squared_error(s, y):
    return _mean([((s[i] - s[j]) - (y[i] - y[j])) ** 2 for i, j in itertools.permutations(range(len(s)), 2)])


def _rank(s, i, temperature):
    return 1 + sum(1 / (1 + exp((s[i] - s[j]) / mpf(temperature))) for j in range(len(s)) if j != i)


def _max_dcg(y, top=None):
    return sum((2**yi - 1) / log(2 + k, 2) for k, yi in enumerate(sorted(y, reverse=True)[:top]))


@_deleted
def approx_ndcg(s, y, temperature=0.1):
    best = _max_dcg(y)
    gained = sum((2**yi - 1) / log(1 + _rank(s, i, temperature), 2) for i, yi in enumerate(y))
    return (best - gained) / best if best else mpf(0)


@_deleted
def approx_mrr(s, y, temperature=0.1):
    ranks = [_rank(s, i, temperature) for i, yi in enumerate(y) if yi > 0]
    return 1 - 1 / min(ranks) if ranks else mpf(0)


@_deleted
def lambda_rank(s, y, scheme="lambda_rank", sigma=1.0, mu=10.0, top=None):
    places = {i: k for k, i in enumerate(sorted(range(len(s)), key=lambda i: -s[i]))}
    best, total = _max_dcg(y, top), mpf(0)
    for i, j in itertools.permutations(range(len(s)), 2):
        if y[i] > y[j] and min(places[i], places[j]) < (top or len(s)):
            exchanged = abs(1 / log(2 + places[i], 2) - 1 / log(2 + places[j], 2))
            d = abs(places[i] - places[j])
            beside = 1 / log(1 + d, 2) - 1 / log(2 + d, 2)
            weight = {"lambda_rank": exchanged, "ndcg_loss2": beside, "ndcg_loss2++": mpf(mu) * beside + exchanged}
            total += (2 ** y[i] - 2 ** y[j]) / best * weight[scheme] * softplus(-mpf(sigma) * (s[i] - s[j]))
    return total


def _graded(rng, n):
    return rng.normal(size=(n, N)), rng.integers(0, 4, (n, N))


def _relevances(rng, n):
    return rng.normal(size=(n, N)), rng.gamma(1.0, size=(n, N))


def _with_holes(rng, n):
    mask = rng.random((n, N)) < 0.7
    mask[:, 0] = True
    return (*_graded(rng, n), mask)


_GRADES = ([3, 2, 1, 0, 0], [0, 0, 1, 2, 3], [1, 1, 1, 1, 0], [2, 2, 2, 2, 2], [0] * N, [0, 0, 1, 0, 0])


def _hard(_):
    scores = (
        [0.0, 0.1, -0.1, 0.2, 0.3],
        [50.0, 30.0, 10.0, -10.0, -30.0],
        [-30.0, -10.0, 10.0, 30.0, 50.0],
        [1e4, 1e4 - 1, 1e4 - 20, 3.0, -1e4],
        [1e-4, 2e-4, 0.0, -1e-4, 3e-4],
    )
    yield from itertools.product(scores, _GRADES)


def _hard_with_ties(ulp):
    yield from itertools.product(([0.0] * N, [1.0, 1.0, 0.0, 0.0, 3.0]), _GRADES)
    yield from _hard(ulp)


def _hard_real(ulp):
    yield from ((s, [float(grade) for grade in y]) for s, y in _hard_with_ties(ulp))


def _cases(oracle, draw=_graded, options=({},), hard=_hard_with_ties, masked=None, differentiable=(0,), **facts):
    """A list of documents, and one with holes."""
    name = oracle.__name__
    corner = ([2.0, 1.0, 3.0, 0.5, 0.0], [0] * N)
    yield Case(name, draw, oracle, options, (corner,), differentiable, hard=hard, **facts)
    deleted = ([2.0, 1.0, 3.0, 0.5, 0.0], [1, 0, 2, 0, 0], [False] * N)
    yield Case(name, _with_holes, oracle, masked or options[:1], (deleted,), (0,), **facts)


# Sums over a list are 0 at equal scores and grades: the difference of two equal sums.
_CANCELS = {"relative_to_item": (0,)}

CASES = (
    *_cases(listwise_softmax, _relevances, hard=_hard_real, differentiable=(0, 1), domain={1: (0.0, inf)}, **_CANCELS),
    *_cases(list_mle, sorts=True, **_CANCELS),
    # Pairs, too, are taken along an axis that is not sharded.
    *_cases(pairwise_logistic, sorts=True, **_CANCELS),
    *_cases(pairwise_hinge, options=({}, {"margin": 0.3}), sorts=True, **_CANCELS),
    *_cases(pairwise_squared_hinge, options=({}, {"margin": 0.3}), sorts=True, **_CANCELS),
    *_cases(pairwise_squared_error, _relevances, hard=_hard_real, differentiable=(0, 1), relative_to_item=(0, 1)),
    *_cases(unique_softmax, sorts=True, **_CANCELS),
    *_cases(approx_ndcg, options=({}, {"temperature": 1.0}), hard=_hard, sorts=True, **_CANCELS),
    *_cases(approx_mrr, options=({}, {"temperature": 1.0}), hard=_hard, sorts=True, **_CANCELS),
    *_cases(
        lambda_rank,
        options=({}, {"scheme": "ndcg_loss2"}, {"scheme": "ndcg_loss2++", "mu": 5.0, "sigma": 2.0}, {"top": 2}),
        hard=_hard,
        sorts=True,
        **_CANCELS,
    ),
)
