"""What a type checker must accept and refuse. Checked by mypy and basedpyright, not run.

Each refused line carries an ignore, and an ignore that is not needed is an error: so every line is tested.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss


@jaxloss.custom_loss
def log_squared(prediction: jax.Array, target: jax.Array, *, scale: float = 1.0) -> jax.Array:
    return jnp.log1p(jnp.square((prediction - target) / scale))


@jaxloss.custom_loss(signature="(d),(d)->()")
def squared_distance(u: jax.Array, v: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(u - v))


@jaxloss.linear_softmax_loss
def reinforce(softmax: jaxloss.numerics.Softmax, advantage: jax.Array, *, bonus: float = 0.0) -> jax.Array:
    value: jax.Array = advantage * softmax.surprisal - bonus * softmax.entropy
    return value


def accepted(prediction: jax.Array, target: np.ndarray, mask: jax.Array, labels: jax.Array) -> jax.Array:
    value: jax.Array = jaxloss.huber(prediction, target, delta=1.0)
    value += jaxloss.huber(prediction, target, where=mask, weights=prediction, delta=2)
    value += jaxloss.huber(0.5, 1.0, weights=2.0)
    value += jaxloss.softmax_cross_entropy_with_integer_labels(prediction, labels, mask, label_smoothing=0.1)
    value += jaxloss.triplet(prediction, target, target, distance=jaxloss.numerics.cosine_distance)
    value += jaxloss.reduce(jaxloss.huber, "sum", axis=-1)(prediction, target, delta=0.5)
    value += jaxloss.reduce(jaxloss.squared_error, lambda tally: jnp.sqrt(tally.mean))(prediction, target)
    steep = functools.partial(jaxloss.huber, delta=0.5)
    value += jaxloss.reduce(steep, "sum")(prediction, prediction)
    value += log_squared(prediction, prediction, scale=2.0)
    value += log_squared(prediction, prediction, where=mask)
    value += squared_distance(prediction, prediction, weights=target)
    value += reinforce(prediction, labels, target, kernel=prediction, bonus=0.1, where=mask)
    tally: jaxloss.Tally = jaxloss.huber.tally(prediction, target, where=mask) + jaxloss.huber.tally(prediction, target)
    value += jaxloss.huber.finish(sum([tally, tally], start=tally))
    return value + jaxloss.catalogue["huber"](prediction, target)


def refused(prediction: jax.Array, target: jax.Array) -> None:
    jaxloss.huber(prediction, target, detla=1.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    jaxloss.huber(prediction)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    log_squared(prediction, target, skale=1.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    jaxloss.reduce(jaxloss.huber, "sum")(prediction, target, detla=1.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    jaxloss.linear_softmax_loss(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    jaxloss.reduce(jaxloss.huber, "average")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
