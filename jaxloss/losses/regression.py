"""Regression: elementwise losses of the error e = prediction - target."""

import jax.numpy as jnp

from jaxloss import numerics
from jaxloss.core.loss import custom_loss
from jaxloss.numerics import absolute, of_error
from jaxloss.types import Array, Input, NonNegative, Positive, UnitInterval


@custom_loss
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


@custom_loss
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


@custom_loss
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
    return of_error(numerics.clipped_square)(prediction, target, delta)


@custom_loss
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
    return of_error(numerics.smooth_absolute)(prediction, target, beta)


@custom_loss
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
    return of_error(numerics.log_cosh)(prediction, target)


@custom_loss
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
    return of_error(numerics.hyperbola)(prediction, target, delta)


@custom_loss
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
    return of_error(numerics.tilted_absolute)(prediction, target, quantile)


@custom_loss
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
    return of_error(numerics.tilted_square)(prediction, target, level)


@custom_loss
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
    return of_error(numerics.tilted_smooth_absolute)(prediction, target, quantile, delta)


@custom_loss
def squared_log_error(prediction: Input, target: Input) -> Array:
    r"""The squared error of the logarithms of 1 plus prediction and target, for counts and other sizes.

    $$ \left[ \log(1 + \hat y) - \log(1 + y) \right]^2 $$

    Args:
        prediction: Predictions, > -1, any shape.
        target: True values, > -1, the shape of `prediction`.

    Corners: 0 with gradient 0 at a perfect prediction, also at -1. Where only one of the two is -1 the cost is inf and
    the gradient in that one the largest finite number. Below -1 it is NaN, and so it is where both are inf.

    Source: Jachner et al. (2007), Statistical methods for the qualitative assessment of dynamic models with time delay.

    >>> print(f"{squared_log_error(1.0, 3.0):.4f}")
    0.4805
    """
    return numerics.squared_log1p_ratio(prediction, target)


@custom_loss
def absolute_percentage_error(prediction: Input, target: Input) -> Array:
    r"""The absolute error in units of the target, as a share and not in percent; its mean is the MAPE.

    $$ \left| \frac{\hat y - y}{y} \right| $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`. Where they are 0, take `where=`.

    Corners: 0 with subgradient 0 at a perfect prediction, also of 0. Any other prediction of 0 costs inf, and its
    gradient is the largest finite number. Of an infinite target it is NaN.

    Source: de Myttenaere et al. (2016), Mean absolute percentage error for regression models, section 1.

    >>> print(f"{absolute_percentage_error(90.0, 100.0):.2f}")
    0.10
    """
    return numerics.relative_error(prediction, target)


@custom_loss
def symmetric_absolute_percentage_error(prediction: Input, target: Input) -> Array:
    r"""The absolute error in units of the mean size of prediction and target, from 0 to 2; its mean is the SMAPE.

    $$ \frac{2\,|\hat y - y|}{|\hat y| + |y|} $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 with subgradient 0 at a perfect prediction, also of 0. Where the signs differ it is 2 with gradient 0.

    Source: Makridakis (1993), Accuracy measures: theoretical and practical concerns, as a share.

    >>> print(f"{symmetric_absolute_percentage_error(90.0, 110.0):.2f}")
    0.20
    """
    return numerics.symmetric_relative_error(prediction, target)


@custom_loss
def epsilon_insensitive(prediction: Input, target: Input, *, epsilon: NonNegative = 0.1) -> Array:
    r"""The absolute error beyond what is tolerated.

    $$ \max(|\hat y - y| - \varepsilon, 0) $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        epsilon: What is tolerated, in units of the target, >= 0.

    Corners: 0 with gradient 0 up to an error of epsilon, that one included.

    Raises:
        ValueError: `epsilon` is negative.

    Source: Drucker et al. (1997), Support vector regression machines, section 2.

    >>> print(f"{epsilon_insensitive(6.1, 6.4, epsilon=0.1):.1f}")
    0.2
    """
    return numerics.excess(prediction, target, epsilon)


@custom_loss
def squared_epsilon_insensitive(prediction: Input, target: Input, *, epsilon: NonNegative = 0.1) -> Array:
    r"""The square of the error beyond what is tolerated.

    $$ \max(|\hat y - y| - \varepsilon, 0)^2 $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        epsilon: What is tolerated, in units of the target, >= 0.

    Corners: 0 with gradient 0 up to an error of epsilon, that one included.

    Raises:
        ValueError: `epsilon` is negative.

    Source: Lee et al. (2005), Epsilon-SSVR: a smooth support vector machine for epsilon-insensitive regression, its
    squared loss.

    >>> print(f"{squared_epsilon_insensitive(6.1, 6.4, epsilon=0.1):.2f}")
    0.04
    """
    return numerics.safe_square(numerics.excess(prediction, target, epsilon))


@custom_loss(signature="(d),(d)->()")
def cosine_distance(prediction: Input, target: Input) -> Array:
    r"""One minus the cosine of the angle between two vectors, from 0 to 2.

    $$ 1 - \frac{\hat y \cdot y}{\lVert \hat y \rVert \lVert y \rVert} $$

    Args:
        prediction: `[..., d]`, vectors.
        target: `[..., d]`, vectors.

    Corners: a zero vector has cosine 0 with everything, and gradient 0. Vectors of any length, from 1e-38 to 1e38, and
    ones that are nearly parallel are told apart rightly.

    Source: Salton et al. (1975), A vector space model for automatic indexing, section 1.

    >>> import jax.numpy as jnp
    >>> print(f"{cosine_distance(jnp.array([3.0, 4.0]), jnp.array([4.0, 3.0])):.2f}")
    0.04
    """
    return numerics.cosine_distance(prediction, target)


@custom_loss(signature="(n),(n)->()")
def scale_invariant_log_error(prediction: Input, target: Input, *, variance_focus: UnitInterval = 0.5) -> Array:
    r"""The mean squared log error of one image, less a share of what a common factor explains.

    $$ \frac1n \sum_i d_i^2 - \lambda \left( \frac1n \sum_i d_i \right)^2, \qquad d_i = \log \hat y_i - \log y_i $$

    Args:
        prediction: `[..., n]`, depths > 0 at the n pixels of an image.
        target: `[..., n]`, true depths > 0.
        variance_focus: lambda, in [0, 1]: 0 is the mean squared log error, 1 its variance, which no common factor
            changes.

    Corners: 0 with gradient 0 at a perfect prediction. A depth of 0 costs inf, below 0 it is NaN. The denominator is n,
    so a mask on pixels is not a `where` (which speaks of images): leave out pixels before the call.

    Raises:
        ValueError: `variance_focus` is outside [0, 1].

    Source: Eigen et al. (2014), Depth map prediction from a single image using a multi-scale deep network, equation 4.

    >>> import jax.numpy as jnp
    >>> target = jnp.array([1.0, 2.0, 4.0])
    >>> print(f"{scale_invariant_log_error(3 * target, target, variance_focus=0.5):.4f}")
    0.6035
    """
    return numerics.second_moment(numerics.log_ratio(prediction, target), variance_focus)
