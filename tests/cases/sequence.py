"""Sequences: sums over all paths, one by one, with and without masks."""

import itertools
from math import inf

from mpmath import exp, log, mpf, sqrt

from cases.table import Case

T, C, N = 4, 3, 2  # frames, classes, labels


def _kept(array, mask):
    return [entry for entry, here in zip(array, mask or [True] * len(array), strict=True) if here]


def _log(x):
    return log(x) if x else -inf


def _log_sum(numbers):
    return _log(sum(exp(x) for x in numbers if x != -inf))


def _exact(array):
    return [_exact(entry) for entry in array] if isinstance(array, list) else mpf(array)


def ctc(logits, labels, frame_mask=None, label_mask=None, blank=0):
    frames, labels = _exact(_kept(logits, frame_mask)), _kept(labels, label_mask)
    if not frames:
        return mpf(0)
    partitions = [_log_sum(row) for row in frames]
    costs = []
    for path in itertools.product(range(len(frames[0])), repeat=len(frames)):
        merged = [c for c, _ in itertools.groupby(path)]
        if [c for c in merged if c != blank] == list(labels):
            costs.append(sum(row[c] - p for row, c, p in zip(frames, path, partitions, strict=True)))
    return -_log_sum(costs)


def transducer(logits, labels, frame_mask=None, label_mask=None, blank=0):
    frames, labels = _exact(_kept(logits, frame_mask)), _kept(labels, label_mask)
    if not frames:
        return mpf(0)

    def log_p(row, c):
        return row[c] - _log_sum(row)

    def costs(t, u):
        """Those of all paths from a cell on."""
        if t == len(frames):
            return [mpf(0)] if u == len(labels) else []
        found = [log_p(frames[t][u], blank) + rest for rest in costs(t + 1, u)]
        if u < len(labels):
            found += [log_p(frames[t][u], labels[u]) + rest for rest in costs(t, u + 1)]
        return found

    return -_log_sum(costs(0, 0))


def additive_transducer(acoustic_logits, text_logits, labels, frame_mask=None, label_mask=None, blank=0):
    sums = [[[x + y for x, y in zip(a, b, strict=True)] for b in _exact(text_logits)] for a in _exact(acoustic_logits)]
    return transducer(sums, labels, frame_mask, label_mask, blank)


def crf(logits, labels, transitions, start=None, end=None, token_mask=None):
    tokens, labels = _exact(_kept(logits, token_mask)), _kept(labels, token_mask)
    transitions, start, end = (_exact(scores or []) for scores in (transitions, start, end))
    if not tokens:
        return mpf(0)

    def score(path):
        total = (start[path[0]] if start else 0) + (end[path[-1]] if end else 0)
        total += sum(row[y] for row, y in zip(tokens, path, strict=True))
        return total + sum(transitions[i][j] for i, j in itertools.pairwise(path))

    paths = itertools.product(range(len(tokens[0])), repeat=len(tokens))
    others = _log_sum([score(path) - score(labels) for path in paths if list(path) != list(labels)])
    return log(1 + exp(others)) if score(labels) != -inf else inf


def _paths(n, m):
    """All walks of cells from (0, 0) to (n - 1, m - 1)."""
    if n < 1 or m < 1:
        return []
    if n == m == 1:
        return [[(0, 0)]]
    before = _paths(n - 1, m) + _paths(n, m - 1) + _paths(n - 1, m - 1)
    return [[*path, (n - 1, m - 1)] for path in before]


