"""Sampled tokens: what a policy pays for them by their advantage, and for what it has moved from a reference."""

import math
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.remainders import exp_remainder
from jaxloss.numerics.safe import finite_slope, multiply_no_nan
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.special import times_exp
from jaxloss.types import Array, Input, Interval, NonNegative, Number, Positive

Clip: TypeAlias = Annotated[Number, Interval(gt=0, lt=1)]
DualClip: TypeAlias = Annotated[Number, Interval(gt=1)]


def _slope_in_log_ratio(advantage: Array, log_ratio: Array) -> Array:
    return finite_slope(_weighed(advantage, log_ratio))


@with_slopes(lambda _, log_ratio: finite_slope(jnp.exp(log_ratio)), _slope_in_log_ratio)  # an infinite slope times 0
def _weighed(advantage: Array, log_ratio: Array) -> Array:
    """A rho, which may be within the format where rho is not."""
    root = jnp.exp(0.5 * log_ratio)
    return (advantage * root) * root


def _clipped_cost(log_ratio: Array, advantage: Array, clip: Any, clip_high: Any, dual_clip: Any) -> Array:
    """-min(rho A, clip(rho, 1 - e, 1 + e') A), at most -c A where A < 0, with rho = exp(log ratio)."""
    # By the sign of A the minimum binds on one side alone. Not rho but its logarithm is bounded there, since the slope
    # of an exponential that overflows, times 0, is NaN.
    losing = advantage < 0
    lowest = jnp.where(losing, jnp.log1p(-clip), -jnp.inf)
    highest = jnp.log1p(clip if clip_high is None else clip_high)
    highest = jnp.where(losing, jnp.inf if dual_clip is None else jnp.log(dual_clip), highest)
    # By comparison: a sum on a CPU drops a NaN from a minimum.
    bounded = jnp.where(log_ratio < lowest, lowest, jnp.where(log_ratio > highest, highest, log_ratio))
    return -_weighed(advantage, bounded)


@custom_loss(stand_in=-0.5)
def ppo_clip(
    log_probabilities: Input,
    old_log_probabilities: Input,
    advantages: Input,
    *,
    clip: Clip = 0.2,
    clip_high: Positive = None,
    dual_clip: DualClip = None,
) -> Array:
    r"""Proximal policy optimisation: the advantage of an action, no longer rewarded once its probability has moved.

    $$ -\min(\rho A, \operatorname{clip}(\rho, 1 - \epsilon, 1 + \epsilon') A), \qquad
       \rho = \frac{p}{p_\text{old}} $$

    With a dual clip, what is lost where A < 0 is at most -c A.

    Values are `[batch, time]` and `where=` deletes padding. The normalisations of the field are steps of `reduce`:

    - over all tokens (DAPO): `ppo_clip(..., where=mask)`
    - over sequences, of means over tokens (GRPO): `reduce(ppo_clip, axis=-1)`
    - over sequences, of sums over tokens: `reduce(ppo_clip, "sum", axis=-1)`
    - sums over tokens, over batch size and a constant length (Dr. GRPO):
      `reduce(reduce(ppo_clip, "sum", axis=-1), lambda tally: tally.numerator / (batch * length))`
    - over prompts, of means over the tokens of a group `[prompts, group, time]`: `reduce(ppo_clip, axis=(-2, -1))`

    A sequence without a token does not count, but over a constant it does. Tallies of micro-batches add up to the same.

    Args:
        log_probabilities: log p, of the policy, for each token that was sampled, any shape.
        old_log_probabilities: log p of the policy that sampled it, the same shape.
        advantages: A, the same shape; that of a sequence is broadcast by the caller. Not a weight: it would cancel.
        clip: epsilon, in (0, 1).
        clip_high: epsilon', > 0; None is `clip`.
        dual_clip: c, > 1; None is without.

    Corners: at rho = 1 the gradient is -A. Where rho overflows and A > 0 the value is -(1 + epsilon') A with gradient
    0; where A < 0 it is -rho A as long as that is within the format.

    Raises:
        ValueError: An option is out of range.

    Source: Schulman et al. (2017), Proximal policy optimization algorithms, equation 7; epsilon': Yu et al. (2025),
    DAPO, equation 10; dual: Ye et al. (2020), Mastering complex control in MOBA games, equation 5.

    >>> print(f"{ppo_clip(-1.0, -1.3, 1.0):.6f} {ppo_clip(-1.0, -1.3, -1.0):.6f}")
    -1.200000 1.349859
    >>> import jax.numpy as jnp
    >>> from jaxloss import reduce
    >>> policy, old = jnp.array([[-1.0, -2.0], [-0.5, 0.0]]), jnp.array([[-1.1, -1.8], [-0.6, 0.0]])
    >>> advantages, mask = jnp.array([[1.0, 1.0], [-1.0, -1.0]]), jnp.array([[True, True], [True, False]])
    >>> sums = reduce(ppo_clip, "sum", axis=-1)
    >>> over_a_length = reduce(sums, lambda tally: tally.numerator / (2 * 4))  # two sequences, a constant length of 4
    >>> losses = ppo_clip, reduce(ppo_clip, axis=-1), sums, over_a_length
    >>> print(*(f"{loss(policy, old, advantages, where=mask):.6f}" for loss in losses))
    -0.272910 0.071610 -0.409365 -0.102341
    """
    return _clipped_cost(log_probabilities - old_log_probabilities, advantages, clip, clip_high, dual_clip)


