"""What is left of the gamma function after Stirling's formula, and of a logarithm after its linear part.

Of log z! the terms of size z log z belong to other terms of a likelihood, with which they cancel (Loader 2000, Fast and
accurate computation of binomial probabilities). They are taken out on paper; what is left here is small and positive.
The coefficients are those of Chebyshev expansions, from 40 digits.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import log1p, multiply_no_nan, reused, safe_log
from jaxloss.types import Array

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

# Of 12 z times the Stirling error, and of -12 z^2 times its slope, in 1 / z from 0 to 1.
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
_STIRLING_SLOPE = (
    0.97038059401321304,
    -0.037777610886593094,
    -0.0070664158471727533,
    0.001093550503297991,
    -2.5206177145115064e-5,
    -2.1576584756905141e-5,
    5.1294107073080624e-6,
    -4.2323396237773292e-7,
    -1.0249856530553951e-7,
    4.9314334052172926e-8,
    -9.9809424241224041e-9,
    4.9978514310217963e-10,
    4.4459355153454188e-10,
    -2.001367095348646e-10,
    4.6918202398894586e-11,
    -4.0754120806760036e-12,
    -2.0249530565701434e-12,
    1.2436500514850456e-12,
    -3.9192112763566351e-13,
    7.0711773037344277e-14,
    3.2428913771752028e-15,
    -8.6922516584673417e-15,
    4.1282694665370538e-15,
    -1.2398357959039302e-15,
    2.1027034360483861e-16,
    2.5728146070735957e-17,
    -3.9011465550640381e-17,
)
# Of log z! over z, and of the digamma function of z + 1, in z from 0 to 1.
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
_DIGAMMA = (
    -0.019028540417608961,
    0.49141539302938713,
    -0.05681574782124473,
    0.0083578212259143131,
    -0.0013332328579943426,
    0.00022031328706930825,
    -3.7040238178456884e-5,
    6.2837936548549899e-6,
    -1.071263908506185e-6,
    1.8312839465484166e-7,
    -3.135350936180851e-8,
    5.3728087762007766e-9,
    -9.2116814159784276e-10,
    1.5798126521481823e-10,
    -2.7098646132380443e-11,
    4.6487228599096835e-12,
    -7.975272563830369e-13,
    1.3682723857476992e-13,
    -2.3475156060658973e-14,
    4.0276307155603541e-15,
    -6.9102518531179038e-16,
    1.185604713886335e-16,
)


@jax.custom_jvp
@jax.jit
def stirling_error(z: Array) -> Array:
    r"""What Stirling's formula lacks of the logarithm of a factorial, for z > 0.

    $$ \delta(z) = \log z! - \left( z + \tfrac12 \right) \log z + z - \tfrac12 \log 2\pi
       = \frac{1}{12 z} - \frac{1}{360 z^3} + \dots $$

    It falls from inf at 0, where the gradient is -inf, to 0 at inf.

    >>> print(f"{stirling_error(jnp.array(1.0)):.7f} {stirling_error(jnp.array(1e9)):.3e}")
    0.0810615 8.333e-11
    """
    small, inside, reciprocal = _split(z)
    log = reused(safe_log(inside))
    near = inside * (1 + log_factorial_ratio(inside)) - multiply_no_nan(inside, log) - HALF_LOG_2PI - 0.5 * log
    return jnp.where(small, near, _series_of_error(reciprocal))


@stirling_error.defjvp
@jax.jit
def _(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    return stirling_error(z), dz * stirling_slope(z)


def stirling_slope(z: Array) -> Array:
    """The slope of the Stirling error, about -1 / (12 z^2)."""
    small, inside, reciprocal = _split(z)
    near = digamma_of_successor(inside) - jnp.log(inside) - 0.5 / inside
    return jnp.where(small, near, _series_of_slope(reciprocal) * reciprocal)


def scaled_stirling_slope(z: Array) -> Array:
    """The slope of the Stirling error times z, which is -1/2 at 0."""
    small, inside, reciprocal = _split(z)
    zero = inside == 0
    log = jnp.log(jnp.where(zero, 1, inside))
    near = inside * (digamma_of_successor(inside) - log) - 0.5
    return jnp.where(small, near, _series_of_slope(reciprocal))


def stirling_error_from_one(z: Array) -> Array:
    """The Stirling error for z from 1 on, where it is one series."""
    return _series_of_error(reused(1 / z))


def stirling_slope_from_one(z: Array) -> Array:
    """Its slope."""
    reciprocal = reused(1 / z)
    return _series_of_slope(reciprocal) * reciprocal


def _series_of_error(reciprocal: Array) -> Array:
    return chebyshev(_STIRLING, 2 * reciprocal - 1) * reciprocal / 12


def _series_of_slope(reciprocal: Array) -> Array:
    """Of the slope times z."""
    return chebyshev(_STIRLING_SLOPE, 2 * reciprocal - 1) * reciprocal / -12


def _split(z: Array) -> tuple[Array, Array, Array]:
    """Whether z is below 1, z up to there and 1 / z from there on. No bound is where a slope is taken."""
    return z < 1, jnp.minimum(z, 1.125), reused(1 / jnp.maximum(z, 0.875))


def log_factorial_ratio(z: Array) -> Array:
    """The logarithm of z! over z, for z in [0, 1]; minus Euler's constant at 0."""
    return chebyshev(_LOG_FACTORIAL, 2 * z - 1)


