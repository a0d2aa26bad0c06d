"""The table of cases: one row a loss, in the order of the families.

A row says how to draw items of a loss, what its formula says of one, and where its corners and its hard items are.
"""

from cases import (
    adversarial,
    binary,
    contrastive,
    detection,
    distillation,
    divergence,
    embedding,
    generative,
    image,
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
    segmentation,
    self_supervised,
    sequence,
    softmax,
    sparsemax,
    survival,
    transport,
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
    sequence,
    survival,
    segmentation,
    transport,
    detection,
    image,
)

CASES: tuple[Case, ...] = tuple(case for family in _FAMILIES for case in family.CASES)
