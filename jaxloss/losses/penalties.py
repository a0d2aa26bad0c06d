"""Penalties on the slope of a critic, by a gradient inside the loss. They are plain functions, not losses.

A critic maps one example to a number; it may close over its parameters, with respect to which the penalty is then
differentiated like any other function. Batches, masks and weights are those of a loss: an example that does not count
never reaches the critic. Each returns the mean over what counts, and leaves its coefficient to the caller.

What is random is drawn by the caller and passed as an array, one part to each example, so that a penalty is a pure
function of its arrays however the data are split.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.norms import safe_norm
from jaxloss.types import Array, Input

Critic: TypeAlias = Callable[[Array], Any]


def r1_penalty(critic: Critic, real: Input, *, where: Input = None, weights: Input = None) -> Array:
    r"""The mean of half the squared slope of a critic at real examples.

    $$ \tfrac12 \lVert \nabla C(x) \rVert^2 $$

    Args:
        critic: C, from one example to a number.
        real: `[n, ...]`, real examples, batch axis first.
        where: `[n]`, which examples count.
        weights: `[n]`, how much they count.

    Corners: 0 with gradient 0 where the slope is 0.

    Raises:
        ValueError: The critic does not return one number for one example.

    Source: Mescheder et al. (2018), Which training methods for GANs do actually converge?, its R1, without gamma.

    >>> import jax.numpy as jnp
    >>> print(r1_penalty(lambda x: jnp.sum(x**2), jnp.array([[1.0, 2.0], [0.0, 0.0]])))
    5.0
    """

    def term(example: Array) -> Array:
        return 0.5 * jnp.sum(jnp.square(_slope(critic, example, real)))

    return _mean(term, "r1_penalty", (real,), where, weights)


def r2_penalty(critic: Critic, fake: Input, *, where: Input = None, weights: Input = None) -> Array:
    r"""The mean of half the squared slope of a critic at fake examples.

    $$ \tfrac12 \lVert \nabla C(G(z)) \rVert^2 $$

    Args:
        critic: C, from one example to a number.
        fake: `[n, ...]`, generated examples, batch axis first.
        where: `[n]`, which examples count.
        weights: `[n]`, how much they count.

    Corners: 0 with gradient 0 where the slope is 0.

    Raises:
        ValueError: The critic does not return one number for one example.

    Source: Mescheder et al. (2018), Which training methods for GANs do actually converge?, its R2, without gamma.

    >>> import jax.numpy as jnp
    >>> print(r2_penalty(lambda x: jnp.sum(x**2), jnp.array([[1.0, 2.0], [0.0, 0.0]])))
    5.0
    """

    def term(example: Array) -> Array:
        return 0.5 * jnp.sum(jnp.square(_slope(critic, example, fake)))

    return _mean(term, "r2_penalty", (fake,), where, weights)


def wgan_gradient_penalty(
    critic: Critic, real: Input, fake: Input, interpolation: Input, *, where: Input = None, weights: Input = None
) -> Array:
    r"""The mean squared distance from 1 of the slope of a critic, between real and fake examples.

    $$ \left( \lVert \nabla C(\hat x) \rVert - 1 \right)^2, \qquad \hat x = \epsilon\,x + (1 - \epsilon)\,G(z) $$

    Args:
        critic: C, from one example to a number.
        real: x, `[n, ...]`, real examples, batch axis first.
        fake: G(z), generated examples, the shape of `real`.
        interpolation: epsilon, `[n]`, in [0, 1], drawn uniformly: `jax.random.uniform(key, n)`.
        where: `[n]`, which pairs count.
        weights: `[n]`, how much they count.

    Corners: at a slope of 0 the value is 1, and the gradient 0.

    Raises:
        ValueError: The critic does not return one number for one example, or the shapes do not agree.

    Source: Gulrajani et al. (2017), Improved training of Wasserstein GANs, equation 3, without lambda.

    >>> import jax, jax.numpy as jnp
    >>> real, fake = jnp.ones((4, 2)), jnp.zeros((4, 2))
    >>> interpolation = jax.random.uniform(jax.random.key(0), 4)
    >>> print(wgan_gradient_penalty(lambda x: 3.0 * x[0] + 4.0 * x[1], real, fake, interpolation))
    16.0
    """

    def term(one: Array, other: Array, share: Array) -> Array:
        slope = _slope(critic, share * one + (1 - share) * other, real)
        return jnp.square(safe_norm(jnp.ravel(slope)) - 1)

    return _mean(term, "wgan_gradient_penalty", (real, fake, interpolation), where, weights)


def dragan_penalty(
    critic: Critic, real: Input, noise: Input, *, target: float = 1.0, where: Input = None, weights: Input = None
) -> Array:
    r"""The mean squared distance from a target of the slope of a critic, around real examples.

    $$ \left( \lVert \nabla C(x + \delta) \rVert - k \right)^2 $$

    Args:
        critic: C, from one example to a number.
        real: x, `[n, ...]`, real examples, batch axis first.
        noise: delta, the shape of `real`: `scale * jax.random.normal(key, real.shape)`.
        target: k, the slope aimed at.
        where: `[n]`, which examples count.
        weights: `[n]`, how much they count.

    Corners: at a slope of 0 the value is k^2, and the gradient 0.

    Raises:
        ValueError: The critic does not return one number for one example, or the shapes do not agree.

    Source: Kodali et al. (2017), On convergence and stability of GANs, section 2.3, without lambda.

    >>> import jax.numpy as jnp
    >>> print(dragan_penalty(lambda x: 3.0 * x[0] + 4.0 * x[1], jnp.ones((4, 2)), jnp.zeros((4, 2)), target=2.0))
    9.0
    """

    def term(example: Array, perturbation: Array) -> Array:
        slope = _slope(critic, example + perturbation, real)
        return jnp.square(safe_norm(jnp.ravel(slope)) - target)

    return _mean(term, "dragan_penalty", (real, noise), where, weights)


def _slope(critic: Critic, example: Array, given: Input) -> Array:
    """The gradient of the critic at an example, which it sees in the dtype in which the examples were given."""

    def score(x: Array) -> Array:
        value = jnp.asarray(critic(x))
        if value.shape:
            raise ValueError(
                f"a critic must map one example, here of shape {x.shape}, to a number, got shape {value.shape}; "
                f"the batch axis is the penalty's, and an axis of length 1 is dropped with [0]."
            )
        return value

    dtype = jnp.result_type(given)
    floating = dtype if jnp.issubdtype(dtype, jnp.floating) else example.dtype
    return jax.grad(score)(example.astype(floating)).astype(example.dtype)


def _mean(term: Callable[..., Array], name: str, arrays: tuple[Input, ...], where: Input, weights: Input) -> Array:
    """The mean of a term of one example, as that of a loss."""
    term.__name__ = name
    cores = []
    for array in arrays:
        rank = jnp.ndim(array)
        if rank == 0:
            raise ValueError(f"{name} takes batches, with the batch axis first, got a number.")
        cores.append("(" + ",".join(f"d{axis}" for axis in range(rank - 1)) + ")")
    return custom_loss(term, signature=",".join(cores) + "->()")(*arrays, where=where, weights=weights)
