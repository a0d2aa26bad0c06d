"""Loss functions for JAX: a formula about one item, and one reduction that is exact however the data are split."""

from jaxloss import numerics as numerics
from jaxloss import testing as testing
from jaxloss.core.gradient import value_and_grad as value_and_grad
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
from jaxloss.losses.classification.binary import asymmetric as asymmetric
from jaxloss.losses.classification.binary import binary_cross_entropy as binary_cross_entropy
from jaxloss.losses.classification.binary import binary_focal as binary_focal
from jaxloss.losses.classification.binary import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from jaxloss.losses.classification.binary import sigmoid_focal as sigmoid_focal
from jaxloss.losses.classification.fenchel_young import fenchel_young as fenchel_young
from jaxloss.losses.classification.imbalanced import ldam as ldam
from jaxloss.losses.classification.imbalanced import logit_adjusted_cross_entropy as logit_adjusted_cross_entropy
from jaxloss.losses.classification.imbalanced import poly_cross_entropy as poly_cross_entropy
from jaxloss.losses.classification.imbalanced import softmax_focal as softmax_focal
from jaxloss.losses.classification.margin import hinge as hinge
from jaxloss.losses.classification.margin import multiclass_hinge as multiclass_hinge
from jaxloss.losses.classification.margin import multiclass_perceptron as multiclass_perceptron
from jaxloss.losses.classification.margin import perceptron as perceptron
from jaxloss.losses.classification.margin import squared_hinge as squared_hinge
from jaxloss.losses.classification.noisy import bi_tempered_cross_entropy as bi_tempered_cross_entropy
from jaxloss.losses.classification.noisy import generalized_cross_entropy as generalized_cross_entropy
from jaxloss.losses.classification.noisy import symmetric_cross_entropy as symmetric_cross_entropy
from jaxloss.losses.classification.ordinal import ordinal_cross_entropy as ordinal_cross_entropy
from jaxloss.losses.classification.softmax import categorical_cross_entropy as categorical_cross_entropy
from jaxloss.losses.classification.softmax import softmax_cross_entropy as softmax_cross_entropy
from jaxloss.losses.classification.softmax import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from jaxloss.losses.classification.softmax import sparse_categorical_cross_entropy as sparse_categorical_cross_entropy
from jaxloss.losses.classification.sparsemax import entmax15 as entmax15
from jaxloss.losses.classification.sparsemax import multiclass_sparsemax as multiclass_sparsemax
from jaxloss.losses.classification.sparsemax import sparsemax as sparsemax
from jaxloss.losses.distillation import distillation as distillation
from jaxloss.losses.distillation import top_k_distillation as top_k_distillation
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
from jaxloss.losses.divergence.mixture import (
    generalized_jensen_shannon_divergence_with_logits as generalized_jensen_shannon_divergence_with_logits,
)
from jaxloss.losses.embedding import triplet as triplet
from jaxloss.losses.embedding import triplet_from_distances as triplet_from_distances
from jaxloss.losses.generative import denoising_score_matching as denoising_score_matching
from jaxloss.losses.generative import diffusion as diffusion
from jaxloss.losses.generative import flow_matching as flow_matching
from jaxloss.losses.language import linear_softmax_cross_entropy as linear_softmax_cross_entropy
from jaxloss.losses.language import linear_softmax_loss as linear_softmax_loss
from jaxloss.losses.language import unlikelihood as unlikelihood
from jaxloss.losses.likelihood.continuous import gamma_nll as gamma_nll
from jaxloss.losses.likelihood.continuous import gaussian_nll as gaussian_nll
from jaxloss.losses.likelihood.continuous import laplace_nll as laplace_nll
from jaxloss.losses.likelihood.continuous import student_t_nll as student_t_nll
from jaxloss.losses.likelihood.counts import negative_binomial_nll as negative_binomial_nll
from jaxloss.losses.likelihood.counts import poisson_nll as poisson_nll
from jaxloss.losses.likelihood.counts import tweedie_deviance as tweedie_deviance
from jaxloss.losses.likelihood.scores import brier as brier
from jaxloss.losses.likelihood.scores import crps_ensemble as crps_ensemble
from jaxloss.losses.likelihood.scores import crps_gaussian as crps_gaussian
from jaxloss.losses.likelihood.scores import energy_score as energy_score
from jaxloss.losses.likelihood.scores import interval_score as interval_score
from jaxloss.losses.likelihood.scores import multi_quantile as multi_quantile
from jaxloss.losses.penalties import dragan_penalty as dragan_penalty
from jaxloss.losses.penalties import r1_penalty as r1_penalty
from jaxloss.losses.penalties import r2_penalty as r2_penalty
from jaxloss.losses.penalties import wgan_gradient_penalty as wgan_gradient_penalty
from jaxloss.losses.preference.answers import bradley_terry as bradley_terry
from jaxloss.losses.preference.answers import dpo as dpo
from jaxloss.losses.preference.answers import ipo as ipo
from jaxloss.losses.preference.answers import kto as kto
from jaxloss.losses.preference.answers import orpo as orpo
from jaxloss.losses.preference.answers import simpo as simpo
from jaxloss.losses.preference.policies import grpo as grpo
from jaxloss.losses.preference.policies import gspo as gspo
from jaxloss.losses.preference.policies import ppo_clip as ppo_clip
from jaxloss.losses.preference.policies import sampled_kl_divergence as sampled_kl_divergence
from jaxloss.losses.ranking.lists import list_mle as list_mle
from jaxloss.losses.ranking.lists import listwise_softmax as listwise_softmax
from jaxloss.losses.ranking.lists import unique_softmax as unique_softmax
from jaxloss.losses.ranking.metrics import approx_mrr as approx_mrr
from jaxloss.losses.ranking.metrics import approx_ndcg as approx_ndcg
from jaxloss.losses.ranking.metrics import lambda_rank as lambda_rank
from jaxloss.losses.ranking.pairwise import pairwise_hinge as pairwise_hinge
from jaxloss.losses.ranking.pairwise import pairwise_logistic as pairwise_logistic
from jaxloss.losses.ranking.pairwise import pairwise_squared_error as pairwise_squared_error
from jaxloss.losses.ranking.pairwise import pairwise_squared_hinge as pairwise_squared_hinge
from jaxloss.losses.regression.errors import absolute_error as absolute_error
from jaxloss.losses.regression.errors import epsilon_insensitive as epsilon_insensitive
from jaxloss.losses.regression.errors import expectile as expectile
from jaxloss.losses.regression.errors import huber as huber
from jaxloss.losses.regression.errors import log_cosh as log_cosh
from jaxloss.losses.regression.errors import pinball as pinball
from jaxloss.losses.regression.errors import pseudo_huber as pseudo_huber
from jaxloss.losses.regression.errors import quantile_huber as quantile_huber
from jaxloss.losses.regression.errors import smooth_l1 as smooth_l1
from jaxloss.losses.regression.errors import squared_epsilon_insensitive as squared_epsilon_insensitive
from jaxloss.losses.regression.errors import squared_error as squared_error
from jaxloss.losses.regression.relative import absolute_percentage_error as absolute_percentage_error
from jaxloss.losses.regression.relative import cosine_distance as cosine_distance
from jaxloss.losses.regression.relative import scale_invariant_log_error as scale_invariant_log_error
from jaxloss.losses.regression.relative import scaled_absolute_error as scaled_absolute_error
from jaxloss.losses.regression.relative import squared_log_error as squared_log_error
from jaxloss.losses.regression.relative import (
    symmetric_absolute_percentage_error as symmetric_absolute_percentage_error,
)
from jaxloss.losses.robust import cauchy as cauchy
from jaxloss.losses.robust import charbonnier as charbonnier
from jaxloss.losses.robust import geman_mcclure as geman_mcclure
from jaxloss.losses.robust import general_robust as general_robust
from jaxloss.losses.robust import tukey_biweight as tukey_biweight
from jaxloss.losses.robust import welsch as welsch
from jaxloss.losses.robust import wing as wing
from jaxloss.losses.sequence.connectionist import ctc as ctc
from jaxloss.losses.sequence.fields import crf as crf
from jaxloss.losses.sequence.transduction import additive_transducer as additive_transducer
from jaxloss.losses.sequence.transduction import transducer as transducer
from jaxloss.losses.sequence.warping import soft_dtw as soft_dtw
from jaxloss.losses.survival.failure_time import aft_nll as aft_nll
from jaxloss.losses.survival.hazards import cox as cox
from jaxloss.losses.survival.hazards import discrete_hazard_nll as discrete_hazard_nll
from jaxloss.losses.survival.hazards import discrete_survival_nll as discrete_survival_nll
from jaxloss.version import __version__ as __version__
