"""Robust: elementwise losses of the error e = prediction - target that outliers do not rule."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.safe import absolute, finite_slope, multiply_no_nan, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, Number, Positive

# The general robust loss in terms of x = e / c, b = |alpha - 2|, s = sign(alpha - 2), k = alpha / b, w = x^2 / b and
#     L = log(1 + w),    G = b L / 2, which tends to x^2 / 2 as b grows:
# (1 + w)^(alpha / 2) is exp(k G), (1 + w)^(alpha / 2 - 1) is exp(s G), and the loss is (exp(k G) - 1) / k.


class _Parts(NamedTuple):
    alpha: Array  # an infinite one becomes 1e30, where the limit is reached
    x: Array
    b: Array
    k: Array
    log_base: Array  # L
    growth: Array  # G; x^2 / 2 at alpha = 2
    upper: Array  # k G; 0 at alpha = 2
    lower: Array  # s G; 0 at alpha = 2


def _parts(error: Array, alpha: Array, scale: Array, *, of_value: bool = False) -> _Parts:
    alpha, largest = jnp.clip(alpha, -1e30, 1e30), float(jnp.finfo(error.dtype).max) / 8
    x, b = jnp.clip(ratio(error, scale), -largest, largest), jnp.abs(alpha - 2)
    eps = float(jnp.finfo(error.dtype).eps)  # met in two ways: a GPU writes to memory what a value and a slope share
    small = (b == 0) | (x * x < eps * b if of_value else jnp.abs(x) < eps**0.5 * jnp.sqrt(b))
    # By the logarithm of w, since w may overflow where its logarithm does not.
    log_w = 2 * jnp.log(jnp.abs(jnp.where(small, 1, x))) - jnp.log(jnp.where(b == 0, 1, b))
    log_base = jnp.where(small, ratio(x * x, b), softplus(log_w))
    growth = jnp.where(small, 0.5 * x * x, 0.5 * b * log_base)
    k = ratio(alpha, b)
    upper, lower = multiply_no_nan(k, growth), multiply_no_nan(jnp.sign(alpha - 2), growth)
    return _Parts(alpha, x, b, k, log_base, growth, upper, lower)


def _pull(error: Array, alpha: Array, scale: Array) -> tuple[Array, Array]:
    """Two factors of the slope in x, x (1 + w)^(alpha / 2 - 1), of which the second may underflow."""
    parts, one = _parts(error, alpha, scale), jnp.ones_like(error)
    damped = ratio(one, ratio(one, parts.x) + ratio(parts.x, parts.b))  # x / (1 + w)
    return jnp.where(parts.alpha > 1, parts.x, damped), jnp.exp(jnp.where(parts.alpha > 1, parts.lower, parts.upper))


def _bend(error: Array, alpha: Array, scale: Array) -> Array:
    """The second derivative over the slope, in units of the error: (1 + (alpha - 1) w) / (1 + w)."""
    parts = _parts(error, alpha, scale)
    return jnp.exp(-parts.log_base) - (parts.alpha - 1) * jnp.expm1(-parts.log_base)


def _second_derivative(error: Array, alpha: Array, scale: Array) -> Array:
    return jnp.exp(_parts(error, alpha, scale).lower) * _bend(error, alpha, scale) / jnp.square(scale)


def _mixed_with_alpha(error: Array, alpha: Array, scale: Array) -> Array:
    log_base = _parts(error, alpha, scale).log_base
    return 0.5 * _slope_in_error(error, alpha, scale) * (log_base + jnp.expm1(-log_base))


def _mixed_with_scale(error: Array, alpha: Array, scale: Array) -> Array:
    return -_slope_in_error(error, alpha, scale) * (1 + _bend(error, alpha, scale)) / scale


@with_slopes(_second_derivative, _mixed_with_alpha, _mixed_with_scale)  # a derivative that cancels, at alpha = 1
def _slope_in_error(error: Array, alpha: Array, scale: Array) -> Array:
    x, power = _pull(error, alpha, scale)
    return finite_slope(x / scale * power)


def _scale_and_alpha(error: Array, alpha: Array, scale: Array) -> Array:
    return -multiply_no_nan(_mixed_with_alpha(error, alpha, scale), _parts(error, alpha, scale).x)


def _second_in_scale(error: Array, alpha: Array, scale: Array) -> Array:
    return -_slope_in_scale(error, alpha, scale) * (2 + _bend(error, alpha, scale)) / scale


@with_slopes(_mixed_with_scale, _scale_and_alpha, _second_in_scale)  # a derivative that cancels, far from 0
def _slope_in_scale(error: Array, alpha: Array, scale: Array) -> Array:
    x, (damped, power) = _parts(error, alpha, scale).x, _pull(error, alpha, scale)
    return finite_slope(-jnp.where(alpha > 1, x * (damped * power), (x * damped) * power) / scale)


def _slope_in_alpha(error: Array, alpha: Array, scale: Array) -> Array:
    """L^2 / 2 times the integral of u exp(k G u) |exp(s G (1 - u)) - 1| for u from 0 to 1; 0 at alpha = 2.

    The closed form of the integral cancels where k G and G are small; there it is a sum over 8 points (Gauss).
    """
    parts = _parts(error, alpha, scale)
    q, d, log_base = parts.upper, parts.lower, parts.log_base
    near = jnp.abs(d) < 4
    points, weights = np.polynomial.legendre.leggauss(8)
    quadrature = jnp.zeros_like(q)
    for u, weight in zip((0.5 + 0.5 * points).tolist(), (0.5 * weights).tolist(), strict=True):
        quadrature += weight * u * jnp.exp(q * u) * jnp.where(near, jnp.expm1(d * (1 - u)), -1)
    of_base = ratio(log_base + jnp.expm1(-log_base), jnp.square(log_base))
    whole = jnp.exp(q) * (ratio(q - 1, q * q) - of_base) + ratio(jnp.ones_like(q), q * q)
    # For k G and L that are large and near each other: their difference is -s G.
    both = ratio(jnp.ones_like(q), q) + ratio(jnp.ones_like(q), log_base)
    close = jnp.exp(q) * ratio(d, q * log_base) * (1 - both) - ratio(jnp.ones_like(q), q * q)
    close += ratio(jnp.exp(d), jnp.square(log_base))
    inside = quadrature + jnp.where(near, 0, jnp.exp(q) * of_base)
    integral = jnp.where(jnp.abs(q) < 6, inside, jnp.where((q > 0) & near, close, whole))
    return finite_slope(0.5 * jnp.abs(integral) * jnp.square(log_base))


@with_slopes(_slope_in_error, _slope_in_alpha, _slope_in_scale)  # a derivative that overflows: that of the power
def _general_robust(error: Array, alpha: Array, scale: Array) -> Array:
    alpha, x, b, k, _, growth, upper, lower = _parts(error, alpha, scale, of_value=True)
    # Above 1 by the lower power, since near 2 the upper one and k are large.
    above = x * jnp.exp(lower) * ratio(x, alpha) + ratio(b, alpha) * jnp.expm1(lower)
    cost = jnp.where(alpha > 1, above, ratio(jnp.expm1(upper), k))
    cost = jnp.where(jnp.abs(upper) < float(jnp.finfo(error.dtype).eps), growth, cost)
    return jnp.where(jnp.isinf(error), jnp.where(alpha < 0, ratio(-jnp.ones_like(k), k), jnp.inf), cost)


@custom_loss(stand_in=0.5)
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
    return _general_robust(prediction - target, alpha, scale)


def _bounded(error: Array, scale: Array) -> Array:
    """The error over the scale, cut where its square would overflow."""
    largest = float(jnp.finfo(error.dtype).max) ** 0.48
    return jnp.clip(error / scale, -largest, largest)


@with_slopes(lambda x: jax.lax.rsqrt(1 + x * x) ** 3)  # a derivative that cancels: 1 - x^2 / (1 + x^2)
def _sine(x: Array) -> Array:
    return x * jax.lax.rsqrt(1 + x * x)


def _charbonnier_in_scale(error: Array, scale: Array) -> Array:
    return finite_slope(-_sine(_bounded(error, scale)) * (finite_slope(error / scale) / scale))


@with_slopes(  # a derivative that overflows: that of the square root
    lambda error, scale: _sine(_bounded(error, scale)) / scale,
    _charbonnier_in_scale,
)
def _charbonnier(error: Array, scale: Array) -> Array:
    # r - 1 = x^2 / (1 + r) with r = sqrt(1 + x^2), which is |x| where x is cut.
    x = _bounded(error, scale)
    return error / scale * (x / (1 + jnp.sqrt(1 + x * x)))


@custom_loss(stand_in=0.5)
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
    return _charbonnier(prediction - target, scale)


@custom_loss(stand_in=0.5)
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
    error = prediction - target
    x = jnp.clip(ratio(error, scale), -(2.0**30), 2.0**30)
    # Beyond, 2 log |e / c| less that of 2^30: the square may overflow where its logarithm does not.
    return jnp.log1p(0.5 * x * x) + 2 * (jnp.log(jnp.maximum(2.0**-30 * absolute(error), scale)) - jnp.log(scale))


def _falling(x: Array) -> Array:
    """4 / (x^2 + 4)."""
    return jnp.square(2 * jax.lax.rsqrt(x * x + 4))


def _geman_mcclure_curvature(error: Array, scale: Array) -> Array:
    x = _bounded(error, scale)
    return jnp.square(_falling(x) / scale) * (1 - x * (x * _falling(x)))


def _geman_mcclure_mixed(error: Array, scale: Array) -> Array:
    x = _bounded(error, scale)
    return -_geman_mcclure_in_error(error, scale) * (2 - x * (x * _falling(x))) / scale


@with_slopes(_geman_mcclure_curvature, _geman_mcclure_mixed)  # a derivative that overflows: that of x^2 + 4
def _geman_mcclure_in_error(error: Array, scale: Array) -> Array:
    x = _bounded(error, scale)
    return _falling(x) * (x / scale) * _falling(x)


def _geman_mcclure_in_scale(error: Array, scale: Array) -> Array:
    x = _bounded(error, scale)
    return -(_falling(x) * (x / scale)) * (_falling(x) * x)


@with_slopes(_geman_mcclure_in_error, _geman_mcclure_in_scale)  # a derivative that cancels: 1 - x^2 / (x^2 + 4)
def _geman_mcclure(error: Array, scale: Array) -> Array:
    square = jnp.square(_bounded(error, scale))
    return 2 * square / (square + 4)


@custom_loss(stand_in=0.5)
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
    return _geman_mcclure(prediction - target, scale)


def _root_of_decay(x: Array) -> Array:
    """The root of exp(-x^2 / 2), which may underflow where the slope does not."""
    return jnp.exp(-0.25 * x * x)


def _welsch_in_error(error: Array, scale: Array) -> Array:
    x = _bounded(error, scale)
    return _root_of_decay(x) * (x / scale) * _root_of_decay(x)


def _welsch_in_scale(error: Array, scale: Array) -> Array:
    x = _bounded(error, scale)
    return -(_root_of_decay(x) * (x / scale)) * (_root_of_decay(x) * x)


@with_slopes(_welsch_in_error, _welsch_in_scale)  # a derivative that cancels: JAX takes that of expm1 as 1 + expm1
def _welsch(error: Array, scale: Array) -> Array:
    return -jnp.expm1(-0.5 * jnp.square(_bounded(error, scale)))


@custom_loss(stand_in=0.5)
def welsch(prediction: Input, target: Input, *, scale: Positive = 1.0) -> Array:
    r"""A cost that tends to 1 as fast as a Gaussian falls: outliers are ignored (correntropy, Leclerc).

    $$ 1 - \exp\left(-\tfrac12 (e / c)^2\right), \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: c, the size of error from which on it counts as an outlier, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction. It is 1, with gradient 0, at an error of inf.

    Raises:
        ValueError: `scale` is not > 0.

    Source: Dennis and Welsch (1978), Techniques for nonlinear least squares and robust regression; Barron (2019),
    equation 8 at alpha = -inf.

    >>> print(f"{welsch(2.0, 0.0):.4f}")
    0.8647
    """
    return _welsch(prediction - target, scale)


def _share(error: Array, scale: Array) -> Array:
    """(e / c)^2, at most 1."""
    return jnp.square(jnp.clip(error / scale, -1, 1))


def _biweight_in_scale(error: Array, scale: Array) -> Array:
    z = _share(error, scale)
    return scale * z * z * (1 - 2 / 3 * z)


# A derivative that cancels: (1 - z)^2 as 1 - 2 z + z^2.
@with_slopes(lambda e, c: jnp.clip(e, -c, c) * jnp.square(1 - _share(e, c)), _biweight_in_scale)
def _tukey_biweight(error: Array, scale: Array) -> Array:
    # c^2 / 6 (1 - (1 - z)^3) = e^2 / 6 (3 - z (3 - z)), where nothing cancels.
    bounded, z = jnp.minimum(jnp.abs(error), scale), _share(error, scale)
    return bounded * (bounded * (0.5 - z * (0.5 - z / 6)))


@custom_loss(stand_in=0.5)
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
    return _tukey_biweight(prediction - target, scale)


@custom_loss(stand_in=0.5)
def wing(prediction: Input, target: Input, *, width: Positive = 10.0, curvature: Positive = 2.0) -> Array:
    r"""A logarithm for small errors, which pulls the more the smaller they are, and the absolute error for large ones.

    $$ \begin{cases} w \log(1 + |e| / \epsilon) & |e| < w \\ |e| - w + w \log(1 + w / \epsilon) & |e| \ge w \end{cases},
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        width: w, where the logarithm ends, in units of the target, > 0.
        curvature: epsilon, the error around which the logarithm bends, in units of the target, > 0.

    Corners: 0 at a perfect prediction, with subgradient 0, where the slope is w / epsilon on either side.

    Raises:
        ValueError: An option is not > 0.

    Source: Feng et al. (2018), Wing loss for robust facial landmark localisation, equation 5.

    >>> print(f"{wing(2.0, 0.0):.4f} {wing(12.0, 0.0):.4f}")
    6.9315 19.9176
    """
    size = absolute(prediction - target)
    inside = jnp.minimum(size, width)
    return width * jnp.log1p(ratio(inside, curvature)) + (size - inside)