def digamma_of_successor(z: Array) -> Array:
    """The digamma function of z + 1, the slope of log z!, for z in [0, 1]."""
    return chebyshev(_DIGAMMA, 2 * z - 1)


def chebyshev(coefficients: Sequence[float], x: Array) -> Array:
    """A Chebyshev series on [-1, 1], of as many terms as the format can tell (Clenshaw)."""
    tolerance = float(jnp.finfo(x.dtype).eps) / 16
    last = max(order for order, c in enumerate(coefficients) if abs(c) > tolerance)
    one, two = jnp.zeros_like(x), jnp.zeros_like(x)
    for coefficient in reversed(coefficients[1 : last + 1]):
        one, two = coefficient + 2 * x * one - two, one
    return coefficients[0] + x * one - two


def log1p_shortfall(u: Array) -> Array:
    """How much the logarithm of 1 + u is short of u, over u; about u / 2."""
    near, half, far = _near_and_far(u)
    return jnp.where(near, half * _shrink(half), 1 - log1p(far) / far)


def log1p_lag(u: Array) -> Array:
    """How much the logarithm of 1 + u exceeds its lower bound u / (1 + u), for u >= 0; about u^2 / 2."""
    near, half, far = _near_and_far(u)
    inside = jnp.minimum(u, 1.125)
    return jnp.where(near, inside * (inside / (1 + inside) - half * _shrink(half)), log1p(far) - far / (1 + far))


def _near_and_far(u: Array) -> tuple[Array, Array, Array]:
    """For u >= -1/2."""
    inside = jnp.minimum(u, 1.125)
    return u <= 1, reused(inside / (2 + inside)), jnp.maximum(u, 0.875)


def divergence(excess: Array, half: Array, x: Array, log_ratio: Array) -> Array:
    """The relative entropy x log(x / m) + m - x of two numbers.

    It takes m - x, that over m + x, x, and log(x / m); the last two count only where x and m are apart by a factor of
    2, since elsewhere the terms cancel down to the square of their difference.
    """
    near = jnp.abs(half) <= 1 / 3
    return jnp.where(near, excess * (half * _shrink(jnp.clip(half, -0.375, 0.375))), excess + x * log_ratio)


def _shrink(half: Array) -> Array:
    """The divergence over (m - x) half. It is near 1, and follows from log(m / x) = 2 atanh(half)."""
    square, series = jnp.square(half), jnp.zeros_like(half)
    for order in range(2 * (jnp.finfo(half.dtype).nmant // 3) + 3, 1, -2):
        series = series * square + 1 / order
    return 1 - (1 - half) * half * series
