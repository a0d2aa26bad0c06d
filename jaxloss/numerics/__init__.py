"""Formulas that stay true where the textbook form does not, each with its value and its gradient at the corner.

Three habits run through these files. The *input* of a function is replaced where the function has no finite slope,
never only its output, because `0 * inf` in a backward pass is NaN. A gradient that the textbook form computes as a
difference of near-equal numbers has a rule of its own (`custom_jvp`, so that forward mode and second order keep
working). A slope that is truly infinite is returned as the largest finite number, so that a zero tangent times it is 0.

Each is jitted, as those of `jax.nn` are: called outside `jit` it is one compiled program, not one for each operation.
Functions on vectors (`logsumexp`, `expected_surprisal`, the distances) reduce the last axis.
"""

from jaxloss.numerics.classes import one_hot as one_hot
from jaxloss.numerics.classes import pick as pick
from jaxloss.numerics.counts import negative_binomial_surprisal as negative_binomial_surprisal
from jaxloss.numerics.counts import poisson_surprisal as poisson_surprisal
from jaxloss.numerics.densities import gamma_surprisal as gamma_surprisal
from jaxloss.numerics.densities import gaussian_score as gaussian_score
from jaxloss.numerics.densities import gaussian_surprisal as gaussian_surprisal
from jaxloss.numerics.densities import laplace_surprisal as laplace_surprisal
from jaxloss.numerics.densities import student_t_surprisal as student_t_surprisal
from jaxloss.numerics.distances import cosine_distance as cosine_distance
from jaxloss.numerics.distances import distance_difference as distance_difference
from jaxloss.numerics.distances import euclidean_distance as euclidean_distance
from jaxloss.numerics.distances import safe_norm as safe_norm
from jaxloss.numerics.distances import squared_distance_difference as squared_distance_difference
from jaxloss.numerics.distances import squared_euclidean_distance as squared_euclidean_distance
from jaxloss.numerics.distances import unit_vector as unit_vector
from jaxloss.numerics.divergences import hellinger as hellinger
from jaxloss.numerics.divergences import jensen_shannon as jensen_shannon
from jaxloss.numerics.divergences import kl_div as kl_div
from jaxloss.numerics.elementary import absolute as absolute
from jaxloss.numerics.elementary import multiply_no_nan as multiply_no_nan
from jaxloss.numerics.elementary import of_error as of_error
from jaxloss.numerics.elementary import ratio as ratio
from jaxloss.numerics.elementary import reused as reused
from jaxloss.numerics.elementary import safe_log as safe_log
from jaxloss.numerics.elementary import safe_log1p as safe_log1p
from jaxloss.numerics.elementary import safe_sqrt as safe_sqrt
from jaxloss.numerics.elementary import safe_square as safe_square
from jaxloss.numerics.elementary import xlog1py as xlog1py
from jaxloss.numerics.elementary import xlogy as xlogy
from jaxloss.numerics.ensembles import energy as energy
from jaxloss.numerics.ensembles import ensemble_score as ensemble_score
from jaxloss.numerics.errors import clipped_square as clipped_square
from jaxloss.numerics.errors import half_square as half_square
from jaxloss.numerics.errors import hyperbola as hyperbola
from jaxloss.numerics.errors import log_cosh as log_cosh
from jaxloss.numerics.errors import positive_part as positive_part
from jaxloss.numerics.errors import smooth_absolute as smooth_absolute
from jaxloss.numerics.errors import tilted_absolute as tilted_absolute
from jaxloss.numerics.errors import tilted_smooth_absolute as tilted_smooth_absolute
from jaxloss.numerics.errors import tilted_square as tilted_square
from jaxloss.numerics.exact import sum_of_three as sum_of_three
from jaxloss.numerics.focal import focal_surprisal as focal_surprisal
from jaxloss.numerics.focal import modulated_surprisal as modulated_surprisal
from jaxloss.numerics.focal import shifted_surprisal as shifted_surprisal
from jaxloss.numerics.gaussians import gaussian_relative_entropy as gaussian_relative_entropy
from jaxloss.numerics.gaussians import relative_entropy_to_standard_normal as relative_entropy_to_standard_normal
from jaxloss.numerics.linear_link import cross_entropy as cross_entropy
from jaxloss.numerics.linear_link import linear_softmax_sum as linear_softmax_sum
from jaxloss.numerics.linear_link import linked_softmax as linked_softmax
from jaxloss.numerics.linear_link import split_cross_entropy as split_cross_entropy
from jaxloss.numerics.linear_softmax import Softmax as Softmax
from jaxloss.numerics.logistic import logistic_surprisal as logistic_surprisal
from jaxloss.numerics.logistic import softplus_difference as softplus_difference
from jaxloss.numerics.margins import shortfall as shortfall
from jaxloss.numerics.margins import signed_shortfall as signed_shortfall
from jaxloss.numerics.margins import squared_signed_shortfall as squared_signed_shortfall
from jaxloss.numerics.orders import renyi as renyi
from jaxloss.numerics.ordinal import interval_of as interval_of
from jaxloss.numerics.ordinal import interval_surprisal as interval_surprisal
from jaxloss.numerics.probabilities import binary_surprisal as binary_surprisal
from jaxloss.numerics.probabilities import modulated_binary_surprisal as modulated_binary_surprisal
from jaxloss.numerics.probabilities import rel_entr as rel_entr
from jaxloss.numerics.probabilities import relative_entropy as relative_entropy
from jaxloss.numerics.relative import excess as excess
from jaxloss.numerics.relative import log_ratio as log_ratio
from jaxloss.numerics.relative import relative_error as relative_error
from jaxloss.numerics.relative import second_moment as second_moment
from jaxloss.numerics.relative import squared_log1p_ratio as squared_log1p_ratio
from jaxloss.numerics.relative import symmetric_relative_error as symmetric_relative_error
from jaxloss.numerics.robust import biweight as biweight
from jaxloss.numerics.robust import difference as difference
from jaxloss.numerics.robust import logarithmic_hinge as logarithmic_hinge
from jaxloss.numerics.robust import robust_cost as robust_cost
from jaxloss.numerics.robust import robust_influence as robust_influence
from jaxloss.numerics.simplex import entmax15_probabilities as entmax15_probabilities
from jaxloss.numerics.simplex import entmax15_surprisal as entmax15_surprisal
from jaxloss.numerics.simplex import project_to_simplex as project_to_simplex
from jaxloss.numerics.simplex import sparse_plus as sparse_plus
from jaxloss.numerics.simplex import sparsemax_surprisal as sparsemax_surprisal
from jaxloss.numerics.softmax import logsumexp as logsumexp
from jaxloss.numerics.softmax import surprisal as surprisal
from jaxloss.numerics.softmaxes import softmax_jensen_shannon as softmax_jensen_shannon
from jaxloss.numerics.softmaxes import softmax_relative_entropy as softmax_relative_entropy
from jaxloss.numerics.softplus import log1mexp as log1mexp
from jaxloss.numerics.softplus import sigmoid as sigmoid
from jaxloss.numerics.softplus import softplus as softplus
from jaxloss.numerics.special import stirling_error as stirling_error
from jaxloss.numerics.tempered import tempered_divergence as tempered_divergence
from jaxloss.numerics.tempered import tempered_surprisal as tempered_surprisal
from jaxloss.numerics.tweedie import power_deviance as power_deviance
from jaxloss.numerics.wells import gaussian_well as gaussian_well
from jaxloss.numerics.wells import hyperbolic_well as hyperbolic_well
from jaxloss.numerics.wells import logarithmic_well as logarithmic_well
from jaxloss.numerics.wells import rational_well as rational_well
