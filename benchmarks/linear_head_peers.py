"""The peers of the head of a language model: what else takes the cross entropy of hidden states and a kernel."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

try:
    import torch
except ImportError:
    torch = None


def dense(hidden: Any, labels: Any, kernel: Any) -> jax.Array:
    """All logits, by optax."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(hidden @ kernel, labels))


def checkpointed(hidden: Any, labels: Any, kernel: Any, rows: int = 256) -> jax.Array:
    """A scan over some rows at a time, each forgotten and taken again for the gradient, as most trainers have it."""

    @jax.checkpoint
    def part(total: jax.Array, some: Any) -> tuple[jax.Array, None]:
        logits = jnp.matmul(some[0], kernel, preferred_element_type=jnp.float32)
        return total + jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, some[1])), None

    parts = hidden.reshape(-1, rows, hidden.shape[-1]), labels.reshape(-1, rows)
    return jax.lax.scan(part, jnp.zeros((), jnp.float32), parts)[0] / len(labels)


def tiles_twice(hidden: Any, labels: Any, kernel: Any, rows: int = 1024, columns: int = 2048) -> jax.Array:
    """What tokamax's chunked form does: tiles of rows by columns, a running log-partition, and all of it once more.

    Written from its description; right where `columns` divides the vocabulary, and used on no other shapes.
    """
    rows = min(rows, len(labels))
    n, (d, v) = len(labels), kernel.shape

    def tile(x: Any, w: Any, i: Any, j: Any) -> Any:
        some = jax.lax.dynamic_slice_in_dim(x, i * rows, rows)
        part = jax.lax.dynamic_slice_in_dim(w, j * columns, columns, 1)
        return some, part, jnp.matmul(some, part, preferred_element_type=jnp.float32)

    def log_partition(x: Any, w: Any, i: Any) -> Any:
        def step(j: Any, state: Any) -> Any:
            largest, total, label = state
            logits = tile(x, w, i, j)[2]
            mine = jax.lax.dynamic_slice_in_dim(labels, i * rows, rows) - j * columns
            is_label = jnp.arange(columns)[None, :] == mine[:, None]
            new = jnp.maximum(largest, jnp.max(logits, 1))
            total = total * jnp.exp(largest - new) + jnp.sum(jnp.exp(logits - new[:, None]), 1)
            return new, total, label + jnp.sum(jnp.where(is_label, logits, 0), 1)

        start = jnp.full(rows, -jnp.inf), jnp.zeros(rows), jnp.zeros(rows)
        largest, total, label = jax.lax.fori_loop(0, v // columns, step, start)
        return largest + jnp.log(total), label

    def forward(x: Any, w: Any) -> Any:
        parts, chosen = jax.lax.map(lambda i: log_partition(x, w, i), jnp.arange(n // rows))
        return jnp.mean(parts - chosen), parts

    @jax.custom_vjp
    def cost(x: Any, w: Any) -> Any:
        return forward(x, w)[0]

    def saving(x: Any, w: Any) -> Any:
        value, parts = forward(x, w)
        return value, (x, w, parts)

    def backward(saved: Any, cotangent: Any) -> Any:
        x, w, parts = saved

        def step(k: Any, slopes: Any) -> Any:
            i, j = k // (v // columns), k % (v // columns)
            some, part, logits = tile(x, w, i, j)
            mine = jax.lax.dynamic_slice_in_dim(labels, i * rows, rows) - j * columns
            is_label = jnp.arange(columns)[None, :] == mine[:, None]
            slope = (jnp.exp(logits - parts[i][:, None]) - is_label) * (cotangent / n)
            slope = slope.astype(x.dtype)
            in_x = jnp.matmul(slope, part.T, preferred_element_type=jnp.float32)
            in_w = jnp.matmul(some.T, slope, preferred_element_type=jnp.float32)
            dx = jax.lax.dynamic_slice_in_dim(slopes[0], i * rows, rows) + in_x
            dw = jax.lax.dynamic_slice_in_dim(slopes[1], j * columns, columns, 1) + in_w
            return (
                jax.lax.dynamic_update_slice_in_dim(slopes[0], dx, i * rows, 0),
                jax.lax.dynamic_update_slice_in_dim(slopes[1], dw, j * columns, 1),
            )

        start = jnp.zeros((n, d)), jnp.zeros((d, v))
        dx, dw = jax.lax.fori_loop(0, (n // rows) * (v // columns), step, start)
        return dx.astype(x.dtype), dw.astype(w.dtype)

    cost.defvjp(saving, backward)
    return cost(hidden, kernel)


def torch_calls(hidden: Any, labels: Any, kernel: Any) -> dict[str, Callable[[], Any]]:
    """Value and gradient by torch on this CPU: from logits, and by its own fused function where it has one."""
    if torch is None or jax.default_backend() != "cpu":
        return {}
    kind = torch.bfloat16 if hidden.dtype == jnp.bfloat16 else torch.float32
    x, w = (torch.tensor(np.asarray(a, np.float32)).to(kind).requires_grad_() for a in (hidden, kernel.T))
    y = torch.tensor(np.asarray(labels, np.int64))
    functional = torch.nn.functional
    costs = {"torch from logits": lambda: functional.cross_entropy((x @ w.T).float(), y)}
    if hasattr(functional, "linear_cross_entropy"):
        # Without options it forms all logits.
        some = torch.nn.LinearCrossEntropyOptions()
        costs["torch linear_cross_entropy"] = lambda: functional.linear_cross_entropy(x, w, y, options=some)
    return {
        name: lambda c=c: [g.float().numpy() for g in torch.autograd.grad(c(), (x, w))] for name, c in costs.items()
    }
