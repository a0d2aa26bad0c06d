"""Segmentation: overlaps of regions, and their convex extensions."""

import itertools

import numpy as np
from mpmath import mpf, sqrt

from cases.table import PROBABILITY, Case

N = 6  # pixels
C = 3  # classes
UNIT = {0: PROBABILITY, 1: PROBABILITY}


def _counting(mask, *arrays):
    kept = [
        one for one, counts in zip(zip(*arrays, strict=True), mask or [True] * len(arrays[0]), strict=True) if counts
    ]
    return [
        [entry if isinstance(entry, list) else mpf(entry) for entry in column] for column in zip(*kept, strict=True)
    ]


def _cells(p, y, mask, overlap="product"):
    p, y = _counting(mask, p, y) or ([], [])
    pairs = list(zip(p, y, strict=True))
    if overlap == "minimum":
        return (
            sum(min(p, y) for p, y in pairs),
            sum(max(p - y, mpf(0)) for p, y in pairs),
            sum(max(y - p, mpf(0)) for p, y in pairs),
        )
    return sum(p * y for p, y in pairs), sum(p * (1 - y) for p, y in pairs), sum((1 - p) * y for p, y in pairs)


def _over(wrong, whole):
    return wrong / whole if whole else mpf(0)


def dice(p, y, mask=None, smooth=0.0, squared=False, overlap="product"):
    if squared:
        p, y = _counting(mask, p, y)
        wrong = sum((p - y) ** 2 for p, y in zip(p, y, strict=True))
        return _over(wrong, sum(x**2 for x in p + y) + mpf(smooth))
    tp, fp, fn = _cells(p, y, mask, overlap)
    return _over(fp + fn, 2 * tp + fp + fn + mpf(smooth))


def jaccard(p, y, mask=None, smooth=0.0, overlap="product"):
    tp, fp, fn = _cells(p, y, mask, overlap)
    return _over(fp + fn, tp + fp + fn + mpf(smooth))


def tversky(p, y, mask=None, alpha=0.3, beta=0.7, smooth=0.0, overlap="product"):
    tp, fp, fn = _cells(p, y, mask, overlap)
    wrong = mpf(alpha) * fp + mpf(beta) * fn
    return _over(wrong, tp + wrong + mpf(smooth))


def focal_tversky(p, y, mask=None, alpha=0.3, beta=0.7, gamma=0.75, smooth=0.0):
    return tversky(p, y, mask, alpha, beta, smooth) ** mpf(gamma)


def generalized_dice(p, y, mask=None, weighting="square"):
    p, y = _counting(mask, p, y)
    p, y = (np.array(x, object).T + mpf(0) for x in (p, y))
    volumes = [sum(row) for row in y]
    smallest = min((v for v in volumes if v), default=mpf(1))
    power = {"square": 2, "simple": 1, "uniform": 0}[weighting]
    weights = [(smallest / v if v else mpf(1)) ** power for v in volumes]
    both = sum(w * sum(a * b) for w, a, b in zip(weights, p, y, strict=True))
    whole = sum(w * sum(a + b) for w, a, b in zip(weights, p, y, strict=True))
    return 1 - 2 * both / whole if whole else mpf(0)


def matthews(p, y, mask=None):
    tp, fp, fn = _cells(p, y, mask)
    p, y = _counting(mask, p, y)
    tn = sum((1 - p) * (1 - y) for p, y in zip(p, y, strict=True))
    if fp + fn == 0:
        return mpf(0)
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return 1 - (tp * tn - fp * fn) / sqrt(product) if product else mpf(1)


def _lovasz(errors, positive):
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    total, before, cost = sum(positive), mpf(0), mpf(0)
    for k in range(1, len(order) + 1):
        wrong = order[:k]
        missed, extra = sum(positive[i] for i in wrong), sum(not positive[i] for i in wrong)
        loss = 1 - (mpf(total) - missed) / (total + extra) if total + extra else mpf(0)
        cost, before = cost + errors[order[k - 1]] * (loss - before), loss
    return cost