def soft_dtw(
    prediction,
    target,
    prediction_mask=None,
    target_mask=None,
    gamma=1.0,
    distance="squared_euclidean",
    debiased=False,
    bandwidth=None,
):
    x, y = _exact(_kept(prediction, prediction_mask)), _exact(_kept(target, target_mask))
    if not x or not y:
        return mpf(0)

    def inside(i, j, n, m):
        far = abs(mpf(i) / max(n - 1, 1) - mpf(j) / max(m - 1, 1))
        return bandwidth is None or far <= bandwidth or (i, j) == (n - 1, m - 1)

    def apart(u, v):
        square = sum((a - b) ** 2 for a, b in zip(u, v, strict=True))
        return square if distance == "squared_euclidean" else sqrt(square)

    def cost(x, y):
        paths = [path for path in _paths(len(x), len(y)) if all(inside(*cell, len(x), len(y)) for cell in path)]
        costs = [sum(apart(x[i], y[j]) for i, j in path) for path in paths]
        if not gamma:
            return min(costs, default=inf)
        least = min(costs)
        return least - mpf(gamma) * _log(sum(exp(-(c - least) / mpf(gamma)) for c in costs))

    return cost(x, y) - (cost(x, x) + cost(y, y)) / 2 if debiased else cost(x, y)


def _frames(rng, n):
    return rng.normal(size=(n, T, C)) * 2, rng.integers(1, C, (n, N))


def _frames_with_holes(rng, n):
    frames, labels = rng.random((n, T)) < 0.8, rng.random((n, N)) < 0.7
    frames[:, ::2], labels[:, 0] = True, True
    return *_frames(rng, n), frames, labels


def _hard_frames(_):
    rows = ([0.0, 0.0, 0.0], [5.0, -3.0, 1.0], [-20.0, 30.0, 3.0], [1e4, 0.0, -1e4], [-inf, 0.0, 1.0])
    for a, b, c in itertools.product(rows, repeat=3):
        yield [a, b, c, [0.5, -0.5, 1.0]], [1, 2]
    for a, b in itertools.product(rows[:3], repeat=2):
        yield [a, b, b, a], [2, 2]


def _cells(rng, n):
    return rng.normal(size=(n, 3, N + 1, C)) * 2, rng.integers(1, C, (n, N))


def _cells_with_holes(rng, n):
    frames = rng.random((n, 3)) < 0.6
    frames[:, 1] = True
    return *_cells(rng, n), frames


def _two_networks(rng, n):
    return rng.normal(size=(n, 3, C)), rng.normal(size=(n, N + 1, C)), rng.integers(1, C, (n, N))


def _two_networks_with_holes(rng, n):
    frames = rng.random((n, 3)) < 0.6
    frames[:, 1] = True
    return *_two_networks(rng, n), frames


def _far_apart(_):
    rows = ([0.0, 0.0, 0.0], [5.0, -3.0, 1.0], [-20.0, 3.0, 30.0], [300.0, 0.0, -300.0], [-200.0, 0.0, 200.0])
    for a, b in itertools.product(rows, repeat=2):
        yield [a, [0.5, -0.5, 1.0], b], [b, rows[0], a], [1, 2]


def _hard_cells(_):
    rows = ([0.0, 0.0, 0.0], [5.0, -3.0, 1.0], [-20.0, 30.0, 3.0], [1e4, 0.0, -1e4], [-inf, 0.0, 1.0])
    for a, b, c in itertools.product(rows, repeat=3):
        yield [[a, b, c], [b, c, a], [c, [0.5, -0.5, 1.0], b]], [1, 2]


def _tokens(rng, n):
    return (
        rng.normal(size=(n, T, C)),
        rng.integers(0, C, (n, T)),
        rng.normal(size=(C, C)),
        rng.normal(size=C),
        rng.normal(size=C),
    )


def _tokens_with_holes(rng, n):
    mask = rng.random((n, T)) < 0.7
    mask[:, 1] = True
    return *_tokens(rng, n), mask


def _series(rng, n):
    return rng.normal(size=(n, 3, 2)), rng.normal(size=(n, 4, 2))


def _series_with_holes(rng, n):
    x, y = rng.random((n, 3)) < 0.7, rng.random((n, 4)) < 0.7
    x[:, 1], y[:, 2] = True, True
    return *_series(rng, n), x, y


def _hard_series(ulp):
    for s, c in itertools.product((1e-10, 1e-3, 1.0, 30.0, 1e4, 1e8), (0.0, 1e3)):
        yield [[c, c], [c + s, c], [c + 3 * s, c]], [[c, c], [c, c], [c + 2 * s, c], [c + 2 * s, c - s]]
    yield [[1.0, 0.0], [1.0 + 2 * ulp, 0.0], [1.0, 0.0]], [[1.0, 0.0]] * 4


