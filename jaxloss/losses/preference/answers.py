"""Whole answers, compared with each other or judged: what a model pays for their log-probabilities or scores.

A loss takes one log-probability for each answer: the sum, or the mean, over its tokens, which its docstring says. With
`cross_entropy = softmax_cross_entropy_with_integer_labels` and a mask of the tokens, sums are
`-reduce(reduce(cross_entropy, "sum", axis=-1), "none")(logits, labels, where=mask)`, and means the same without
`"sum"`. Nothing is detached here: those of the reference are arrays, which are not differentiated.
"""

import math
from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.safe import finite_slope, is_zero, largest_like, multiply_no_nan, ratio, safe_square
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import sigmoid, softplus, tanh
from jaxloss.types import Array, Input, NonNegative, Number, Positive, UnitInterval

# ------------------------------------------------------------------------------------------------------- pairs


def _cost_of_odds(log_odds: Array, label_smoothing: Any) -> Array:
    """The cross entropy of the log odds h that the chosen is preferred, of which a share s is the wrong way round."""
    right = softplus(-log_odds)
    if is_zero(label_smoothing):
        return right
    return multiply_no_nan(1 - label_smoothing, right) + multiply_no_nan(label_smoothing, softplus(log_odds))


@custom_loss(stand_in=-0.5)
def dpo(
    chosen_log_probabilities: Input,
    rejected_log_probabilities: Input,
    reference_chosen_log_probabilities: Input,
    reference_rejected_log_probabilities: Input,
    *,
    beta: NonNegative = 0.1,
    label_smoothing: UnitInterval = 0.0,
) -> Array:
    r"""Direct preference optimisation: a policy is to prefer the chosen answer by more than its reference does.

    $$ (1 - s) \log(1 + e^{-h}) + s \log(1 + e^{h}), \qquad
       h = \beta \left[ (c - c_\text{ref}) - (r - r_\text{ref}) \right] $$

    Args:
        chosen_log_probabilities: c, of the policy, summed over the tokens of the chosen answer, any shape.
        rejected_log_probabilities: r, of the policy, summed over the tokens of the rejected answer, the same shape.
        reference_chosen_log_probabilities: c of the reference, the same shape.
        reference_rejected_log_probabilities: r of the reference, the same shape.
        beta: How much a nat of log-probability counts, >= 0: the smaller, the further the policy may go.
        label_smoothing: s, the share of pairs that are labelled the wrong way round (conservative DPO), in [0, 1].

    Corners: right in both tails of h. A chosen answer that is impossible (c = -inf) costs inf, with gradient -beta.

    Raises:
        ValueError: An option is out of range.

    Source: Rafailov et al. (2023), Direct preference optimization, equation 7; s: Mitchell (2023), A note on DPO with
    noisy preferences.

    >>> print(f"{dpo(-10.0, -12.0, -11.0, -11.5):.6f} {dpo(-10.0, -12.0, -11.0, -11.5, label_smoothing=0.1):.6f}")
    0.620957 0.635957
    """
    chosen = chosen_log_probabilities - reference_chosen_log_probabilities
    rejected = rejected_log_probabilities - reference_rejected_log_probabilities
    return _cost_of_odds(multiply_no_nan(beta, chosen - rejected), label_smoothing)


@custom_loss(stand_in=-0.5)
def ipo(
    chosen_log_probabilities: Input,
    rejected_log_probabilities: Input,
    reference_chosen_log_probabilities: Input,
    reference_rejected_log_probabilities: Input,
    *,
    beta: Positive = 0.1,
) -> Array:
    r"""Identity preference optimisation: the preference beyond the reference's is to be a certain size, and no larger.

    $$ \left[ (c - c_\text{ref}) - (r - r_\text{ref}) - \frac{1}{2 \beta} \right]^2 $$

    Args:
        chosen_log_probabilities: c, of the policy, the mean over the tokens of the chosen answer, any shape. Sums, with
            which long answers count for more, are another loss.
        rejected_log_probabilities: r, of the policy, the mean over the tokens of the rejected answer, the same shape.
        reference_chosen_log_probabilities: c of the reference, the same shape.
        reference_rejected_log_probabilities: r of the reference, the same shape.
        beta: The strength of the regularisation, > 0: 1 / (2 beta) nats are to be between the answers.

    Corners: 0 with gradient 0 where they are. At an infinite log-probability inf, with the largest finite gradient.

    Raises:
        ValueError: `beta` is not > 0.

    Source: Azar et al. (2024), A general theoretical paradigm to understand learning from human preferences, equation
    17.

    >>> tokens = 10
    >>> print(f"{ipo(-10 / tokens, -12 / tokens, -11 / tokens, -11.5 / tokens):.4f}")
    23.5225
    """
    chosen = chosen_log_probabilities - reference_chosen_log_probabilities
    rejected = rejected_log_probabilities - reference_rejected_log_probabilities
    return safe_square(chosen - rejected - 0.5 / beta)