def lovasz_hinge(logits, labels, mask=None):
    logits, labels = _counting(mask, logits, labels)
    margins = [1 - x * (2 * y - 1) for x, y in zip(logits, labels, strict=True)]
    return _lovasz([max(m, mpf(0)) for m in margins], [bool(y) for y in labels])


def lovasz_softmax(probabilities, labels, mask=None, classes="present"):
    rows, labels = _counting(mask, probabilities, labels)
    chosen = [c for c in range(len(rows[0])) if classes == "all" or c in labels]
    costs = [
        _lovasz(
            [abs((label == c) - mpf(row[c])) for row, label in zip(rows, labels, strict=True)], [x == c for x in labels]
        )
        for c in chosen
    ]
    return sum(costs) / len(costs)


def boundary(p, distance):
    return mpf(p) * mpf(distance) if p else mpf(0)


def hausdorff(p, y, d_p, d_y, alpha=2.0):
    error = (mpf(p) - mpf(y)) ** 2
    return error * (mpf(d_p) ** mpf(alpha) + mpf(d_y) ** mpf(alpha)) if error else mpf(0)


def cl_dice(p, y, skeleton_p, skeleton_y, mask=None, smooth=0.0):
    p, y, skeleton_p, skeleton_y = _counting(mask, p, y, skeleton_p, skeleton_y)
    smooth = mpf(smooth)

    def share(skeleton, region):
        whole = sum(skeleton) + smooth
        return (sum(s * r for s, r in zip(skeleton, region, strict=True)) + smooth) / whole if whole else mpf(1)

    precision, sensitivity = share(skeleton_p, y), share(skeleton_y, p)
    total = precision + sensitivity
    return 1 - 2 * precision * sensitivity / total if total else mpf(1)


def _regions(rng, n):
    return rng.uniform(0.05, 0.95, (n, N)), rng.uniform(0.05, 0.95, (n, N))


def _mask(rng, n):
    mask = rng.random((n, N)) < 0.7
    mask[:, 0] = True
    return mask


def _true_regions(rng, n):
    return rng.uniform(0.05, 0.95, (n, N)), rng.integers(0, 2, (n, N)).astype(float)


def _true_regions_with_mask(rng, n):
    return *_true_regions(rng, n), _mask(rng, n)


def _classes(rng, n):
    return rng.dirichlet(np.ones(C), (n, N)) * 0.9 + 0.02, rng.dirichlet(np.ones(C), (n, N)) * 0.9 + 0.02


def _true_classes_with_mask(rng, n):
    """Integers: the weight of a class jumps as its last true pixel goes, and no slope is judged there."""
    return _classes(rng, n)[0], np.eye(C, dtype=int)[rng.integers(0, C, (n, N))], _mask(rng, n)


def _classes_and_labels(rng, n):
    return rng.dirichlet(np.ones(C), (n, N)) * 0.9 + 0.02, rng.integers(0, C, (n, N))


def _classes_and_labels_with_mask(rng, n):
    return *_classes_and_labels(rng, n), _mask(rng, n)


def _logits_and_labels(rng, n):
    return rng.normal(size=(n, N)) * 3, rng.integers(0, 2, (n, N))


_EMPTY, _FULL, _SOME = [0.0] * N, [1.0] * N, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]


def _hard_regions(ulp):
    predicted = (
        [0.8, 0.6, 0.3, 0.1, 0.2, 0.4],
        [1 - ulp, ulp, 1 - ulp, 1e-4, 0.0, 0.0],
        [1 - 1e-9, 1e-9, 1.0, 1e-12, 0.0, 0.0],
        [1e-20, 1e-15, 3e-20, 1e-17, 0.0, 0.0],
        [1e-9, 0.999, 1e-8, 1.0, 0.5, 0.7],
        _EMPTY,
        _SOME,
        _FULL,
    )
    true = (_SOME, _EMPTY, _FULL, [0.0] * 5 + [1.0], [0.5, 0.25, 0.0, 1.0, 0.1, 0.9])
    yield from itertools.product(predicted, true)


