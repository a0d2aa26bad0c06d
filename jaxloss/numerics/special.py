"""The Stirling remainder of the gamma function, log z! for small z, e^x - 1 - x, and products with an exponential.

The terms of log z! of size z log z cancel with other terms of a likelihood (Loader 2000, Fast and accurate computation
of binomial probabilities). They are cancelled on paper; the remainder is small and positive. The coefficients are
those of Chebyshev series, computed with 40 digits.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.safe import finite_slope, xlogy
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

# Of 12 z times the Stirling remainder, in 1 / z from 0 to 1.
_STIRLING = (
    0.98926939945650958,
    -0.01390321720074398,
    -0.0029047606379323805,
    0.00027715778166319863,
    3.3751845967705029e-6,
    -5.1263788430156094e-6,
    8.1045551877609065e-7,
    -2.0090660291139866e-8,
    -2.2858587820439213e-8,
    6.7392988782800605e-9,
    -8.9974581183391943e-10,
    -5.8352363705146999e-11,
    6.867454145721834e-11,
    -2.0669898156202661e-11,
    3.2556663271598514e-12,
    1.5418711229805848e-13,
    -3.0116352139165306e-13,
    1.1569854722518206e-13,
    -2.6294274760739291e-14,
    2.0532399878354857e-15,
    1.3896885212347032e-15,
    -8.6241579551431113e-16,
    2.9298220839573568e-16,
    -6.2294796848224395e-17,
)
# Of log z! over z, in z from 0 to 1.
_LOG_FACTORIAL = (
    -0.26473623693230252,
    0.28587285859139468,
    -0.023514576332157502,
    0.002685079974656731,
    -0.00034975527157275606,
    4.8807553200032359e-5,
    -7.0983587904858038e-6,
    1.0607466166814589e-6,
    -1.6155933858435658e-7,
    2.4955218012272826e-8,
    -3.8966973451197876e-9,
    6.1373526583083775e-10,
    -9.7349661106493962e-11,
    1.5533015630980044e-11,
    -2.4909467297324569e-12,
    4.0120228240690907e-13,
    -6.4865760147854984e-14,
    1.0522714222232994e-14,
    -1.7121447861626471e-15,
    2.7933134227060938e-16,
    -4.5682681291581217e-17,
)


def _slope_of_product(series: Sequence[float]) -> tuple[float, ...]:
    """The series of d/dz (z f(z)) from that of f, both in 2 z - 1."""
    chebyshev = np.polynomial.chebyshev  # which NumPy imports when it is asked for
    slope = chebyshev.chebadd(series, chebyshev.chebmul((1, 1), chebyshev.chebder(series)))
    return tuple(map(float, slope))


def stirling_remainder(z: Array, log_z: Array | None = None) -> Array:
    r"""The difference of log z! and Stirling's formula, for z > 0.

    $$ \delta(z) = \log z! - \left( z + \tfrac12 \right) \log z + z - \tfrac12 \log 2\pi
       = \frac{1}{12 z} - \frac{1}{360 z^3} + \dots $$

    Below 1 it follows from that of z + 1. There log z is read from the second argument, for a z too small for the
    format.

    >>> print(f"{stirling_remainder(jnp.array(1.0)):.7f} {stirling_remainder(jnp.array(1e9)):.3e}")
    0.0810615 8.333e-11
    """
    small = z < 1
    reciprocal = 1 / jnp.where(small, z + 1, z)
    remainder = _sum(_STIRLING, 2 * reciprocal - 1) * reciprocal / 12
    log_z = jnp.log(z) if log_z is None else log_z
    step = (z + 0.5) * softplus(jnp.where(small, -log_z, 0)) - 1  # (z + 1/2) log(1 + 1/z) - 1
    return jnp.where(small, remainder + step, remainder)


def scaled_stirling_slope(z: Array) -> Array:
    """The slope of the Stirling remainder times z, about -1 / (12 z) for large z and -1/2 at 0."""
    small = z < 1
    reciprocal = 1 / jnp.where(small, z + 1, z)
    slope = _sum(_slope_of_product(_STIRLING), 2 * reciprocal - 1) * reciprocal / -12
    inside = jnp.where(small, z, 0)
    step = inside * jnp.log1p(inside) - xlogy(inside, inside) - (inside + 0.5) * reciprocal
    return jnp.where(small, inside * reciprocal * slope + step, slope)


def log_factorial_ratio(z: Array) -> Array:
    """The logarithm of z! over z, for z in [0, 1]; minus Euler's constant at 0."""
    return _sum(_LOG_FACTORIAL, 2 * z - 1)


def digamma_of_successor(z: Array) -> Array:
    """The digamma function of z + 1, the slope of log z!, for z in [0, 1]."""
    return _sum(_slope_of_product(_LOG_FACTORIAL), 2 * z - 1)


def _sum(coefficients: Sequence[float], x: Array) -> Array:
    """A Chebyshev series on [-1, 1], with as many terms as the format can tell, as a polynomial (Horner)."""
    tolerance = float(jnp.finfo(x.dtype).eps) / 16
    last = max(order for order, c in enumerate(coefficients) if abs(c) > tolerance)
    total = jnp.zeros_like(x)
    for coefficient in reversed(np.polynomial.chebyshev.cheb2poly(coefficients[: last + 1]).tolist()):
        total = coefficient + x * total
    return total


def _product_in_exponent(x: Array, exponent: Array) -> Array:
    return finite_slope(times_exp(x, exponent))


@with_slopes(lambda _, exponent: finite_slope(jnp.exp(exponent)), _product_in_exponent)  # an infinite slope times 0
def times_exp(x: Array, exponent: Array) -> Array:
    """The product x e^y, by two factors e^(y / 2), since e^y may leave the format where the product does not."""
    root = finite_slope(jnp.exp(0.5 * exponent))
    return (x * root) * root


def _square_in_log_variance(error: Array, log_variance: Array) -> Array:
    return -finite_slope(half_scaled_square(error, log_variance))


# An infinite slope times 0.
@with_slopes(lambda error, log_variance: finite_slope(times_exp(error, -log_variance)), _square_in_log_variance)
def half_scaled_square(error: Array, log_variance: Array) -> Array:
    """Half the square of an error in standard deviations, e^2 exp(-s) / 2."""
    standard = times_exp(error, -0.5 * log_variance)
    return (0.5 * standard) * standard