@custom_loss(stand_in=-0.5)
def simpo(
    chosen_log_probabilities: Input,
    rejected_log_probabilities: Input,
    *,
    beta: NonNegative = 2.0,
    margin: Number = 0.5,
    label_smoothing: UnitInterval = 0.0,
) -> Array:
    r"""Simple preference optimisation: the chosen answer is to be likelier by a margin, without a reference.

    $$ (1 - s) \log(1 + e^{-h}) + s \log(1 + e^{h}), \qquad h = \beta (c - r) - \gamma $$

    Args:
        chosen_log_probabilities: c, the mean over the tokens of the chosen answer, any shape.
        rejected_log_probabilities: r, the mean over the tokens of the rejected answer, the same shape.
        beta: How much a nat of mean log-probability counts, >= 0.
        margin: gamma, in units of h. The authors' code names the quotient gamma / beta.
        label_smoothing: s, the share of pairs that are labelled the wrong way round, in [0, 1].

    Corners: as `dpo`.

    Raises:
        ValueError: An option is out of range.

    Source: Meng et al. (2024), SimPO: simple preference optimization with a reference-free reward, equation 6.

    >>> print(f"{simpo(-1.0, -1.5):.6f}")
    0.474077
    """
    ahead = chosen_log_probabilities - rejected_log_probabilities
    return _cost_of_odds(multiply_no_nan(beta, ahead) - margin, label_smoothing)


def _above(x: Array, y: Array) -> Array:
    """The difference x - y; inf where both are."""
    return jnp.where(x == jnp.inf, x, x - y)


def _complement(x: Array) -> Array:
    """1 - e^-x, by other operations than those of the value: a GPU writes to memory what a value and a slope share."""
    return 2 * tanh(0.5 * x) / (1 + tanh(0.5 * x))


def _slope_in_chosen(x: Array, y: Array) -> Array:
    above = jnp.maximum(_above(x, y), math.log(jnp.finfo(x.dtype).tiny))
    return ratio(jnp.ones_like(x), _complement(x) + jnp.exp(-above) * _complement(y))


def _slope_in_rejected(x: Array, y: Array) -> Array:
    share = _slope_in_chosen(x, y) * _complement(x)
    return -jnp.where((y == 0) & (x > 0), largest_like(y), finite_slope(ratio(share, _complement(y))))


@with_slopes(_slope_in_chosen, _slope_in_rejected)  # an infinite slope times 0
def _log_of_odds(x: Array, y: Array) -> Array:
    """log(1 + odds(r) / odds(c)) = log(1 + (e^x - 1) / (e^y - 1)) with x = -c and y = -r, which are at least 0."""
    above = _above(x, y)
    quotient = jnp.where(x == y, 1, jnp.abs(jnp.expm1(-x) / jnp.expm1(-y)))
    small = jnp.log1p(jnp.exp(jnp.minimum(above, 0)) * quotient)
    return jnp.where(above > 0, above + jnp.log(jnp.exp(-above) + quotient), small)


