"""Loss functions for JAX: a formula about one item, and one reduction that is exact however the data are split."""

from jaxloss import numerics as numerics
from jaxloss import testing as testing
from jaxloss.core.loss import Loss as Loss
from jaxloss.core.loss import custom_loss as custom_loss
from jaxloss.core.reduce import reduce as reduce
from jaxloss.core.tally import Tally as Tally
from jaxloss.losses import catalogue as catalogue
from jaxloss.losses.adversarial import gan_discriminator as gan_discriminator
from jaxloss.losses.classification.binary import binary_cross_entropy as binary_cross_entropy
from jaxloss.losses.classification.binary import binary_focal as binary_focal
from jaxloss.losses.classification.binary import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from jaxloss.losses.classification.softmax import categorical_cross_entropy as categorical_cross_entropy
from jaxloss.losses.classification.softmax import softmax_cross_entropy as softmax_cross_entropy
from jaxloss.losses.classification.softmax import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from jaxloss.losses.classification.softmax import sparse_categorical_cross_entropy as sparse_categorical_cross_entropy
from jaxloss.losses.divergence import kl_divergence as kl_divergence
from jaxloss.losses.embedding import triplet as triplet
from jaxloss.losses.embedding import triplet_from_distances as triplet_from_distances
from jaxloss.losses.language import linear_softmax_cross_entropy as linear_softmax_cross_entropy
from jaxloss.losses.regression import absolute_error as absolute_error
from jaxloss.losses.regression import huber as huber
from jaxloss.losses.regression import squared_error as squared_error
