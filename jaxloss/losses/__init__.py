"""The families, and the catalogue that is read off them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn

from jaxloss.core.loss import Loss
from jaxloss.losses import adversarial, audio, distillation, generative, image, language, robust
from jaxloss.losses.classification import binary, imbalanced, margin, noisy, ordinal, softmax, sparsemax
from jaxloss.losses.detection import boxes, confidence
from jaxloss.losses.divergence import discrete, gaussian, logits, mixture
from jaxloss.losses.embedding import contrastive, heads, metric, mining, pairs, self_supervised
from jaxloss.losses.likelihood import continuous, counts, scores
from jaxloss.losses.preference import answers, policies
from jaxloss.losses.ranking import lists, metrics, pairwise
from jaxloss.losses.regression import errors, relative
from jaxloss.losses.segmentation import lovasz, overlap, shape
from jaxloss.losses.sequence import connectionist, fields, transduction, warping
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
    pairs,
    heads,
    contrastive,
    mining,
    metric,
    self_supervised,
    language,
    distillation,
    answers,
    policies,
    generative,
    lists,
    pairwise,
    metrics,
    connectionist,
    transduction,
    fields,
    warping,
    hazards,
    failure_time,
    lines,
    points,
    entropic,
    gaussians,
    overlap,
    lovasz,
    shape,
    boxes,
    confidence,
    image,
    audio,
)


class _Catalogue(dict[str, Loss[...]]):
    """Says of a name that is not there what it is called here."""

    def __missing__(self, name: str) -> NoReturn:
        from jaxloss.names import not_here

        raise KeyError(not_here(name, self))


catalogue: Mapping[str, Loss[...]] = MappingProxyType(
    _Catalogue(
        {
            name: value
            for family in _FAMILIES
            for name, value in vars(family).items()
            if isinstance(value, Loss) and value.__module__ == family.__name__
        }
    )
)
"""Every loss by name, in the order of the families and of each family's files."""
