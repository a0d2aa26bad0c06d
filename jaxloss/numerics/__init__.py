"""Formulas that stay true where the textbook form does not, each with its value and its gradient at the corner.

Three habits run through these files. The *input* of a function is replaced where the function has no finite slope,
never only its output, because `0 * inf` in a backward pass is NaN. A gradient that the textbook form computes as a
difference of near-equal numbers has a rule of its own, by `with_slopes` or `jax.custom_jvp`, so that forward mode and
second order keep working. A slope that is truly infinite is returned as the largest finite number, so that its product
with a zero tangent is 0.

Functions on vectors (`logsumexp`, `surprisal`, the distances) reduce or keep the last axis.
"""

from jaxloss.numerics.classes import one_hot as one_hot
from jaxloss.numerics.classes import pick as pick
from jaxloss.numerics.divergences import kl_div as kl_div
from jaxloss.numerics.divergences import rel_entr as rel_entr
from jaxloss.numerics.norms import cosine_distance as cosine_distance
from jaxloss.numerics.norms import euclidean_distance as euclidean_distance
from jaxloss.numerics.norms import safe_norm as safe_norm
from jaxloss.numerics.norms import squared_euclidean_distance as squared_euclidean_distance
from jaxloss.numerics.norms import unit_vector as unit_vector
from jaxloss.numerics.row import Softmax as Softmax
from jaxloss.numerics.safe import absolute as absolute
from jaxloss.numerics.safe import multiply_no_nan as multiply_no_nan
from jaxloss.numerics.safe import positive_part as positive_part
from jaxloss.numerics.safe import ratio as ratio
from jaxloss.numerics.safe import safe_log as safe_log
from jaxloss.numerics.safe import safe_log1p as safe_log1p
from jaxloss.numerics.safe import safe_sqrt as safe_sqrt
from jaxloss.numerics.safe import safe_square as safe_square
from jaxloss.numerics.safe import xlog1py as xlog1py
from jaxloss.numerics.safe import xlogy as xlogy
from jaxloss.numerics.simplex import entmax15_probabilities as entmax15_probabilities
from jaxloss.numerics.simplex import project_to_simplex as project_to_simplex
from jaxloss.numerics.skeleton import soft_skeleton as soft_skeleton
from jaxloss.numerics.softmax import logsumexp as logsumexp
from jaxloss.numerics.softmax import surprisal as surprisal
from jaxloss.numerics.softplus import log1mexp as log1mexp
from jaxloss.numerics.softplus import sigmoid as sigmoid
from jaxloss.numerics.softplus import softplus as softplus