def _hard_tokens(_):
    rows = ([0.0, 0.0, 0.0], [20.0, 0.0, -1.0], [0.0, 50.0, 3.0], [1e4, 0.0, -1e4])
    scores = (
        [[0.0] * C] * C,
        [[0.5, -0.5, 1.0], [0.0, 1.0, -20.0], [3.0, -inf, 0.0]],
    )
    for a, b, transitions in itertools.product(rows, rows, scores):
        yield [a, b, a, [0.5, -0.5, 1.0]], [0, 1, 0, 2], transitions, [0.0, 0.1, 0.2], [0.0, -0.3, 1.0]


_LOGITS = [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
_TRANSITIONS = [[0.5, -0.5, 0.0], [0.0, 1.0, 0.0], [-inf, 0.0, 0.0]]
_ENDS = [0.2, 0.0, 0.1], [0.0, -0.3, 0.0]

CASES = (
    Case(
        "soft_dtw",
        _series,
        soft_dtw,
        ({}, {"gamma": 0.1, "distance": "euclidean"}, {"debiased": True}, {"gamma": 3.0, "bandwidth": 0.5}),
        (([[0.0, 0.0]] * 3, [[0.0, 0.0]] * 4), ([[0.0, 1.0]] * 3, [[3.0, 0.0]] * 4)),
        hard=_hard_series,
        relative_to_item=(0, 1),
    ),
    Case(
        "soft_dtw",
        _series_with_holes,
        soft_dtw,
        ({},),
        (([[0.0, 1.0]] * 3, [[3.0, 0.0]] * 4, [False] * 3, [True] * 4),),
    ),
    Case(
        "ctc",
        _frames,
        ctc,
        ({},),
        ((_LOGITS, [1, 2]), ([[1e4, 0.0, -1e4]] * 4, [1, 2]), ([[0.0, -inf, 0.0]] * 4, [1, 2])),
        (0,),
        hard=_hard_frames,
        relative_to_item=(0,),
    ),
    Case("ctc", _frames_with_holes, ctc, ({},), ((_LOGITS, [1, 2], [False] * T, [True, False]),), (0,)),
    Case(
        "transducer",
        _cells,
        transducer,
        ({},),
        (([_LOGITS[:3]] * 3, [1, 2]), ([[[0.0, -inf, 0.0]] * 3] * 3, [1, 2])),
        (0,),
        hard=_hard_cells,
        relative_to_item=(0,),
    ),
    Case("transducer", _cells_with_holes, transducer, ({},), (([_LOGITS[:3]] * 3, [1, 2], [False] * 3),), (0,)),
    Case(
        "additive_transducer",
        _two_networks,
        additive_transducer,
        ({},),
        ((_LOGITS[:3], _LOGITS[1:], [1, 2]), ([[300.0, 0.0, 0.0]] * 3, [[0.0, 0.0, 300.0]] * 3, [1, 2])),
        hard=_far_apart,
        relative_to_item=(0, 1),
    ),
    Case(
        "additive_transducer",
        _two_networks_with_holes,
        additive_transducer,
        ({},),
        ((_LOGITS[:3], _LOGITS[1:], [1, 2], [False] * 3),),
    ),
    Case(
        "crf",
        _tokens,
        crf,
        ({},),
        ((_LOGITS, [0, 1, 1, 2], _TRANSITIONS, *_ENDS), (_LOGITS, [0, 2, 0, 1], _TRANSITIONS, *_ENDS)),
        (0, 2, 3, 4),
        shared=(2, 3, 4),
        hard=_hard_tokens,
        relative_to_item=(0, 2, 3, 4),
    ),
    Case(
        "crf",
        _tokens_with_holes,
        crf,
        ({},),
        ((_LOGITS, [0, 1, 1, 2], _TRANSITIONS, *_ENDS, [False] * T),),
        (0, 2, 3, 4),
        shared=(2, 3, 4),
    ),
)
