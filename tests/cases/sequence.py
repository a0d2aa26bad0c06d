"""Sequences: sums over all paths, one by one, with and without masks."""

import itertools
from math import inf

from mpmath import exp, log, mpf

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
