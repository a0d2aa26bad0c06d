"""The logistic function and its kin, right in both tails."""

import jax.numpy as jnp

from jaxloss.numerics.safe import largest_like
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


def _slope_of_sigmoid(x: Array) -> Array:
    return sigmoid(x) * sigmoid(-x)


@with_slopes(_slope_of_sigmoid)  # a derivative that cancels: sigma (1 - sigma) is 0 from x = 17 on
def sigmoid(x: Array) -> Array:
    r"""The logistic function.

    $$ \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad \sigma'(x) = \sigma(x)\,\sigma(-x) $$

    >>> import jax
    >>> print(f"{jax.grad(sigmoid)(20.0):.3e}")
    2.061e-09
    """
    tail = jnp.exp(-jnp.abs(x))
    return jnp.where(x < 0, tail, 1) / (1 + tail)


@with_slopes(sigmoid)  # a slope that JAX gets wrong: half a one at x = 0, NaN at inf
def softplus(x: Array) -> Array:
    r"""The smooth ramp, which is -log sigmoid(-x).

    $$ \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|}) $$

    Right in both tails and at -inf (0) and inf (inf). The gradient is `sigmoid(x)`.

    >>> print(f"{softplus(jnp.array(-20.0)):.3e} {softplus(jnp.array(1e4)):.0f}")
    2.061e-09 10000
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def _slope_of_log1mexp(x: Array) -> Array:
    return jnp.where(x == 0, largest_like(x), jnp.exp(-x) / jnp.where(x == 0, 1, -jnp.expm1(-x)))


@with_slopes(_slope_of_log1mexp)  # an infinite slope at 0, and a derivative that cancels where JAX subtracts from 1
def log1mexp(x: Array) -> Array:
    r"""The logarithm of 1 - exp(-x), for x >= 0 (Maechler 2012, equation 7).

    $$ \log(1 - e^{-x}) $$

    At 0 the value is -inf and the gradient the largest finite number.

    >>> print(f"{log1mexp(jnp.array(1e-9)):.3f} {log1mexp(jnp.array(50.0)):.3e}")
    -20.723 -1.929e-22
    """
    small = x < 0.6931472
    return jnp.where(small, jnp.log(-jnp.expm1(-x)), jnp.log1p(-jnp.exp(-jnp.where(small, 1, x))))


@with_slopes(lambda x: 4 * jnp.exp(-2 * jnp.abs(x)) / jnp.square(1 + jnp.exp(-2 * jnp.abs(x))))  # 1 - tanh^2 cancels
def tanh(x: Array) -> Array:
    r"""The hyperbolic tangent, whose slope 1 / cosh^2 does not vanish before its time."""
    return jnp.tanh(x)
