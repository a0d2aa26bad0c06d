"""Transport with an entropic penalty, by Sinkhorn's iterations."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.masses import present, with_masses
from jaxloss.numerics.pairs import some_at_a_time
from jaxloss.numerics.platform import tied
from jaxloss.numerics.remainders import expm1
from jaxloss.types import Array, Input, Positive

Cost = Callable[[Array, Array], Array]


def _squared_distance(u: Array, v: Array) -> Array:
    return jnp.sum(jnp.square(u - v), axis=-1)


def _cost_named(cost: Any, point: Array) -> tuple[Callable[..., Array], list[Array]]:
    """The cost of a point `[1, d]` to others, and the arrays that it closes over, if they are differentiated."""
    if isinstance(cost, str) and cost == "squared_euclidean":
        return _squared_distance, []
    if not callable(cost):
        raise ValueError(
            f"sinkhorn_divergence: cost must be 'squared_euclidean' or a function of two points, got {cost!r}."
        )
    of_two, learnt = jax.closure_convert(cost, point, point)
    return lambda u, v, *learnt: jax.vmap(lambda v: of_two(u[0], v, *learnt))(v), learnt


_PAIRS = 2**16  # whose costs are formed at once: of few points all, since a GPU launches each block in each iteration


def _rows(others: Array) -> int:
    """How many points meet all others at once."""
    return max(1, _PAIRS // max(1, others.shape[0]))


def _soft_minima(cost: Cost, x: Array, y: Array, mass: Array, potential: Array, epsilon: Array) -> Array:
    r"""For each x, the smallest cost to a y less its potential, softened.

    $$ -\epsilon \log \sum_j b_j\, e^{(g_j - C(x, y_j)) / \epsilon} $$
    """
    there = mass != 0

    def of_one(x: Array) -> Array:
        exponent = (potential - cost(x[None], y)) / epsilon
        largest = jax.lax.stop_gradient(jnp.max(jnp.where(there, exponent, -jnp.inf)))
        exponent = jnp.where(there, exponent - largest, 0)
        # The masses have the sum 1, without which the sum does not cancel where all exponents are near 0.
        near, far = jnp.sum(mass * expm1(exponent)), jnp.sum(mass * jnp.exp(exponent))
        is_near = near > -0.5
        log_sum = jnp.where(is_near, jnp.log1p(jnp.where(is_near, near, 0)), jnp.log(far))
        return -epsilon * (largest + log_sum)

    return some_at_a_time(of_one, x, block=_rows(y))


def _potentials(
    cost: Cost, iterations: int, p: Array, q: Array, a: Array, b: Array, epsilon: Array
) -> tuple[Array, ...]:
    """The potential of q in the transport from p, of p in that to itself, and of q in that to itself.

    Sinkhorn takes the potentials of both sides in turn. Where the sides are the same both have one potential, and the
    mean of the last two is nearer to it, by half each time; so the first half of the iterations takes means of both
    sides, that sets which are nearly the same are soon done. In the first quarter epsilon falls from the largest cost,
    since few iterations move a potential by much more than epsilon.
    """
    rows = some_at_a_time(lambda x: jnp.max(jnp.where(b > 0, cost(x[None], q), 0)), p, block=_rows(q))
    largest = jax.lax.stop_gradient(jnp.max(jnp.where(a > 0, rows, 0)))
    excess = jnp.log(jnp.maximum(1, largest / epsilon))

    def step(k: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        of_p, of_q, within_p, within_q = state
        k = jnp.asarray(k)  # under disable_jit it is a Python number
        # Tied to the step, since JAX forms what does not change in a loop before it: here the costs of all pairs.
        x, y = (tied(points, points + k.astype(points.dtype)) for points in (p, q))
        softness = epsilon * jnp.exp(excess * jnp.maximum(0, 1 - 4 / iterations * k.astype(excess.dtype)))
        in_turn = k >= iterations // 2

        def mean(old: Array, new: Array) -> Array:
            return jnp.where(in_turn, new, 0.5 * (old + new))

        next_p = mean(of_p, _soft_minima(cost, x, y, b, of_q, softness))
        next_q = mean(of_q, _soft_minima(cost, y, x, a, jnp.where(in_turn, next_p, of_p), softness))
        within_p = 0.5 * (within_p + _soft_minima(cost, x, x, a, within_p, softness))
        within_q = 0.5 * (within_q + _soft_minima(cost, y, y, b, within_q, softness))
        return next_p, next_q, within_p, within_q

    return jax.lax.fori_loop(0, iterations, step, (0 * a, 0 * b, 0 * a, 0 * b))[1:]


def _dual(cost: Cost, potentials: tuple[Array, ...], p: Array, q: Array, a: Array, b: Array, epsilon: Array) -> Array:
    """The divergence by its potentials, of which the other side of each transport follows exactly."""
    across, within_p, within_q = potentials
    of_p = _soft_minima(cost, p, q, b, across, epsilon)
    of_p -= 0.5 * (within_p + _soft_minima(cost, p, p, a, within_p, epsilon))
    of_q = across - 0.5 * (within_q + _soft_minima(cost, q, q, b, within_q, epsilon))
    return jnp.sum(a * of_p) + jnp.sum(b * of_q)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _divergence(iterations: int, cost: Callable[..., Array], learnt: list[Array], *of: Array) -> Array:
    known = _with(cost, learnt)
    return _dual(known, _potentials(known, iterations, *of), *of)


def _with(cost: Callable[..., Array], learnt: list[Array]) -> Cost:
    return lambda u, v: cost(u, v, *learnt)


@_divergence.defjvp
def _(iterations: int, cost: Callable[..., Array], primals: Any, tangents: Any) -> Any:
    # An implicit solve: at their best the potentials have no part in the slope (the envelope theorem). They are
    # differentiated, through all iterations, for a second derivative alone.
    learnt, *of = primals
    potentials = _potentials(_with(cost, learnt), iterations, *of)
    return jax.jvp(lambda learnt, *of: _dual(_with(cost, learnt), potentials, *of), primals, tangents)


@custom_loss(signature="(n,d),(m,d),(n),(m)->()", stand_in=0.5)
def sinkhorn_divergence(
    p: Input,
    q: Input,
    p_mass: Input = None,
    q_mass: Input = None,
    *,
    epsilon: Positive = 1.0,
    cost: Any = "squared_euclidean",
    iterations: int = 100,
) -> Array:
    r"""The cost of transport between two sets of points with an entropic penalty, less that of each to itself.

    $$ T(p, q) - \tfrac12 T(p, p) - \tfrac12 T(q, q), \qquad
       T(p, q) = \min_{P:\,P 1 = a,\,P^\top 1 = b} \sum_{ij} P_{ij} C_{ij} + \epsilon\, D(P \,\|\, a b^\top) $$

    Args:
        p: `[..., n, d]`, points.
        q: `[..., m, d]`, points.
        p_mass: `[..., n]`, a >= 0, the masses of the points of p, brought to the sum 1; None is the same for all.
        q_mass: `[..., m]`, b, those of q.
        epsilon: > 0, in units of the cost. Towards 0 it is the cost of transport itself.
        cost: "squared_euclidean", C = |x - y|^2, or a function C(u, v) of two points, each along the last axis. The
            arrays that it closes over may be learnt.
        iterations: Of Sinkhorn's, a whole number >= 1. Of two sets of 32 points, 100 leave an error of a last digit if
            epsilon is 3% of the largest cost, and of 1e-5 in the value and 1e-3 in the gradient if it is 1%. Sets of 3
            or 4 points may need ten times as many.

    Time grows as (n + m)^2 d for each iteration, memory as (n + m) d, with the gradient too, which by the envelope
    theorem needs no iteration again; a second derivative keeps them all. The axes of the points must not be sharded.

    Corners: 0 with gradient 0, to a few last digits of the largest cost, where the sets are the same. Before the
    iterations have converged it is too small, and may be negative. A point of mass 0 may hold anything. Where a set has
    no mass it is 0 with gradient 0; a mass below 0 gives NaN.

    Raises:
        ValueError: `epsilon` is not positive, `cost` is an unknown name, or `iterations` is no number >= 1.

    Source: Feydy et al. (2019), Interpolating between optimal transport and MMD using Sinkhorn divergences, equation 3.

    >>> import jax.numpy as jnp
    >>> p, q = jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 1.0]])
    >>> print(f"{sinkhorn_divergence(p, q):.5f} {sinkhorn_divergence(p, q, epsilon=0.1):.5f}")
    1.53878 1.50000
    """
    if not isinstance(iterations, int) or iterations < 1:
        raise ValueError(f"sinkhorn_divergence: iterations must be a whole number >= 1, got {iterations!r}.")
    if not (p.shape[0] and q.shape[0]):  # no points have no mass
        return jnp.zeros((), p.dtype)
    (p, a), (q, b) = with_masses(p, p_mass), with_masses(q, q_mass)
    there = present((p, p_mass), (q, q_mass))
    divergence = _divergence(
        iterations,
        *_cost_named(cost, jnp.zeros(p.shape[1:], p.dtype)),
        p,
        q,
        jnp.where(there, a, 1),
        jnp.where(there, b, 1),
        jnp.asarray(epsilon, p.dtype),
    )
    return jnp.where(there, divergence, 0)
