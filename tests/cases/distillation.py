"""Distillation: a student against its teacher, of all classes or of those that were kept."""

import itertools

import numpy as np
from mpmath import exp, log, mpf

from cases.divergence import LOGITS, kl_divergence_with_logits, pairs_of_rows, two_rows_of_logits
from cases.table import Case, K, hard_rows, rel_entr


def distillation(student, teacher, temperature=1.0):
    return mpf(temperature) ** 2 * kl_divergence_with_logits(teacher, student, temperature)


def top_k_distillation(student, teacher, labels, tail="bucket"):
    largest = max(mpf(x) for x in student)
    weights = [exp(mpf(x) - largest) for x in student]
    p, q = [exp(mpf(a)) for a in teacher], [weights[y] for y in labels]
    if tail == "bucket":
        p.append(max(1 - sum(p), mpf(0)))
        q.append(sum(w for j, w in enumerate(weights) if j not in labels))
    return sum(rel_entr(pi / sum(p), qi / sum(q)) for pi, qi in zip(p, q, strict=True))


def some_of_a_teacher(rng, n):
    student, teacher = two_rows_of_logits(rng, n)
    labels = np.stack([rng.permutation(K)[:2] for _ in range(n)])
    log_p = teacher - np.log(np.exp(teacher).sum(-1, keepdims=True))
    return student, np.take_along_axis(log_p, labels, -1), labels


def _some_of_teachers(ulp):
    rows = [row for row in hard_rows(ulp) if max(row) < 1e3 and min(row) > -1e3]
    kept = [[-0.7, -0.8], [-1e-4, -9.5], [-5e-8, -20.3], [-30.1, -50.7], [float(log(mpf("0.2")))] * 2]
    yield from itertools.product(rows, kept, ([0, 1], [4, 2]))
    base = [1.3, -0.4, 9.7, 0.2, 5.1]
    total = sum(exp(mpf(x)) for x in base)
    for apart in (0.0, 1e-6, 1e-4, 1e-2):
        yield base, [float(log(exp(mpf(base[y])) * (1 - apart) / total)) for y in (2, 4)], [2, 4]
    yield [0.0, 1.0, -np.inf, 2.0, -np.inf], [-0.7, -0.8], [0, 1]


CASES = (
    Case(
        "distillation",
        two_rows_of_logits,
        distillation,
        options=({}, {"temperature": 3.0}),
        corners=LOGITS,
        hard=lambda ulp: ((z, x) for x, z in pairs_of_rows(ulp)),
    ),
    Case(
        "top_k_distillation",
        some_of_a_teacher,
        top_k_distillation,
        options=({}, {"tail": "renormalize"}),
        corners=(([0.0] * K, [-0.7, -0.8], [0, 1]), ([20.0, 0.0, 0.0, 0.0, 0.0], [-1e-4, -10.0], [0, 1])),
        hard=_some_of_teachers,
    ),
)