def _pixels_and_distances(rng, n):
    return rng.uniform(0.05, 0.95, n), rng.normal(size=n) * 5


def _hard_distances(ulp):
    yield from itertools.product((0.0, 1e-30, 1e-9, 0.3, 1 - ulp, 1.0), (0.0, -1.0, 5.0, 1e4, 1e-4))


def _pixels_and_two_distances(rng, n):
    return rng.uniform(0.05, 0.95, n), rng.uniform(0.05, 0.95, n), *rng.uniform(0.1, 9, (2, n))


def _hard_two_distances(ulp):
    pixels = ((0.0, 1.0), (0.3, 0.7), (1 - ulp, 1.0), (1e-9, 0.0), (0.7, 0.7 - ulp), (0.5, 0.5))
    yield from (
        (*pair, *distances) for pair in pixels for distances in ((1.0, 0.0), (30.0, 1.0), (0.0, 0.0), (1e4, 9.0))
    )


def _skeletons(rng, n):
    return rng.uniform(0.05, 0.95, (4, n, N))


def _skeletons_with_mask(rng, n):
    return *_true_regions(rng, n), *rng.uniform(0.05, 0.95, (2, n, N)), _mask(rng, n)


def _hard_skeletons(ulp):
    lines = (_SOME, _EMPTY, [0.0, 0.0, 0.0, 1e-4, 0.5, 0.0])
    predicted = (
        [0.8, 0.6, 0.3, 0.1, 0.2, 0.4],
        [1 - ulp, ulp, 1 - ulp, 1e-4, 0.0, 0.0],
        [1e-25, 1e-20, 3e-25, 0, 0, 1.0],
    )
    true = (_SOME, [0.0, 1.0, 0.0, 1.0, 1.0, 1.0], [1e-20, 1.0, 1e-12, 0.0, 0.0, 0.5])
    yield from itertools.product(predicted, true, lines, lines)


def _hard_classes(_):
    rows = np.eye(C, dtype=int).tolist()
    predicted = (
        [[0.7, 0.2, 0.1]] * N,
        [[1 - 1e-6, 1e-6, 1e-12], [0.2, 0.5, 0.3], [1e-4, 1e-3, 1.0], *[[0.3, 0.3, 0.4]] * 3],
        [rows[k] for k in (0, 1, 1, 0, 0, 0)],
    )
    true = [[rows[k] for k in ks] for ks in ((0, 1, 1, 0, 0, 0), (0, 1, 2, 1, 1, 0), (2, 2, 2, 2, 2, 2))]
    yield from itertools.product(predicted, true, ([True] * N, [False, *[True] * 5]))


def _hard_labels(_):
    for predicted, *_ in itertools.islice(_hard_classes(None), 0, 12, 6):
        yield from ((predicted, labels) for labels in ([0, 1, 1, 0, 0, 0], [0, 1, 2, 1, 1, 0], [2] * N))


def _hard_logits(ulp):
    rows = (
        [1.0, -0.5, 0.2, -2.0, 3.0, -0.1],
        [0.0] * N,
        [1e4, -1e4, 50.0, -50.0, 1 - ulp, 1e-4],
        [1e30, 1.0, 1.0, -1e30, 2, 3],
    )
    yield from itertools.product(rows, ([1, 1, 0, 0, 1, 0], [0] * N, [1] * N))


_REGION_CORNERS = ((_SOME, _SOME), (_EMPTY, _EMPTY), (_SOME, _EMPTY), (_EMPTY, _SOME), (_FULL, _FULL), (_FULL, _SOME))

