"""Loss functions for JAX: a formula about one item, and one reduction that is exact however the data are split."""

from jaxloss import numerics as numerics
from jaxloss import testing as testing
from jaxloss.core.loss import Loss as Loss
from jaxloss.core.loss import custom_loss as custom_loss
from jaxloss.core.reduce import reduce as reduce
from jaxloss.core.tally import Tally as Tally
from jaxloss.losses import catalogue as catalogue
from jaxloss.losses.adversarial import gan_discriminator as gan_discriminator
from jaxloss.losses.adversarial import gan_discriminator_with_logits as gan_discriminator_with_logits
from jaxloss.losses.adversarial import gan_generator_with_logits as gan_generator_with_logits
from jaxloss.losses.adversarial import gan_nonsaturating_generator as gan_nonsaturating_generator
from jaxloss.losses.adversarial import hinge_gan_discriminator as hinge_gan_discriminator
from jaxloss.losses.adversarial import hinge_gan_generator as hinge_gan_generator
from jaxloss.losses.adversarial import lsgan_discriminator as lsgan_discriminator
from jaxloss.losses.adversarial import lsgan_generator as lsgan_generator
from jaxloss.losses.adversarial import relativistic_gan_discriminator as relativistic_gan_discriminator
from jaxloss.losses.adversarial import relativistic_gan_generator as relativistic_gan_generator
from jaxloss.losses.adversarial import wgan_critic as wgan_critic
from jaxloss.losses.adversarial import wgan_generator as wgan_generator
from jaxloss.losses.classification.binary import binary_cross_entropy as binary_cross_entropy
from jaxloss.losses.classification.binary import binary_focal as binary_focal
from jaxloss.losses.classification.binary import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from jaxloss.losses.classification.softmax import categorical_cross_entropy as categorical_cross_entropy
from jaxloss.losses.classification.softmax import softmax_cross_entropy as softmax_cross_entropy
from jaxloss.losses.classification.softmax import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from jaxloss.losses.classification.softmax import sparse_categorical_cross_entropy as sparse_categorical_cross_entropy
from jaxloss.losses.divergence.discrete import generalized_kl_divergence as generalized_kl_divergence
from jaxloss.losses.divergence.discrete import hellinger_distance as hellinger_distance
from jaxloss.losses.divergence.discrete import jensen_shannon_divergence as jensen_shannon_divergence
from jaxloss.losses.divergence.discrete import kl_divergence as kl_divergence
from jaxloss.losses.divergence.discrete import renyi_divergence as renyi_divergence
from jaxloss.losses.divergence.discrete import total_variation_distance as total_variation_distance
from jaxloss.losses.divergence.gaussian import gaussian_kl_divergence as gaussian_kl_divergence
from jaxloss.losses.divergence.gaussian import standard_normal_kl_divergence as standard_normal_kl_divergence
from jaxloss.losses.divergence.logits import (
    jensen_shannon_divergence_with_logits as jensen_shannon_divergence_with_logits,
)
from jaxloss.losses.divergence.logits import kl_divergence_with_logits as kl_divergence_with_logits
from jaxloss.losses.embedding import triplet as triplet
from jaxloss.losses.embedding import triplet_from_distances as triplet_from_distances
from jaxloss.losses.penalties import dragan_penalty as dragan_penalty
from jaxloss.losses.penalties import r1_penalty as r1_penalty
from jaxloss.losses.penalties import r2_penalty as r2_penalty
from jaxloss.losses.penalties import wgan_gradient_penalty as wgan_gradient_penalty
from jaxloss.losses.regression import absolute_error as absolute_error
from jaxloss.losses.regression import huber as huber
from jaxloss.losses.regression import squared_error as squared_error
