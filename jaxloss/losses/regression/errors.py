"""Regression: elementwise losses of the error e = prediction - target."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.safe import absolute, finite_slope, multiply_no_nan, positive_part, safe_square
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import tanh
from jaxloss.types import Array, Input, NonNegative, Positive, UnitInterval


@custom_loss(stand_in=0.5)
def squared_error(prediction: Input, target: Input) -> Array:
    r"""The squared error; its mean is the MSE.

    $$ (\hat y - y)^2 $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 with gradient 0 at a perfect prediction.

    Source: Gauss (1809), Theoria motus, section 179. Half of it is the l2 loss of other libraries.

    >>> print(f"{squared_error(6.1, 6.3):.2f}")
    0.04
    """
    return jnp.square(prediction - target)


@custom_loss(stand_in=0.5)
def absolute_error(prediction: Input, target: Input) -> Array:
    r"""The absolute error; its mean is the MAE.

    $$ |\hat y - y| $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 at a perfect prediction, with subgradient 0.

    Source: Laplace (1774), Memoire sur la probabilite des causes par les evenements.

    >>> print(f"{absolute_error(6.1, 6.3):.1f}")
    0.2
    """
    return absolute(prediction - target)


@with_slopes(  # an infinite slope times 0: JAX multiplies |e| by the slope of min(|e|, delta)
    lambda error, delta: jnp.clip(error, -delta, delta),
    lambda error, delta: finite_slope(jnp.maximum(jnp.abs(error) - delta, 0)),
)
def _huber(error: Array, delta: Array) -> Array:
    size = jnp.abs(error)
    bounded = jnp.minimum(size, delta)
    return bounded * (size - 0.5 * bounded)


@custom_loss(stand_in=0.5)
def huber(prediction: Input, target: Input, *, delta: Positive = 1.0) -> Array:
    r"""The squared error near the target, the absolute error away from it.

    $$ \begin{cases} \tfrac12 e^2 & |e| \le \delta \\ \delta |e| - \tfrac12 \delta^2 & |e| > \delta \end{cases},
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        delta: Where the parabola becomes a line, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction; value and gradient are continuous at |e| = delta.

    Raises:
        ValueError: `delta` is not > 0.

    Source: Huber (1964), Robust estimation of a location parameter, its proposal for a contaminated normal.

    >>> print(f"{huber(6.1, 6.3, delta=1.0):.2f}")
    0.02
    """
    return _huber(prediction - target, delta)


def _smooth_sign(error: Array, beta: Array) -> Array:
    """The error over beta, cut at -1 and 1: the sign of the error where beta is 0."""
    return jnp.clip(error / jnp.maximum(beta, float(jnp.finfo(error.dtype).tiny)), -1, 1)


@with_slopes(  # an infinite slope times 0: that of error / beta at beta = 0
    _smooth_sign,
    lambda error, beta: -0.5 * jnp.square(_smooth_sign(error, beta)),
)
def _smooth_absolute(error: Array, beta: Array) -> Array:
    share = jnp.abs(_smooth_sign(error, beta))
    return share * (jnp.abs(error) - 0.5 * beta * share)


@custom_loss(stand_in=0.5)
def smooth_l1(prediction: Input, target: Input, *, beta: NonNegative = 1.0) -> Array:
    r"""The absolute error, rounded off by a parabola below beta.

    $$ \begin{cases} \tfrac12 e^2 / \beta & |e| < \beta \\ |e| - \tfrac12 \beta & |e| \ge \beta \end{cases},
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        beta: Where the parabola becomes a line, in units of the target, >= 0. At 0 it is the `absolute_error`.

    Corners: 0 with gradient 0 at a perfect prediction, for every beta; the slope in beta is finite at beta = 0, too.

    Raises:
        ValueError: `beta` is negative.

    Source: Girshick (2015), Fast R-CNN, equation 3, there with beta = 1. It is the `huber` of delta = beta over beta.

    >>> print(f"{smooth_l1(6.1, 6.3, beta=0.4):.2f}")
    0.05
    """
    return _smooth_absolute(prediction - target, beta)


@with_slopes(tanh)  # a derivative that cancels: the second one, 1 - tanh^2 e
def _log_cosh(error: Array) -> Array:
    size = jnp.abs(error)
    bounded = jnp.minimum(size, 16)  # beyond, log cosh e = |e| - log 2 in every format
    growth = jnp.expm1(bounded)
    return size - bounded + jnp.log1p(growth * growth / (2 * (1 + growth)))  # cosh e - 1 = (exp|e| - 1)^2 / (2 exp|e|)


@custom_loss(stand_in=0.5)
def log_cosh(prediction: Input, target: Input) -> Array:
    r"""The logarithm of the hyperbolic cosine of the error: half its square near 0, its size less log 2 away from it.

    $$ \log \cosh (\hat y - y) $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 with gradient 0 at a perfect prediction, 5e-9 at an error of 1e-4. The gradient is the tanh of the error.

    Source: Green (1990), Bayesian reconstructions from emission tomography data using a modified EM algorithm, its
    potential log cosh.

    >>> print(f"{log_cosh(6.1, 6.3):.4f}")
    0.0199
    """
    return _log_cosh(prediction - target)


def _cosine(error: Array, delta: Array) -> Array:
    return 1 / jnp.sqrt(1 + jnp.square(jnp.clip(error / delta, -1e18, 1e18)))


@with_slopes(  # a derivative that cancels: 1 - (e / delta)^2 / (1 + (e / delta)^2)
    lambda error, delta: _cosine(error, delta) ** 3,
    lambda error, delta: (jnp.clip(error / delta, -1e18, 1e18) * _cosine(error, delta)) ** 3,
)
def _bent(error: Array, delta: Array) -> Array:
    """The error over sqrt(1 + (error / delta)^2): the slope of the pseudo-Huber loss."""
    return jnp.clip(error, -1e18 * delta, 1e18 * delta) * _cosine(error, delta)


def _pseudo_huber_in_delta(error: Array, delta: Array) -> Array:
    z = jnp.clip(error / delta, -1e18, 1e18)
    root = jnp.sqrt(1 + z * z)
    return finite_slope(jnp.abs(error) * (jnp.square(z / (1 + root)) * (jnp.abs(z) / root)))


@with_slopes(_bent, _pseudo_huber_in_delta)  # a derivative that overflows: that of the square root
def _pseudo_huber(error: Array, delta: Array) -> Array:
    # delta^2 (r - 1) = e^2 / (1 + r) with r = sqrt(1 + (e / delta)^2), which beyond 1e18 delta is |e| / delta.
    bounded = jnp.minimum(jnp.abs(error), 1e18 * delta)
    return jnp.abs(error) * (bounded / (1 + jnp.sqrt(1 + jnp.square(bounded / delta))))


@custom_loss(stand_in=0.5)
def pseudo_huber(prediction: Input, target: Input, *, delta: Positive = 1.0) -> Array:
    r"""A smooth Huber loss: half the squared error near the target, a line of slope delta away from it.

    $$ \delta^2 \left( \sqrt{1 + (e / \delta)^2} - 1 \right), \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        delta: Where the parabola bends into a line, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. It is the `charbonnier` of that scale, times delta^2.

    Raises:
        ValueError: `delta` is not > 0.

    Source: Charbonnier et al. (1997), Deterministic edge-preserving regularization in computed imaging, its
    hypersurfaces; under this name in Hartley and Zisserman (2003), Multiple view geometry, appendix 6.8.

    >>> print(f"{pseudo_huber(3.0, 0.0, delta=4.0):.1f}")
    4.0
    """
    return _pseudo_huber(prediction - target, delta)


def _tilt(error: Array, level: Array) -> Array:
    """The weight of an error: the level below 0, 1 - level above."""
    return jnp.where(error > 0, 1 - level, level).astype(error.dtype)


@custom_loss(stand_in=0.5)
def pinball(prediction: Input, target: Input, *, quantile: UnitInterval = 0.5) -> Array:
    r"""The loss whose mean is least at a quantile of the target; at 1/2 half the absolute error.

    $$ \max(\tau u, (\tau - 1)\,u) = |\tau - [u < 0]|\,|u|, \qquad u = y - \hat y $$

    Args:
        prediction: Predictions of the quantile, any shape.
        target: True values, the shape of `prediction`.
        quantile: tau, the share of targets that should lie below, in [0, 1]: a number, or an array along the trailing
            axes (one for each predicted quantile).

    Corners: 0 at a perfect prediction, with subgradient 0.

    Raises:
        ValueError: `quantile` is outside [0, 1], or does not align with the trailing axes.

    Source: Koenker and Bassett (1978), Regression quantiles, equation 3.1.

    >>> print(f"{pinball(6.1, 6.3, quantile=0.9):.2f} {pinball(6.3, 6.1, quantile=0.9):.2f}")
    0.18 0.02
    """
    error = prediction - target
    return multiply_no_nan(_tilt(error, quantile), absolute(error))


@custom_loss(stand_in=0.5)
def expectile(prediction: Input, target: Input, *, level: UnitInterval = 0.5) -> Array:
    r"""The loss whose mean is least at an expectile of the target; at 1/2 half the squared error.

    $$ |\tau - [u < 0]|\,u^2, \qquad u = y - \hat y $$

    Args:
        prediction: Predictions of the expectile, any shape.
        target: True values, the shape of `prediction`.
        level: tau, in [0, 1]: a number, or an array along the trailing axes (one for each predicted expectile).

    Corners: 0 with gradient 0 at a perfect prediction.

    Raises:
        ValueError: `level` is outside [0, 1], or does not align with the trailing axes.

    Source: Newey and Powell (1987), Asymmetric least squares estimation and testing, its criterion.

    >>> print(f"{expectile(6.1, 6.3, level=0.9):.3f} {expectile(6.3, 6.1, level=0.9):.3f}")
    0.036 0.004
    """
    error = prediction - target
    return multiply_no_nan(multiply_no_nan(_tilt(error, level), error), error)


@custom_loss(stand_in=0.5)
def quantile_huber(
    prediction: Input, target: Input, *, quantile: UnitInterval = 0.5, delta: NonNegative = 1.0
) -> Array:
    r"""The pinball loss, rounded off by a parabola below delta.

    $$ |\tau - [u < 0]|\,\frac{L_\delta(u)}{\delta}, \qquad
       L_\delta(u) = \begin{cases} \tfrac12 u^2 & |u| \le \delta \\ \delta |u| - \tfrac12 \delta^2 & |u| > \delta
       \end{cases}, \qquad u = y - \hat y $$

    Args:
        prediction: Predictions of the quantile, any shape.
        target: True values, the shape of `prediction`.
        quantile: tau, the share of targets that should lie below, in [0, 1]: a number, or an array along the trailing
            axes (one for each predicted quantile).
        delta: Where the parabola becomes a line (kappa in the paper), in units of the target, >= 0. At 0 it is the
            `pinball` loss. Some libraries leave out the division by it, which at 1 makes no difference.

    Corners: 0 with gradient 0 at a perfect prediction.

    Raises:
        ValueError: An option is out of range, or does not align with the trailing axes.

    Source: Dabney et al. (2018), Distributional reinforcement learning with quantile regression, equation 10.

    >>> print(f"{quantile_huber(6.1, 6.3, quantile=0.9, delta=0.4):.3f}")
    0.045
    """
    error = prediction - target
    return multiply_no_nan(_tilt(error, quantile), _smooth_absolute(error, delta))


@custom_loss(stand_in=0.5)
def epsilon_insensitive(prediction: Input, target: Input, *, epsilon: NonNegative = 0.1) -> Array:
    r"""The absolute error beyond a tolerance.

    $$ \max(|\hat y - y| - \varepsilon, 0) $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        epsilon: The tolerance, in units of the target, >= 0.

    Corners: 0 with gradient 0 up to an error of epsilon, that one included.

    Raises:
        ValueError: `epsilon` is negative.

    Source: Drucker et al. (1997), Support vector regression machines, section 2.

    >>> print(f"{epsilon_insensitive(6.1, 6.4, epsilon=0.1):.1f}")
    0.2
    """
    return positive_part(jnp.abs(prediction - target) - epsilon)


@custom_loss(stand_in=0.5)
def squared_epsilon_insensitive(prediction: Input, target: Input, *, epsilon: NonNegative = 0.1) -> Array:
    r"""The square of the error beyond a tolerance.

    $$ \max(|\hat y - y| - \varepsilon, 0)^2 $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        epsilon: The tolerance, in units of the target, >= 0.

    Corners: 0 with gradient 0 up to an error of epsilon, that one included.

    Raises:
        ValueError: `epsilon` is negative.

    Source: Lee et al. (2005), Epsilon-SSVR: a smooth support vector machine for epsilon-insensitive regression, its
    squared loss.

    >>> print(f"{squared_epsilon_insensitive(6.1, 6.4, epsilon=0.1):.2f}")
    0.04
    """
    error = prediction - target
    # A parabola at its lowest point, at epsilon = 0, has a curvature too, which the slope 0 of a maximum would lose.
    beyond = jnp.where(jnp.abs(error) < epsilon, 0, error - jnp.sign(error) * epsilon)
    return safe_square(beyond)
