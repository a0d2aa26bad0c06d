"""Robust: elementwise losses of the error e = prediction - target that outliers do not rule."""

from jaxloss import numerics
from jaxloss.core.loss import custom_loss
from jaxloss.numerics import of_error
from jaxloss.types import Array, Input, Number, Positive


@custom_loss
def general_robust(prediction: Input, target: Input, *, alpha: Number = 1.0, scale: Positive = 1.0) -> Array:
    r"""A family of losses from the squared error to ones that ignore outliers, with one number to choose by.

    $$ \frac{|\alpha - 2|}{\alpha} \left[ \left( \frac{(e / c)^2}{|\alpha - 2|} + 1 \right)^{\alpha / 2} - 1 \right],
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        alpha: The shape, any number, -inf included: 2 is half the squared error, 1 `charbonnier`, 0 `cauchy`,
            -2 `geman_mcclure`, -inf `welsch`. It may be learned, with the partition function of the paper added.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. At alpha = 2, 0 and -inf it is the limit there, also for a
    traced alpha. The slope in alpha, which is infinite at 2, is 0 there.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Barron (2019), A general and adaptive robust loss function, equation 8.

    >>> print(f"{general_robust(3.0, 0.0, alpha=1.0):.4f} {general_robust(3.0, 0.0, alpha=-float('inf')):.4f}")
    2.1623 0.9889
    """
    error, lost = numerics.difference(prediction, target)
    return numerics.robust_cost(error, lost, alpha, scale)


@custom_loss
def charbonnier(prediction: Input, target: Input, *, scale: Positive = 1.0) -> Array:
    r"""A smooth absolute error, in units of the scale: half its square near 0, a line away from it.

    $$ \sqrt{(e / c)^2 + 1} - 1, \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. It is `general_robust` at alpha = 1.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Charbonnier et al. (1994), Two deterministic half-quadratic regularization algorithms; Barron (2019),
    equation 8 at alpha = 1.

    >>> print(f"{charbonnier(3.0, 0.0, scale=4.0):.4f}")
    0.2500
    """
    return of_error(numerics.hyperbolic_well)(prediction, target, scale)


@custom_loss
def cauchy(prediction: Input, target: Input, *, scale: Positive = 1.0) -> Array:
    r"""The negative log-likelihood of a Cauchy (Lorentz) error, up to constants: it grows like a logarithm.

    $$ \log\left(\tfrac12 (e / c)^2 + 1\right), \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. It is `general_robust` at alpha = 0.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Black and Anandan (1996), The robust estimation of multiple motions, its Lorentzian; Barron (2019), equation
    8 at alpha = 0.

    >>> print(f"{cauchy(2.0, 0.0):.4f}")
    1.0986
    """
    return of_error(numerics.logarithmic_well)(prediction, target, scale)


@custom_loss
def geman_mcclure(prediction: Input, target: Input, *, scale: Positive = 1.0) -> Array:
    r"""A cost that tends to 2: from a few scales on an outlier has hardly any pull.

    $$ \frac{2 (e / c)^2}{(e / c)^2 + 4}, \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. It is 2, with gradient 0, at an error of inf.
    It is `general_robust` at alpha = -2.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Geman and McClure (1985), Bayesian image analysis; Barron (2019), equation 8 at alpha = -2.

    >>> print(f"{geman_mcclure(2.0, 0.0):.4f}")
    1.0000
    """
    return of_error(numerics.rational_well)(prediction, target, scale)


@custom_loss
def welsch(prediction: Input, target: Input, *, scale: Positive = 1.0) -> Array:
    r"""A cost that tends to 1 as fast as a Gaussian falls: outliers are ignored (correntropy, Leclerc).

    $$ 1 - \exp\left(-\tfrac12 (e / c)^2\right), \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. It is 1, with gradient 0, at an error of inf.
    It is `general_robust` at alpha = -inf.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Dennis and Welsch (1978), Techniques for nonlinear least squares and robust regression; Barron (2019),
    equation 8 at alpha = -inf.

    >>> print(f"{welsch(2.0, 0.0):.4f}")
    0.8647
    """
    error, lost = numerics.difference(prediction, target)
    return numerics.gaussian_well(error, lost, scale)


@custom_loss
def tukey_biweight(prediction: Input, target: Input, *, scale: Positive = 4.685) -> Array:
    r"""A cost that is constant beyond the scale: an outlier has no pull at all.

    $$ \frac{c^2}{6} \begin{cases} 1 - \left[ 1 - (e / c)^2 \right]^3 & |e| \le c \\ 1 & |e| > c \end{cases},
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. From an error of c on it is c^2 / 6, with gradient 0.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Beaton and Tukey (1974), The fitting of power series, meaning polynomials, its biweight.

    >>> print(f"{tukey_biweight(2.0, 0.0, scale=4.0):.4f}")
    1.5417
    """
    return numerics.biweight(prediction, target, scale)


@custom_loss
def wing(prediction: Input, target: Input, *, width: Positive = 10.0, curvature: Positive = 2.0) -> Array:
    r"""A logarithm for small errors, which pulls the more the smaller they are, and the absolute error for large ones.

    $$ \begin{cases} w \log(1 + |e| / \epsilon) & |e| < w \\ |e| - w + w \log(1 + w / \epsilon) & |e| \ge w \end{cases},
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        width: w, where the logarithm ends, in units of the target, > 0.
        curvature: epsilon, what bends the logarithm, in units of the target, > 0.

    Corners: 0 at a perfect prediction, with subgradient 0, where the slope is w / epsilon on either side.

    Raises:
        ValueError: An option is not > 0.

    Source: Feng et al. (2018), Wing loss for robust facial landmark localisation, equation 5.

    >>> print(f"{wing(2.0, 0.0):.4f} {wing(12.0, 0.0):.4f}")
    6.9315 19.9176
    """
    return numerics.logarithmic_hinge(prediction, target, width, curvature)