@custom_loss(stand_in=-0.5)
def orpo(chosen_log_probabilities: Input, rejected_log_probabilities: Input, *, beta: NonNegative = 0.1) -> Array:
    r"""Odds-ratio preference optimisation: the likelihood of the chosen answer, and its odds over the rejected one's.

    $$ -c + \beta \log\left(1 + \frac{\operatorname{odds}(r)}{\operatorname{odds}(c)}\right), \qquad
       \operatorname{odds}(x) = \frac{e^x}{1 - e^x} $$

    Args:
        chosen_log_probabilities: c, the mean over the tokens of the chosen answer, <= 0, any shape.
        rejected_log_probabilities: r, the mean over the tokens of the rejected answer, <= 0, the same shape.
        beta: lambda of the paper, the weight of the odds, >= 0.

    Corners: right up to c = 0, where the value is 0 and the slope in c is -1 - beta odds(r). At r = 0 > c it is inf,
    with the largest finite number for gradient; at c = r = 0 it is beta log 2. A log-probability above 0 gives NaN.

    Raises:
        ValueError: `beta` is negative.

    Source: Hong et al. (2024), ORPO: monolithic preference optimization without reference model, equations 6 and 7.

    >>> print(f"{orpo(-0.5, -1.0):.6f}")
    0.532030
    """
    c, r = chosen_log_probabilities, rejected_log_probabilities
    return -c + multiply_no_nan(beta, _log_of_odds(-c, -r)) + nan_unless((c <= 0) & (r <= 0), c.dtype)


@custom_loss(stand_in=0.5)
def bradley_terry(chosen_scores: Input, rejected_scores: Input, margin: Input = None) -> Array:
    r"""What a reward model pays that is to score the chosen of two answers higher.

    $$ \log\left(1 + e^{-(c - r - m)}\right) $$

    It is the pairwise loss of rankers too (RankNet, BPR), for pairs that are given.

    Args:
        chosen_scores: c, log odds up to a constant, any shape.
        rejected_scores: r, the shape of `chosen_scores`.
        margin: m, by how much the chosen one is better, the shape of `chosen_scores`. None is 0.

    Corners: right in both tails. Of inf on one side the value is 0 or inf and the gradient 0 or +-1; two scores of the
    same inf are NaN.

    Source: Bradley and Terry (1952), Rank analysis of incomplete block designs, its likelihood; with a margin: Touvron
    et al. (2023), Llama 2, equation 2.

    >>> print(f"{bradley_terry(1.5, 0.5):.6f} {bradley_terry(1.5, 0.5, 0.5):.6f}")
    0.313262 0.474077
    """
    ahead = chosen_scores - rejected_scores
    return softplus(-ahead if margin is None else margin - ahead)


# ----------------------------------------------------------------------------------------------------- single answers


@custom_loss(stand_in={"log_probabilities": -0.5, "reference_log_probabilities": -0.5, "targets": 0.5})
def kto(
    log_probabilities: Input,
    reference_log_probabilities: Input,
    targets: Input,
    *,
    reference_point: Number = 0.0,
    beta: NonNegative = 0.1,
    desirable_weight: NonNegative = 1.0,
    undesirable_weight: NonNegative = 1.0,
) -> Array:
    r"""Kahneman-Tversky optimisation: a good answer is to gain against the reference, a bad one to lose.

    $$ y\,\lambda_D\,\sigma(-\beta (\rho - z)) + (1 - y)\,\lambda_U\,\sigma(\beta (\rho - z)), \qquad
       \rho = \log p - \log p_\text{ref} $$

    Args:
        log_probabilities: log p, of the policy, summed over the tokens of an answer, any shape.
        reference_log_probabilities: log p of the reference, the same shape.
        targets: y, 1 for a desirable answer and 0 for an undesirable one, the same shape.
        reference_point: z, in nats, the divergence of the policy from the reference, one number for the batch: the
            paper takes max(0, mean of rho) over answers to other prompts, over all devices, detached.
        beta: How fast gains and losses saturate, >= 0.
        desirable_weight: lambda_D, >= 0. It does not cancel in a mean, as `weights` would.
        undesirable_weight: lambda_U, >= 0.

    Corners: right in both tails, at log-probabilities of -inf too; both of -inf are NaN.

    Raises:
        ValueError: An option is out of range.

    Source: Ethayarajh et al. (2024), KTO: model alignment as prospect theoretic optimization, equation 8, as
    lambda_y less the value of an answer.

    >>> print(f"{kto(-10.0, -11.0, 1.0, reference_point=0.3):.6f} {kto(-12.0, -11.5, 0.0, reference_point=0.3):.6f}")
    0.482507 0.480011
    """
    gain = multiply_no_nan(beta, (log_probabilities - reference_log_probabilities) - reference_point)
    return targets * desirable_weight * sigmoid(-gain) + (1 - targets) * undesirable_weight * sigmoid(gain)
