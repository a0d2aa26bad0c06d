"""Time warping: the cost of walking along two series together.

A path steps in one series, in the other or in both, from both starts to both ends. The cells (i, j) that i + j has in
common, a diagonal, need only the two diagonals before: a sweep goes from one to the next, and keeps its state relative
to the smallest of it, where digits are fine.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.lattice import add_offset, alike, compacted, shifted
from jaxloss.numerics.norms import named_distance
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array, Input, NonNegative


@custom_loss(signature="(n,d),(m,d),(n),(m)->()", stand_in=0.0)
def soft_dtw(
    prediction: Input,
    target: Input,
    prediction_mask: Input = None,
    target_mask: Input = None,
    *,
    gamma: NonNegative = 1.0,
    distance: Any = "squared_euclidean",
    debiased: bool = False,
    bandwidth: NonNegative = None,
) -> Array:
    r"""The soft minimum over all warping paths of the sum of distances along the path.

    $$ -\gamma \log \sum_A e^{-\langle A, C \rangle / \gamma}, \qquad C_{ij} = d(x_i, y_j) $$

    A path A goes from (1, 1) to (n, m) by steps of one in i, in j, or in both.

    Args:
        prediction: `[..., n, d]`, x, the points of a series.
        target: `[..., m, d]`, y, those of the other. The axes of the points must not be sharded.
        prediction_mask: `[..., n]`, True for the points of the series, all by default. It may have holes.
        target_mask: `[..., m]`, that of the target.
        gamma: >= 0, the temperature, in units of the distance; 0 is dynamic time warping.
        distance: "squared_euclidean", "euclidean", "cosine", or a function of two points, `[d]` each.
        debiased: Whether half of the loss of each series with itself is taken off. It is then 0 for equal series.
        bandwidth: >= 0. Paths stay where |i/n - j/m| is at most this, each counted from 0 to 1 along its series; None
            is everywhere. The last cell is always in.

    Negative values are right: with all distances 0 it is minus gamma times the logarithm of the number of paths. Memory
    is that of one diagonal, and with a gradient of all (n + m - 1) of them, n numbers each.

    Corners: distances of 0 have gradient 0. Where a bandwidth leaves no path it is inf, with gradient 0. With every
    point of one series deleted it is 0 with gradient 0, and counts in the mean;
    `where=prediction_mask.any(-1) & target_mask.any(-1)` leaves such a pair out.

    Raises:
        ValueError: `distance` is an unknown name, or `gamma` or `bandwidth` is below 0.

    Source: Cuturi and Blondel (2017), Soft-DTW: a differentiable loss function for time-series, equation 1; debiased:
    Blondel et al. (2021), Differentiable divergences between time series, equation 8.

    >>> import jax.numpy as jnp
    >>> x, y = jnp.array([[0.0], [1.0], [3.0]]), jnp.array([[0.0], [2.0]])
    >>> print(*(f"{soft_dtw(x, y, gamma=gamma):.6f}" for gamma in (1.0, 0.1, 0.0)))
    1.130248 1.930683 2.000000
    >>> print(f"{soft_dtw(x, y, debiased=True):.6f}")
    1.445678
    """
    apart = distance if callable(distance) else named_distance("soft_dtw", distance, ", or a function")
    (x, n), (y, m) = compacted(prediction, prediction_mask), compacted(target, target_mask)
    gamma = jnp.asarray(gamma, x.dtype)
    cost = _cost(x, y, gamma, n, m, bandwidth, apart)
    if debiased:
        cost -= (_cost(x, x, gamma, n, n, bandwidth, apart) + _cost(y, y, gamma, m, m, bandwidth, apart)) / 2
    return jnp.where((n > 0) & (m > 0), cost, 0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(6,))  # a sweep that makes its gradient on the way
def _cost(x: Array, y: Array, gamma: Array, n: Array, m: Array, bandwidth: Any, apart: Any) -> Array:
    return _sweeps(x, y, gamma, n, m, bandwidth, apart, sloped=False)[0]


@_cost.defjvp
def _(apart: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, y, gamma, n, m, bandwidth = primals
    cost, slopes = _sweeps(x, y, gamma, n, m, bandwidth, apart, sloped=True)
    changes = [jnp.sum(slope * change) for slope, change in zip(slopes, tangents, strict=False)]
    return cost, sum(changes[1:], start=changes[0])


def _soft_min(gamma: Array, *costs: Array) -> tuple[Array, list[Array]]:
    """The soft minimum of costs, inf among them, and its slopes in them: their shares."""
    least = jax.lax.stop_gradient(functools.reduce(jnp.minimum, costs))
    finite = jnp.where(least == jnp.inf, 0, least)
    soft = jnp.where(gamma > 0, gamma, 1)
    weights = [jnp.exp(-jnp.where(gamma > 0, (c - finite) / soft, jnp.where(c > finite, jnp.inf, 0))) for c in costs]
    total = functools.reduce(jnp.add, weights)
    some = jnp.where(total == 0, 1, total)
    return jnp.where(least == jnp.inf, jnp.inf, finite - gamma * jnp.log(some)), [w / some for w in weights]


def _sweeps(
    x: Array, y: Array, gamma: Array, n: Array, m: Array, bandwidth: Any, apart: Any, *, sloped: bool
) -> tuple[Array, Any]:
    """The loss, and its slopes in x, y and gamma. Entry i of diagonal d is the cell (i, d - i)."""
    rows, columns = x.shape[0], y.shape[0]
    distances = jax.vmap(apart)
    diagonals = jax.lax.iota(jnp.int32, rows + columns - 1)
    i = jax.lax.iota(jnp.int32, rows)
    reversed_y = jnp.pad(y[::-1], ((rows - 1, rows - 1), (0, 0)), mode="edge")  # its slices lie along diagonals
    zero, nothing = (alike(jnp.full_like(x, number, shape=rows), x) for number in (0, jnp.inf))

    def along(d: Array, reversed_y: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(reversed_y, rows + columns - 2 - d, rows)

    def inside(d: Array) -> Array:
        j = d - i
        cells = (j >= 0) & (j < columns)
        if bandwidth is None:
            return cells
        skew = jnp.abs(i * (m - 1) - j * (n - 1)).astype(x.dtype)
        return cells & ((skew <= bandwidth * ((n - 1) * (m - 1)).astype(x.dtype)) | is_end(d))

    def is_end(d: Array) -> Array:
        return (i == n - 1) & (d == n + m - 2)

    def before(d: Array, last: Array, second_last: Array) -> tuple[Array, Array, Array]:
        """What a path has cost in the cells before: up, left and both."""
        start = jnp.where((i == 0) & (d == 0), 0, jnp.inf)
        up, both = (shifted(diagonal, 1, -1, jnp.inf) for diagonal in (last, second_last))
        return up, last, jnp.minimum(both, start)

    def forward(carry: Any, d: Array) -> Any:
        last, second_last, total, cost = carry
        reached, _ = _soft_min(gamma, *before(d, last, second_last))
        reached = jnp.where(inside(d), reached + distances(x, along(d, reversed_y)), jnp.inf)
        least = jax.lax.stop_gradient(jnp.min(reached))
        offset = jnp.where(least == jnp.inf, 0, least)
        cost += jnp.sum(jnp.where(is_end(d), total[0] + reached, 0))
        carry = reached - offset, last - offset, add_offset(total, offset), cost
        return carry, (last, offset) if sloped else None

    none = zero[0]
    (*_, cost), kept = jax.lax.scan(forward, (nothing, nothing, (none, none), none), diagonals)
    if not sloped:
        return cost, None
    lasts, offsets = kept

    def backward(carry: Any, inputs: Any) -> Any:
        passed, passed_before, (dx, dy, dgamma) = carry  # how often paths pass the cells of a diagonal
        d, last = inputs
        passed = jnp.where(is_end(d) & (cost < jnp.inf), 1, passed)
        by_x, by_y = jax.vjp(distances, x, along(d, reversed_y))[1](passed)
        dy = jax.lax.dynamic_update_slice_in_dim(dy, along(d, dy) + by_y, rows + columns - 2 - d, 0)
        earlier = jnp.maximum(d - 1, 0)
        second_last = jnp.where(d > 0, jax.lax.dynamic_index_in_dim(lasts, earlier, keepdims=False), jnp.inf)
        second_last = second_last - jax.lax.dynamic_index_in_dim(offsets, earlier, keepdims=False)
        _, (up, left, both) = _soft_min(gamma, *before(d, last, second_last))
        entropy = sum(-multiply_no_nan(w, jnp.log(jnp.where(w == 0, 1, w))) for w in (up, left, both))
        slopes = dx + by_x, dy, dgamma - jnp.sum(passed * entropy)
        by_up, by_both = (shifted(passed * share, -1, 1, 0.0) for share in (up, both))
        return (passed_before + passed * left + by_up, by_both, slopes), None

    carry = zero, zero, (*(alike(jnp.zeros_like(z), x) for z in (x, reversed_y)), none)
    (_, _, (dx, dy, dgamma)), _ = jax.lax.scan(backward, carry, (diagonals, lasts), reverse=True)
    return cost, (dx, dy[rows - 1 : rows - 1 + columns][::-1], dgamma)