CASES = (
    Case(
        "dice",
        _regions,
        dice,
        options=({}, {"squared": True}, {"overlap": "minimum"}, {"smooth": 1.0}),
        corners=_REGION_CORNERS,
        domain=UNIT,
        hard=_hard_regions,
    ),
    Case("dice", _true_regions_with_mask, dice, options=({}, {"squared": True}), domain=UNIT),
    Case(
        "jaccard",
        _regions,
        jaccard,
        options=({}, {"overlap": "minimum"}, {"smooth": 1.0}),
        corners=_REGION_CORNERS,
        domain=UNIT,
        hard=_hard_regions,
    ),
    Case("jaccard", _true_regions_with_mask, jaccard, domain=UNIT),
    Case(
        "tversky",
        _regions,
        tversky,
        options=({}, {"alpha": 0.0, "beta": 1.0}, {"overlap": "minimum"}, {"smooth": 1.0}),
        corners=_REGION_CORNERS,
        domain=UNIT,
        hard=_hard_regions,
    ),
    Case("tversky", _true_regions_with_mask, tversky, domain=UNIT),
    Case(
        "focal_tversky",
        _regions,
        focal_tversky,
        options=({}, {"gamma": 2.0}, {"alpha": 0.6, "beta": 0.4, "smooth": 1.0}),
        corners=_REGION_CORNERS,
        domain=UNIT,
        hard=_hard_regions,
    ),
    Case("focal_tversky", _true_regions_with_mask, focal_tversky, domain=UNIT),
    Case("generalized_dice", _classes, generalized_dice, domain=UNIT),
    Case(
        "generalized_dice",
        _true_classes_with_mask,
        generalized_dice,
        options=({}, {"weighting": "simple"}, {"weighting": "uniform"}),
        differentiable=(0,),
        domain=UNIT,
        hard=_hard_classes,
    ),
    Case("matthews", _regions, matthews, corners=_REGION_CORNERS, domain=UNIT, hard=_hard_regions),
    Case("matthews", _true_regions_with_mask, matthews, domain=UNIT),
    Case(
        "lovasz_hinge",
        _logits_and_labels,
        lovasz_hinge,
        differentiable=(0,),
        corners=(([1.0, -0.5, 0.2, -2.0, 0.0, 0.0], [0] * N), ([1.0] * N, [1] * N)),
        hard=_hard_logits,
        sorts=True,
    ),
    Case(
        "lovasz_softmax",
        _classes_and_labels,
        lovasz_softmax,
        options=({}, {"classes": "all"}),
        differentiable=(0,),
        domain=UNIT,
        hard=_hard_labels,
        sorts=True,
    ),
    Case("lovasz_softmax", _classes_and_labels_with_mask, lovasz_softmax, differentiable=(0,), domain=UNIT, sorts=True),
    Case(
        "boundary",
        _pixels_and_distances,
        boundary,
        corners=((0.0, np.inf), (0.0, 0.0), (1.0, -3.0)),
        domain={0: PROBABILITY},
        hard=_hard_distances,
    ),
    Case(
        "hausdorff",
        _pixels_and_two_distances,
        hausdorff,
        options=({}, {"alpha": 1.0}),
        corners=((0.5, 0.5, 3.0, 1.0), (1.0, 0.0, 0.0, 0.0)),
        differentiable=(0, 1, 2, 3),
        domain=UNIT | {2: (0.0, np.inf), 3: (0.0, np.inf)},
        hard=_hard_two_distances,
    ),
    Case(
        "cl_dice",
        _skeletons,
        cl_dice,
        options=({}, {"smooth": 1.0}),
        corners=((_SOME, _SOME, _SOME, _SOME), (_EMPTY, _SOME, _EMPTY, _SOME), (_SOME, _EMPTY, _SOME, _EMPTY)),
        differentiable=(0, 1, 2, 3),
        domain=dict.fromkeys(range(4), PROBABILITY),
        hard=_hard_skeletons,
    ),
    Case(
        "cl_dice",
        _skeletons_with_mask,
        cl_dice,
        differentiable=(0, 1, 2, 3),
        domain=dict.fromkeys(range(4), PROBABILITY),
    ),
)
