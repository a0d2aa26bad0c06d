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
from jaxloss.losses.regression import absolute_error as absolute_error
from jaxloss.losses.regression import absolute_percentage_error as absolute_percentage_error
from jaxloss.losses.regression import cosine_distance as cosine_distance
from jaxloss.losses.regression import epsilon_insensitive as epsilon_insensitive
from jaxloss.losses.regression import expectile as expectile
from jaxloss.losses.regression import huber as huber
from jaxloss.losses.regression import log_cosh as log_cosh
from jaxloss.losses.regression import pinball as pinball
from jaxloss.losses.regression import pseudo_huber as pseudo_huber
from jaxloss.losses.regression import quantile_huber as quantile_huber
from jaxloss.losses.regression import scale_invariant_log_error as scale_invariant_log_error
from jaxloss.losses.regression import smooth_l1 as smooth_l1
from jaxloss.losses.regression import squared_epsilon_insensitive as squared_epsilon_insensitive
from jaxloss.losses.regression import squared_error as squared_error
from jaxloss.losses.regression import squared_log_error as squared_log_error
from jaxloss.losses.regression import symmetric_absolute_percentage_error as symmetric_absolute_percentage_error
from jaxloss.losses.robust import cauchy as cauchy
from jaxloss.losses.robust import charbonnier as charbonnier
from jaxloss.losses.robust import geman_mcclure as geman_mcclure
from jaxloss.losses.robust import general_robust as general_robust
from jaxloss.losses.robust import tukey_biweight as tukey_biweight
from jaxloss.losses.robust import welsch as welsch
from jaxloss.losses.robust import wing as wing
