"""Language: the head of a model, and the softmax cross entropy of what it gives."""

import numpy as np
from mpmath import mp, mpf

from cases.softmax import softmax_cross_entropy_with_integer_labels
from cases.table import Case, K

WIDTH = 6


def logits_of(h, kernel, bias, softcap):
    x = [sum(mpf(hi) * mpf(row[j]) for hi, row in zip(h, kernel, strict=True)) + mpf(bias[j]) for j in range(len(bias))]
    return x if softcap is None else [mpf(softcap) * mp.tanh(xj / mpf(softcap)) for xj in x]


def linear_softmax_cross_entropy(h, label, kernel, bias, mask=None, softcap=None, **options):
    return softmax_cross_entropy_with_integer_labels(
        logits_of(h, kernel, bias, softcap), label, mask, **_known(options)
    )


def _known(options):
    return {name: options[name] for name in ("label_smoothing", "z_loss") if name in options}


def head(rng, n):
    kernel, bias = rng.normal(size=(WIDTH, K)), rng.normal(size=K)
    return rng.normal(size=(n, WIDTH)), rng.integers(0, K, n), kernel, bias


def masked_head(rng, n):
    mask = np.arange(K) != 1
    hidden, labels, kernel, bias = head(rng, n)
    return hidden, np.where(labels == 1, 0, labels), kernel, bias, mask


def _size_of_logits(h, kernel, bias):
    products = [[abs(mpf(hi) * mpf(x)) for x in row] for hi, row in zip(h, kernel, strict=True)]
    return max(sum(column) + abs(mpf(b)) for *column, b in zip(*products, bias, strict=True))


def _log_partition(x):
    return mp.log(sum(mp.exp(xj) for xj in x))


def _terms(h, label, kernel, bias, mask=None, *, softcap=None, label_smoothing=0.0, z_loss=0.0, **_):
    x = logits_of(h, kernel, bias, softcap)
    possible = [mask is None or mask[j] for j in range(len(x))]
    log_z = _log_partition([xj for xj, counts in zip(x, possible, strict=True) if counts])
    size = _size_of_logits(h, kernel, bias)
    s = mpf(label_smoothing)
    slopes = []
    for j, xj in enumerate(x):
        p = mp.exp(xj - log_z)
        others = sum(mp.exp(xi - log_z) for i, xi in enumerate(x) if i != j and possible[i])
        slopes.append((others if j == label else p) + s + 2 * mpf(z_loss) * abs(log_z) * p if possible[j] else mpf(0))
    # A logit is off by the rounding of its size, and so is the logarithm of each slope.
    off = [slope * (1 + size) for slope in slopes]
    of_hidden = max(max(abs(mpf(w)) * slope for w, slope in zip(row, off, strict=True)) for row in kernel)
    of_kernel = max(abs(mpf(hi)) for hi in h) * max(off)
    return size * (1 + 2 * mpf(z_loss) * abs(log_z)), (of_hidden, of_kernel, max(off))


def _hard(_):
    identity = [[float(i == j) for j in range(K)] for i in range(WIDTH)]
    tall = [[100.0 * x for x in row] for row in identity]
    zero, bias = [0.0] * K, [0.5, -0.25, 0.0, 1e-4, -1.0]
    for row in ([0.0] * 5, [20.3, 0.0, -1.0, 0.5, 0.25], [80.7, 0.0, -1.0, 0.5, 0.25], [1e4, 0.0, 0.0, 0.0, 0.0]):
        for label in (0, 4):
            yield [*row, 0.0], label, identity, zero
            yield [*row, 0.0], label, identity, bias
    yield [1.0, 0.9, 0.5, 0.1, 0.0, 3.0], 0, tall, zero
    yield [1.0, 0.9, 0.5, 0.1, 0.0, 3.0], 1, tall, bias
    yield [0.0] * WIDTH, 2, identity, [0.0, 0.0, -1e4, 0.0, 0.0]


_WHY = "a logit is a sum of products, exact to the rounding of its largest; no loss of it can know more"

CASES = (
    Case(
        "linear_softmax_cross_entropy",
        head,
        linear_softmax_cross_entropy,
        options=(
            {},
            {"label_smoothing": 0.1, "strategy": "small"},
            {"z_loss": 1e-2, "softcap": 5.0},
        ),
        corners=(([0.0] * WIDTH, 0, [[0.0] * K] * WIDTH, [0.0] * K),),
        differentiable=(0, 2, 3),
        shared=(2, 3),
        hard=_hard,
        terms=_terms,
        option_terms={
            "label_smoothing": lambda h, _, kernel, bias: mp.log(K) + 2 * _size_of_logits(h, kernel, bias),
            "z_loss": lambda h, _, kernel, bias: (
                (1 + _size_of_logits(h, kernel, bias)) * (1 + 2 * abs(_log_partition(logits_of(h, kernel, bias, None))))
            ),
        },
        every_slope=False,
        why=_WHY,
    ),
    Case(
        "linear_softmax_cross_entropy",
        masked_head,
        linear_softmax_cross_entropy,
        options=({}, {"label_smoothing": 0.1}),
        differentiable=(0, 2, 3),
        shared=(2, 3, 4),
        terms=_terms,
        why=_WHY,
    ),
)
