"""Formulas that stay true where the textbook form does not, each with its value and its gradient at the corner.

Three habits run through these files. The *input* of a function is replaced where the function has no finite slope,
never only its output, because `0 * inf` in a backward pass is NaN. A gradient that the textbook form computes as a
difference of near-equal numbers has a rule of its own (`custom_jvp`, so that forward mode and second order keep
working). A slope that is truly infinite is returned as the largest finite number, so that a zero tangent times it is 0.

Each is jitted, as those of `jax.nn` are: called outside `jit` it is one compiled program, not one for each operation.
Functions on vectors (`logsumexp`, `expected_surprisal`, the distances) reduce the last axis.
"""

from jaxloss.numerics.distances import cosine_distance as cosine_distance
from jaxloss.numerics.distances import distance_difference as distance_difference
from jaxloss.numerics.distances import euclidean_distance as euclidean_distance
from jaxloss.numerics.distances import safe_norm as safe_norm
from jaxloss.numerics.distances import squared_distance_difference as squared_distance_difference
from jaxloss.numerics.distances import squared_euclidean_distance as squared_euclidean_distance
from jaxloss.numerics.distances import unit_vector as unit_vector
from jaxloss.numerics.elementary import absolute as absolute
from jaxloss.numerics.elementary import log1mexp as log1mexp
from jaxloss.numerics.elementary import multiply_no_nan as multiply_no_nan
from jaxloss.numerics.elementary import ratio as ratio
from jaxloss.numerics.elementary import safe_log as safe_log
from jaxloss.numerics.elementary import safe_log1p as safe_log1p
from jaxloss.numerics.elementary import safe_sqrt as safe_sqrt
from jaxloss.numerics.elementary import safe_square as safe_square
from jaxloss.numerics.elementary import sigmoid as sigmoid
from jaxloss.numerics.elementary import softplus as softplus
from jaxloss.numerics.elementary import xlog1py as xlog1py
from jaxloss.numerics.elementary import xlogy as xlogy
from jaxloss.numerics.exact import sum_of_three as sum_of_three
from jaxloss.numerics.linear_cross_entropy import linear_cross_entropy_sum as linear_cross_entropy_sum
from jaxloss.numerics.linear_cross_entropy import split_cross_entropy as split_cross_entropy
from jaxloss.numerics.logits import expected_surprisal as expected_surprisal
from jaxloss.numerics.logits import logistic_surprisal as logistic_surprisal
from jaxloss.numerics.logits import logsumexp as logsumexp
from jaxloss.numerics.logits import one_hot as one_hot
from jaxloss.numerics.logits import pick as pick
from jaxloss.numerics.logits import surprisal as surprisal
from jaxloss.numerics.probabilities import binary_surprisal as binary_surprisal
from jaxloss.numerics.probabilities import modulated_log as modulated_log
from jaxloss.numerics.probabilities import rel_entr as rel_entr
from jaxloss.numerics.probabilities import relative_entropy as relative_entropy
