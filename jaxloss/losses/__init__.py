"""The families, and the catalogue that is read off them."""

from collections.abc import Mapping
from types import MappingProxyType

from jaxloss.core.loss import Loss
from jaxloss.losses import adversarial, distillation, embedding, generative, language, robust
from jaxloss.losses.classification import binary, imbalanced, margin, noisy, ordinal, softmax, sparsemax
from jaxloss.losses.divergence import discrete, gaussian, logits, mixture
from jaxloss.losses.likelihood import continuous, counts, scores
from jaxloss.losses.preference import answers, policies
from jaxloss.losses.ranking import lists, metrics, pairwise
from jaxloss.losses.regression import errors, relative
from jaxloss.losses.survival import failure_time, hazards
from jaxloss.losses.transport import entropic, gaussians, lines, points

_FAMILIES = (
    errors,
    relative,
    robust,
    continuous,
    counts,
    scores,
    binary,
    softmax,
    noisy,
    imbalanced,
    ordinal,
    margin,
    sparsemax,
    discrete,
    logits,
    mixture,
    gaussian,
    adversarial,
    embedding,
    language,
    distillation,
    answers,
    policies,
    generative,
    lists,
    pairwise,
    metrics,
    hazards,
    failure_time,
    lines,
    points,
    entropic,
    gaussians,
)

catalogue: Mapping[str, Loss[...]] = MappingProxyType(
    {
        name: value
        for family in _FAMILIES
        for name, value in vars(family).items()
        if isinstance(value, Loss) and value.__module__ == family.__name__
    }
)
"""Every loss by name, in the order of the families and of each family's files."""