def _factors(d: Array, weight: Any, function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The weight and a function that is e^d where it is large. Their product may be in the format where that is not."""
    far = d > 64
    large = times_exp(jnp.ones_like(d), d - 32)  # whose slope is finite
    return jnp.where(far, math.exp(32) * weight, weight), jnp.where(far, large, function(jnp.where(far, 0, d)))


@with_slopes(  # an infinite slope times 0
    lambda d, weight: finite_slope(multiply_no_nan(*_factors(d, weight, jnp.expm1))),
    lambda d, _: finite_slope(multiply_no_nan(*_factors(d, 1.0, exp_remainder))),
)
def _k3(d: Array, weight: Any) -> Array:
    """W (e^d - d - 1)."""
    return multiply_no_nan(*_factors(d, weight, exp_remainder))


@custom_loss(stand_in=-0.5)
def grpo(
    log_probabilities: Input,
    old_log_probabilities: Input,
    advantages: Input,
    reference_log_probabilities: Input = None,
    *,
    clip: Clip = 0.2,
    clip_high: Positive = None,
    beta: NonNegative = 0.04,
    dual_clip: DualClip = None,
) -> Array:
    r"""Group-relative policy optimisation: `ppo_clip`, and what a token has moved from a reference.

    $$ -\min(\rho A, \operatorname{clip}(\rho, 1 - \epsilon, 1 + \epsilon') A) + \beta (e^d - d - 1), \qquad
       \rho = \frac{p}{p_\text{old}}, \quad d = \log \frac{p_\text{ref}}{p} $$

    Both terms share a mask and a normalisation, for which see `ppo_clip`; that of the paper is
    `reduce(grpo, axis=-1)`.

    Args:
        log_probabilities: log p, of the policy, for each token that was sampled, any shape.
        old_log_probabilities: log p of the policy that sampled it, the same shape.
        advantages: A, the same shape: the reward of the answer less the mean of its group, over the deviation of the
            group, broadcast to its tokens by the caller.
        reference_log_probabilities: log p of the reference, the same shape; None is without the second term.
        clip: epsilon, in (0, 1).
        clip_high: epsilon', > 0; None is `clip`.
        beta: The weight of the divergence from the reference, >= 0.
        dual_clip: c, > 1: what is lost where A < 0 is at most -c A; None is without.

    Corners: as `ppo_clip` and `sampled_kl_divergence`.

    Raises:
        ValueError: An option is out of range.

    Source: Shao et al. (2024), DeepSeekMath, equations 3 and 4.

    >>> print(f"{grpo(-1.0, -1.1, 1.0, -1.2):.6f}")
    -1.104422
    """
    cost = _clipped_cost(log_probabilities - old_log_probabilities, advantages, clip, clip_high, dual_clip)
    if reference_log_probabilities is None:
        return cost
    return cost + _k3(reference_log_probabilities - log_probabilities, beta)


@custom_loss(signature="(t),(t),(),(t)->()", stand_in=-0.5)
def gspo(
    log_probabilities: Input,
    old_log_probabilities: Input,
    advantage: Input,
    token_mask: Input = None,
    *,
    clip: Clip = 3e-4,
    clip_high: Positive = 4e-4,
) -> Array:
    r"""Group sequence policy optimisation: `ppo_clip` of a whole answer, by the geometric mean of its ratios.

    $$ -\min(s A, \operatorname{clip}(s, 1 - \epsilon, 1 + \epsilon') A), \qquad
       s = \Big(\prod_{i=1}^{t} \frac{p_i}{p_{\text{old},i}}\Big)^{1 / t} $$

    Args:
        log_probabilities: log p, `[..., t]`, of the policy, for each token that was sampled.
        old_log_probabilities: log p of the policy that sampled it, `[..., t]`.
        advantage: A, `[...]`, of the answer.
        token_mask: `[..., t]`: True where there is a token. The others count for nothing and may hold anything.
        clip: epsilon, in (0, 1).
        clip_high: epsilon', > 0; None is `clip`.

    Corners: as `ppo_clip`. An answer without a token costs 0 with gradient 0 and counts in the mean:
    `where=token_mask.any(-1)` leaves it out.

    Raises:
        ValueError: An option is out of range.

    Source: Zheng et al. (2025), Group sequence policy optimization, equations 5 and 7.

    >>> import jax.numpy as jnp
    >>> print(f"{gspo(jnp.array([-1.0, -2.0]), jnp.array([-1.1, -1.8]), 1.0):.6f}")
    -0.951229
    """
    log_ratios = log_probabilities - old_log_probabilities
    if token_mask is None:
        return _clipped_cost(jnp.mean(log_ratios), advantage, clip, clip_high, None)
    count = jnp.sum(token_mask, dtype=log_ratios.dtype)
    log_ratio = jnp.sum(jnp.where(token_mask, log_ratios, 0)) / jnp.maximum(count, 1)
    return _clipped_cost(log_ratio, jnp.where(count > 0, advantage, 0), clip, clip_high, None)


@custom_loss(stand_in=-0.5)
def sampled_kl_divergence(
    log_probabilities: Input, reference_log_probabilities: Input, *, estimator: str = "k3"
) -> Array:
    r"""The divergence of a policy from a reference, estimated from what the policy sampled.

    $$ k_1 = -d, \qquad k_2 = \tfrac12 d^2, \qquad k_3 = e^d - d - 1, \qquad d = \log \frac{p_\text{ref}}{p} $$

    The means of k1 and k3 over samples of p are D(p || p_ref). As a cost they are not, since the sampling is not
    differentiated: the mean gradient of k1 is 0 and that of k3 belongs to D(p_ref || p), where that of k2 is the
    gradient of D(p || p_ref).

    Args:
        log_probabilities: log p, of the policy, for each token that it sampled, any shape.
        reference_log_probabilities: log p of the reference, the same shape.
        estimator: "k1", "k2" or "k3".

    Corners: k2 and k3 are 0 with gradient 0 where p = p_ref, and right beside it. Nothing is clamped: k3 is inf where
    e^d is, with the largest finite number for gradient.

    Raises:
        ValueError: `estimator` is an unknown name.

    Source: Schulman (2020), Approximating KL divergence.

    >>> k1, k2, k3 = (sampled_kl_divergence(-1.0, -1.2, estimator=k) for k in ("k1", "k2", "k3"))
    >>> print(f"{k1:.6f} {k2:.6f} {k3:.6f}")
    0.200000 0.020000 0.018731
    """
    d = reference_log_probabilities - log_probabilities
    if estimator == "k1":
        return -d
    if estimator == "k2":
        return 0.5 * d * d
    if estimator == "k3":
        return _k3(d, 1.0)
    raise ValueError(f"sampled_kl_divergence: estimator must be k1, k2 or k3, got {estimator!r}.")
