"""Generative: the error of what a network says of noisy data. Times, noise and solvers are the caller's."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.safe import finite_slope, multiply_no_nan, safe_square
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.types import Array, Input, Positive


@with_slopes(lambda x: finite_slope(jnp.exp(x)))  # an infinite slope times 0
def _exp(x: Array) -> Array:
    return jnp.exp(x)


def _target(predicts: str, data: Array, noise: Array, log_snr: Array) -> Array:
    if predicts == "noise":
        return noise
    if predicts == "data":
        return data
    if predicts == "velocity":
        return noise - data
    alpha, sigma = jnp.exp(-0.5 * softplus(-log_snr)), jnp.exp(-0.5 * softplus(log_snr))
    return alpha * noise - sigma * data


def _errors(predicts: str, log_snr: Array) -> tuple[Array, Array]:
    """The squared errors of the noise and of the data that a squared error of 1 in what is predicted stands for."""
    if predicts == "noise":
        return jnp.ones_like(log_snr), _exp(-log_snr)
    if predicts == "data":
        return _exp(log_snr), jnp.ones_like(log_snr)
    if predicts == "v":
        return sigmoid(log_snr), sigmoid(-log_snr)
    return jnp.square(sigmoid(0.5 * log_snr)), jnp.square(sigmoid(-0.5 * log_snr))


@custom_loss(signature="(d),(d),(d),()->(d)", stand_in=0.5)
def diffusion(
    prediction: Input,
    data: Input,
    noise: Input,
    log_snr: Input,
    *,
    predicts: str = "noise",
    weighting: str | Callable[[Array], Array] | None = None,
    gamma: Positive = 5.0,
    sigma_data: Positive = 0.5,
) -> Array:
    r"""The squared error of a denoiser, weighted by the noise level.

    $$ w(\lambda)\, (\hat\epsilon - \epsilon)^2, \qquad z = \alpha x + \sigma \epsilon, \qquad
       \lambda = \log \frac{\alpha^2}{\sigma^2} $$

    Here the noise error of the formula is that of any prediction: it is 1, SNR, alpha^2 or alpha^2 times the squared
    error of the noise, of the data, of v and of the velocity. So a weighting means the same for each. It is a factor,
    and no `weights`, in which a constant would cancel.

    Args:
        prediction: `[..., d]`, what the network says, an example flattened to d numbers. Each has a value.
        data: x, `[..., d]`.
        noise: epsilon, `[..., d]`.
        log_snr: lambda, `[...]`, the logarithm of the signal-to-noise ratio, -inf (no signal) and inf included.
        predicts: "noise", "data", "v" (alpha noise - sigma data, for alpha^2 + sigma^2 = 1), or "velocity" (noise -
            data, for alpha + sigma = 1).
        weighting: w by name, or a function of lambda: "noise" 1, "data" 1 / SNR, "v" 1 + 1 / SNR, "min_snr"
            min(1, gamma / SNR), "truncated_snr" max(1, 1 / SNR), "edm" 1 + 1 / (SNR sigma_data^2). None is the plain
            squared error of what is predicted.
        gamma: Of "min_snr", > 0.
        sigma_data: The standard deviation of the data, for "edm", > 0.

    Corners: without a signal and without noise the weights are their limits; where that is infinite an error costs inf
    and none costs 0.

    Raises:
        ValueError: An option is out of range, or `predicts` or `weighting` is an unknown name.

    Source: Ho et al. (2020), Denoising diffusion probabilistic models, equation 14; v: Salimans and Ho (2022),
    Progressive distillation, section 4; min_snr: Hang et al. (2023), section 3.4; edm: Karras et al. (2022), table 1;
    all as one: Kingma and Gao (2023), Understanding diffusion objectives as the ELBO, section 3.

    >>> import jax.numpy as jnp
    >>> prediction, data, noise, log_snr = jnp.array([-0.7]), jnp.array([0.5]), jnp.array([-1.0]), jnp.log(4.0)
    >>> plain = diffusion(prediction, data, noise, log_snr)
    >>> weighted = diffusion(prediction, data, noise, log_snr, weighting="min_snr", gamma=2.0)
    >>> print(f"{plain:.3f} {weighted:.3f}")
    0.090 0.045
    """
    if predicts not in ("noise", "data", "v", "velocity"):
        raise ValueError(f"diffusion: predicts must be noise, data, v or velocity, got {predicts!r}.")
    error = safe_square(prediction - _target(predicts, data, noise, log_snr))
    if weighting is None:
        return error
    of_noise, of_data = _errors(predicts, log_snr)
    if callable(weighting):
        return multiply_no_nan(error, weighting(log_snr) * of_noise)
    weightings = {
        "noise": lambda: of_noise,
        "data": lambda: of_data,
        "v": lambda: of_noise + of_data,
        "min_snr": lambda: jnp.minimum(of_noise, gamma * finite_slope(of_data)),
        "truncated_snr": lambda: jnp.maximum(of_noise, of_data),
        "edm": lambda: of_noise + of_data / jnp.square(sigma_data),
    }
    if weighting not in weightings:
        known = ", ".join(weightings)
        raise ValueError(f"diffusion: weighting must be None, {known}, or a function of log_snr, got {weighting!r}.")
    return multiply_no_nan(error, weightings[weighting]())


@custom_loss(stand_in=0.5)
def flow_matching(velocity: Input, start: Input, end: Input) -> Array:
    r"""The squared error of a velocity along the straight path from one sample to another.

    $$ \left[ v(z_t, t) - (x_1 - x_0) \right]^2, \qquad z_t = (1 - t)\, x_0 + t\, x_1 $$

    Args:
        velocity: v, what the network says at z_t, any shape.
        start: x at t = 0, the shape of `velocity`: noise for Lipman et al., data for Stable Diffusion 3 and Flux.
        end: x at t = 1, the shape of `velocity`.

    Corners: 0 with gradient 0 at the right velocity.

    Source: Lipman et al. (2023), Flow matching for generative modeling, equation 23 at sigma_min = 0; Liu et al.
    (2023), Flow straight and fast, equation 1.

    >>> print(f"{flow_matching(1.0, -1.0, 0.5):.2f}")
    0.25
    """
    return safe_square(velocity - (end - start))


@custom_loss(signature="(d),(d),()->(d)", stand_in=0.5)
def denoising_score_matching(score: Input, noise: Input, sigma: Input) -> Array:
    r"""The squared error of a score, weighted by the variance of the noise.

    $$ \sigma^2 \left( s(z) - \nabla \log p(z \mid x) \right)^2 = (\sigma s(z) + \epsilon)^2, \qquad
       z = x + \sigma \epsilon $$

    Args:
        score: s(z), `[..., d]`, what the network says. Each number has a value.
        noise: epsilon, `[..., d]`, of unit variance.
        sigma: `[...]`, the standard deviation of the noise, >= 0.

    Corners: at sigma = 0 it is the squared noise, with gradient 0 in the score.

    Source: Song and Ermon (2019), Generative modeling by estimating gradients of the data distribution, equations 5 and
    6 without the half; Vincent (2011), A connection between score matching and denoising autoencoders.

    >>> import jax.numpy as jnp
    >>> print(f"{denoising_score_matching(jnp.array([0.8]), jnp.array([-1.0]), 0.5):.2f}")
    0.36
    """
    return safe_square(sigma * score + noise)
