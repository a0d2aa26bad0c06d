"""Self-supervision: a batch is an item; of values for anchors the sum."""

import itertools

from mpmath import exp, inf, log, mpf, sqrt

from cases.contrastive import dot, there, vectors
from cases.table import Case

N = 4


def dino(student, teacher, center=None, student_temperature=0.1, teacher_temperature=0.04):
    t = [
        (mpf(a) - mpf(c)) / mpf(teacher_temperature) for a, c in zip(teacher, center or [0] * len(teacher), strict=True)
    ]
    weights = [exp(a - max(t)) for a in t]
    q = [w / sum(weights) for w in weights]
    s = [mpf(a) / mpf(student_temperature) for a in student]
    largest = max(s)
    log_z = largest + log(sum(exp(a - largest) for a in s))
    return sum(qj * (log_z - sj) for qj, sj in zip(q, s, strict=True))


def koleo(embeddings, mask=None):
    (u,), here, total = vectors("cosine", embeddings), there(mask, embeddings), mpf(0)
    for i in here:
        squares = [dot(*[[a - b for a, b in zip(u[i], u[j], strict=True)]] * 2) for j in here if j != i]
        if squares:
            total += -log(min(squares)) / 2 if min(squares) else inf
    return total


def uniformity(embeddings, mask=None, t=2.0):
    (u,), here = vectors("cosine", embeddings), there(mask, embeddings)
    terms = [
        exp(-mpf(t) * sum((a - b) ** 2 for a, b in zip(u[i], u[j], strict=True)))
        for i, j in itertools.combinations(here, 2)
    ]
    return log(sum(terms) / len(terms)) if terms else mpf(0)


def _features(view, here):
    """The columns of the members that are there, less their means."""
    columns = [[mpf(view[i][k]) for i in here] for k in range(len(view[0]))]
    return [[a - sum(column) / len(here) for a in column] for column in columns]


def barlow_twins(first, second, mask=None, redundancy_weight=0.005):
    here = there(mask, first)
    if not here:
        return mpf(0)
    x, y = _features(first, here), _features(second, here)
    total = mpf(0)
    for (i, a), (j, b) in itertools.product(enumerate(x), enumerate(y)):
        lengths = sqrt(dot(a, a) * dot(b, b))
        c = dot(a, b) / lengths if lengths else mpf(0)
        total += (1 - c) ** 2 if i == j else mpf(redundancy_weight) * c**2
    return total


def vicreg(first, second, mask=None, invariance_weight=25.0, variance_weight=25.0, covariance_weight=1.0, epsilon=1e-4):
    here = there(mask, first)
    if not here:
        return mpf(0)
    d, total = len(first[0]), mpf(0)
    for view in (first, second):
        x = _features(view, here)
        v = [[dot(a, b) / max(len(here) - 1, 1) for a in x] for b in x]
        lacking = sum(max(1 - sqrt(v[k][k] + mpf(epsilon)), 0) for k in range(d)) / d
        together = sum(v[i][j] ** 2 for i, j in itertools.permutations(range(d), 2)) / d
        total += mpf(variance_weight) * lacking / 2 + mpf(covariance_weight) * together
    squares = [(mpf(first[i][k]) - mpf(second[i][k])) ** 2 for i in here for k in range(d)]
    return total + mpf(invariance_weight) * sum(squares) / len(squares)


def _logits(rng, n):
    return rng.normal(size=(n, 5)), rng.normal(size=(n, 5)) / 4


def _with_center(rng, n):
    return *_logits(rng, n), rng.normal(size=5) / 4


def _batch(rng, n):
    return (rng.normal(size=(n, N, 2)),)


def _some(rng, n):
    return *_batch(rng, n), rng.random((n, N)) < 0.7


def _views(rng, n):
    return rng.normal(size=(n, N, 2)), rng.normal(size=(n, N, 2))


def _some_views(rng, n):
    mask = rng.random((n, N)) < 0.7
    mask[:, :3] = True
    return *_views(rng, n), mask


_ONE = [[1.0, 2.0], [3.0, 0.0], [2.0, 4.0], [0.5, 0.5]]
_TWO = [[1.0, 1.0], [2.0, 0.0], [4.0, 3.0], [-0.5, 0.7]]
_CONSTANT = [[0.1, 2.0], [0.1, 0.0], [0.1, 4.0], [0.1, 0.5]]
_NOT = [False] * N


def _hard_logits(_):
    for student in ([1.0, 2.0, 0.5, 0.0, -1.0], [30.0, 0.0, 0.0, 0.0, 0.0], [1e-4, 0.0, 0.0, 2e-4, 0.0]):
        yield from ((student, teacher) for teacher in ([0.5, 1.5, 1.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, 0.0]))


def _hard(_):
    yield from (([[size * a for a in u] for u in _ONE],) for size in (1e-30, 1e-4, 1.0, 1e15))
    yield ([[1.0, 0.0], [1.0, 1e-3], [0.0, 1.0], [-1.0, 0.1]],)


def _hard_views(_):
    for size in (1e-3, 0.1, 1.0, 100.0):
        yield tuple([[size * a for a in u] for u in view] for view in (_ONE, _TWO))
    yield _CONSTANT, _TWO
    yield [[1000 + a for a in u] for u in _ONE], _TWO


_OPTIONS = {
    "barlow_twins": ({}, {"redundancy_weight": 0.1}),
    "vicreg": ({}, {"invariance_weight": 1.0, "variance_weight": 2.0, "covariance_weight": 3.0, "epsilon": 1e-3}),
}

CASES = (
    Case(
        "dino",
        _logits,
        dino,
        options=({}, {"student_temperature": 0.5, "teacher_temperature": 0.5}),
        corners=(([0.0] * 5, [0.0] * 5),),
        hard=_hard_logits,
        relative_to_item=(1,),  # the slope in the teacher is the difference of two costs
    ),
    Case(
        "dino",
        _with_center,
        dino,
        differentiable=(0, 1, 2),
        shared=(2,),
        relative_to_item=(1, 2),
        variant="-center",
    ),
    Case("koleo", _batch, koleo, differentiable=(0,), hard=_hard),
    Case("koleo", _some, koleo, corners=((_ONE, _NOT),), differentiable=(0,)),
    Case("uniformity", _batch, uniformity, options=({}, {"t": 0.5}), differentiable=(0,), hard=_hard),
    Case("uniformity", _some, uniformity, corners=((_ONE, _NOT),), differentiable=(0,)),
    *(
        case
        for oracle in (barlow_twins, vicreg)
        for case in (
            Case(oracle.__name__, _views, oracle, _OPTIONS[oracle.__name__], hard=_hard_views),
            Case(oracle.__name__, _some_views, oracle, corners=((_ONE, _TWO, _NOT),)),
        )
    ),
)
