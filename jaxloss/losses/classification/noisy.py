"""Many classes, and labels of which some are wrong: softmax losses that a confident wrong label cannot dominate."""

import math

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.row import complement
from jaxloss.numerics.safe import finite_slope, multiply_no_nan
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softmax import label_row
from jaxloss.numerics.tempered import tempered_bracket, tempered_surprisal
from jaxloss.types import Array, Input, Negative, NonNegative, UnitInterval


def _slope_in_q(surprisal: Array, q: Array) -> Array:
    """-(1 - (1 + u) exp(-u)) / q^2 with u = q s, by its series for a small u."""
    u = multiply_no_nan(q, surprisal)
    small = u < 0.5
    near, far_u, far_q = jnp.where(small, u, 0), jnp.where(small, 1, u), jnp.where(small, 1, q)
    series = sum(near**n / float(math.factorial(n + 2)) for n in range(13))
    by_series = jnp.square(jnp.where(small, surprisal, 0)) * jnp.exp(-near) * series
    by_formula = (1 - jnp.exp(-far_u) - multiply_no_nan(jnp.exp(-far_u), far_u)) / far_q / far_q
    return -finite_slope(jnp.where(small, by_series, by_formula))


@with_slopes(lambda s, q: jnp.exp(-multiply_no_nan(q, s)), _slope_in_q)  # a derivative that cancels: expm1 + 1
def _box_cox(surprisal: Array, q: Array) -> Array:
    """(1 - p^q) / q by s = -log p, of which the limit at q = 0 is s."""
    u = multiply_no_nan(q, surprisal)
    tiny = u < jnp.finfo(u.dtype).tiny
    return jnp.where(tiny, surprisal, -jnp.expm1(-u) / jnp.where(q == 0, 1, q))


@custom_loss(signature="(k),()->()", stand_in=0.5)
def generalized_cross_entropy(logits: Input, labels: Input, *, q: UnitInterval = 0.7) -> Array:
    r"""Between the softmax cross entropy (q = 0) and the mean absolute error of probabilities (q = 1).

    $$ \frac{1 - p_y^q}{q}, \qquad p = \operatorname{softmax}(x) $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        q: In [0, 1]. The larger it is, the less a label counts that the model finds improbable.

    Corners: at q = 0 it is the cross entropy, and for small q as exact. Never above 1 / q: a label of logit -inf costs
    1 / q and has no gradient (at q = 0 it costs inf, and the gradient is finite). A label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Zhang and Sabuncu (2018), Generalized cross entropy loss for training deep neural networks with noisy
    labels, equation 6.

    >>> import jax.numpy as jnp
    >>> print(f"{generalized_cross_entropy(jnp.array([0.0, 0.0]), 0, q=1.0):.4f}")
    0.5000
    """
    return _box_cox(label_row(logits, labels).surprisal, jnp.asarray(q, logits.dtype))


@custom_loss(signature="(k),()->()", stand_in=0.5)
def symmetric_cross_entropy(
    logits: Input, labels: Input, *, alpha: NonNegative = 0.1, beta: NonNegative = 1.0, log_zero: Negative = -4.0
) -> Array:
    r"""The softmax cross entropy, and the one with label and prediction exchanged, in which log 0 is a number.

    $$ -\alpha \log p_y - \beta A\,(1 - p_y), \qquad p = \operatorname{softmax}(x) $$

    The exchanged one is the sum over classes of -p_j log t_j, where t is the one-hot label: log 1 is 0, log 0 is A.

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        alpha: The weight of the cross entropy, >= 0. The paper has 0.1 for CIFAR-10, 6.0 for CIFAR-100.
        beta: The weight of the exchanged one, >= 0. The paper has 1.0 for CIFAR-10, 0.1 for CIFAR-100.
        log_zero: A, the number taken for log 0, < 0.

    Corners: exact for a confident row. A label of logit -inf costs inf, and the gradient is finite; with alpha = 0 it
    costs -beta A. A label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Wang et al. (2019), Symmetric cross entropy for robust learning with noisy labels, its SL.

    >>> import jax.numpy as jnp
    >>> print(f"{symmetric_cross_entropy(jnp.array([0.0, 0.0]), 0, alpha=0.1, beta=1.0):.4f}")
    2.0693
    """
    surprisal = label_row(logits, labels).surprisal
    return multiply_no_nan(alpha, surprisal) - beta * log_zero * complement(surprisal)


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def bi_tempered_cross_entropy(logits: Input, targets: Input, *, t1: UnitInterval = 0.8, t2: NonNegative = 1.2) -> Array:
    r"""The divergence of targets from a softmax with a heavy tail, in a logarithm that is bounded.

    $$ \sum_j \left[ y_j (\log_{t_1} y_j - \log_{t_1} p_j)
       - \frac{y_j^{2 - t_1} - p_j^{2 - t_1}}{2 - t_1} \right], \qquad
       p_j = \exp_{t_2}(x_j - \lambda), \quad \sum_j p_j = 1 $$

    with log_t(p) = (p^(1 - t) - 1) / (1 - t), its inverse exp_t, and log and exp at t = 1. At t1 = t2 = 1 this is the
    softmax cross entropy minus the entropy of the targets, which for one-hot targets is 0.

    Args:
        logits: `[..., k]`, activations.
        targets: `[..., k]`, one-hot or any distribution.
        t1: The temperature of the logarithm, in [0, 1]. Below 1 no example costs more than 1 / ((1 - t1)(2 - t1))
            and a little for the other classes, so that outliers are bounded.
        t2: The temperature of the softmax, >= 0. Above 1 it has a heavy tail, which forgives labels near the boundary;
            below 1 a class that is far behind has no probability at all.

    Corners: smooth through t1 = 1 and t2 = 1, and as exact beside them as at them. A class of logit -inf has no
    probability: with a target it costs inf at t1 = 1, and the gradient is finite. At t1 = 1 the gradient in a target of
    0, truly infinite, is 0.

    Raises:
        ValueError: An option is out of range.

    Source: Amid et al. (2019), Robust bi-tempered logistic loss based on Bregman divergences, its loss for two
    temperatures.

    >>> import jax.numpy as jnp
    >>> print(f"{bi_tempered_cross_entropy(jnp.array([2.0, 0.0]), jnp.array([1, 0]), t1=0.5, t2=2.0):.4f}")
    0.1536
    """
    surprisals = tempered_surprisal(logits, jnp.asarray(t2, logits.dtype))
    return jnp.sum(tempered_bracket(targets, surprisals, 1 - jnp.asarray(t1, logits.dtype)))
