"""The table of cases: one row a loss, in the order of the families.

A row says how to draw items of a loss, what its formula says of one, and where its corners and its hard items are.
"""

from cases import (
    adversarial,
    binary,
    contrastive,
    distillation,
    divergence,
    embedding,
    generative,
    imbalanced,
    language,
    likelihood,
    margin,
    metric,
    mining,
    noisy,
    ordinal,
    preference,
    ranking,
    regression,
    robust,
    self_supervised,
    softmax,
    sparsemax,
    survival,
)
from cases.table import Case as Case
from cases.table import K as K

_FAMILIES = (
    regression,
    robust,
    likelihood,
    binary,
    softmax,
    noisy,
    imbalanced,
    ordinal,
    margin,
    sparsemax,
    divergence,
    adversarial,
    embedding,
    contrastive,
    mining,
    metric,
    self_supervised,
    language,
    distillation,
    preference,
    generative,
    ranking,
    survival,
)

CASES: tuple[Case, ...] = tuple(case for family in _FAMILIES for case in family.CASES)
