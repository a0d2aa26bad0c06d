"""Survival by hazards and by probabilities of intervals: times until an event, some of them censored."""

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless, pick
from jaxloss.numerics.order import partial_nll
from jaxloss.numerics.safe import ratio
from jaxloss.numerics.softmax import logsumexp
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input


def _observed(events: Array) -> Array:
    """Which times are those of an event. An indicator that is neither 0 nor 1 is made NaN by `_invalid`."""
    return events == 1


def _invalid(events: Array) -> Array:
    """0, and NaN where an indicator is neither 0 nor 1."""
    return nan_unless((events == 0) | (events == 1), events.dtype)


@custom_loss(
    signature="(n),(n),(n),(n)->()",
    stand_in={"log_hazards": 0.0, "times": 0.0, "events": 0.0},
)
def cox(log_hazards: Input, times: Input, events: Input, item_mask: Input = None, *, ties: str = "efron") -> Array:
    r"""The negative log partial likelihood of proportional hazards, the mean over the events of one risk set.

    $$ \frac1d \sum_{i:\,\delta_i = 1} \Bigl[ \log \sum_{j:\,t_j \ge t_i} e^{h_j} - h_i \Bigr],
       \qquad d = \sum_i \delta_i $$

    Args:
        log_hazards: `[..., n]`, h, the logarithms of the hazards relative to a baseline, which cancels.
        times: `[..., n]`, t, of the event or of censoring. The subjects are sorted by them: this axis must not be
            sharded.
        events: `[..., n]`, delta, 1 where the event was seen, 0 where the time is censored.
        item_mask: `[..., n]`, True for the subjects of the risk set, all by default.
        ties: "efron": of events at one time each leaves the sum by an equal share of them all; "breslow": the formula
            as written.

    It couples the n subjects of its call: one item is one risk set, or stratum. For the mean over the events of all
    strata pass `weights=events.sum(-1)`. The order of the subjects does not matter, nor does their order within ties.
    Up to 256 subjects meet in pairs, more are sorted.

    Corners: without an event it is 0 with gradient 0. So it is with every subject deleted, and it counts in the mean;
    `where=item_mask.any(-1)` leaves such an item out. An event of log-hazard -inf costs inf. An indicator that is
    neither 0 nor 1 gives NaN.

    Raises:
        ValueError: `ties` is neither "efron" nor "breslow".

    Source: Cox (1972), Regression models and life-tables, section 5; ties: Efron (1977), The efficiency of Cox's
    likelihood function for censored data, and Breslow (1974), Covariance analysis of censored survival data.

    >>> import jax.numpy as jnp
    >>> hazards, times = jnp.array([0.5, -0.2, 1.0, 0.3, 0.0]), jnp.array([2.0, 3.0, 3.0, 4.0, 5.0])
    >>> events = jnp.array([1, 1, 1, 0, 1])
    >>> print(f"{cox(hazards, times, events):.6f} {cox(hazards, times, events, ties='breslow'):.6f}")
    0.976955 1.066272
    """
    if ties not in ("efron", "breslow"):
        raise ValueError(f"cox: ties must be 'efron' or 'breslow', got {ties!r}.")
    observed, invalid = _observed(events), _invalid(events)
    if item_mask is not None:
        log_hazards = jnp.where(item_mask, log_hazards, -jnp.inf)
        observed, invalid = observed & item_mask, jnp.where(item_mask, invalid, 0)
    total = partial_nll(times, log_hazards, observed, average_ties=ties == "efron")
    return ratio(total, jnp.sum(observed, dtype=total.dtype)) + jnp.sum(invalid)


@custom_loss(signature="(k),(),()->()", stand_in={"logits": 0.5, "labels": 0, "events": 1.0})
def discrete_hazard_nll(logits: Input, labels: Input, events: Input) -> Array:
    r"""The negative log-likelihood of an event in intervals of time, by the hazard of each: a logistic hazard model.

    $$ \sum_{j<y} \log(1 + e^{x_j}) + \begin{cases} \log(1 + e^{-x_y}) & \text{event in } y \\
       \log(1 + e^{x_y}) & \text{censored in } y \end{cases} $$

    Args:
        logits: `[..., k]`, x, the log odds of the event in each interval if it has not come before.
        labels: `[...]`, y, the interval of the event or of censoring, integers from 0 to k - 1.
        events: `[...]`, 1 where the event was seen, 0 where the time is censored.

    A subject censored in interval y has survived it. Who censors at the start of the interval passes y - 1; where
    nothing was seen at all, mask it.

    Corners: right in both tails. A label outside 0 to k - 1 gives NaN, and so does an indicator that is neither 0 nor
    1. An event at a logit of -inf costs inf.

    Raises:
        TypeError: The labels are not integers.

    Source: Kvamme and Borgan (2021), Continuous and discrete-time survival prediction with neural networks, equation 7.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([-1.0, 0.5, 1.0])
    >>> print(f"{discrete_hazard_nll(logits, 1, 1):.6f} {discrete_hazard_nll(logits, 1, 0):.6f}")
    0.787339 1.287339
    """
    interval = jax.lax.broadcasted_iota(labels.dtype, logits.shape, 0)
    survived = jnp.sum(jnp.where(interval < labels, softplus(logits), 0))
    at_end = pick(logits, labels)
    return survived + softplus(jnp.where(_observed(events), -at_end, at_end)) + _invalid(events)


@custom_loss(signature="(k),(),()->()", stand_in={"logits": 0.5, "labels": 0, "events": 1.0})
def discrete_survival_nll(logits: Input, labels: Input, events: Input) -> Array:
    r"""The negative log-likelihood of an event in intervals of time, by the probability of each: one softmax.

    $$ -\log p_y \text{ (event)}, \qquad -\log \sum_{j>y} p_j \text{ (censored)}, \qquad
       p = \operatorname{softmax}(x_0, \dots, x_{k-1}, 0) $$

    Args:
        logits: `[..., k]`, x, of the event in each interval; that of an event after the last interval is 0.
        labels: `[...]`, y, the interval of the event or of censoring, integers from 0 to k - 1.
        events: `[...]`, 1 where the event was seen, 0 where the time is censored.

    With `jnp.cumsum(logits[..., ::-1], -1)[..., ::-1]` as logits it is multi-task logistic regression (MTLR).

    Corners: a subject that is surely right costs 1e-9 when it should. A label outside 0 to k - 1 gives NaN, and so does
    an indicator that is neither 0 nor 1. An event at a logit of -inf costs inf.

    Raises:
        TypeError: The labels are not integers.

    Source: Lee et al. (2018), DeepHit, its first loss; Yu et al. (2011), Learning patient-specific cancer survival
    distributions as a sequence of dependent regressors, equation 3.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([0.5, 0.0, 1.0])
    >>> print(f"{discrete_survival_nll(logits, 1, 1):.6f} {discrete_survival_nll(logits, 1, 0):.6f}")
    1.851129 0.537867
    """
    row = jnp.concatenate([logits, jnp.zeros_like(logits, shape=1)])
    interval = jax.lax.broadcasted_iota(labels.dtype, row.shape, 0)
    agrees = jnp.where(_observed(events), interval == labels, interval > labels)
    inside, outside = (logsumexp(jnp.where(kept, row, -jnp.inf)) for kept in (agrees, ~agrees))
    known = nan_unless((labels >= 0) & (labels < logits.shape[0]), logits.dtype)
    return softplus(outside - inside) + known + _invalid(events)  # -log p = log(1 + (1 - p) / p)
