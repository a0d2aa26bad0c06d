"""The head of a language model side by side with its peers: time, temporaries, products of matrices, error.

python benchmarks/linear_head.py [rounds]; on a CPU it writes linear_head.md beside it.

All run in one process, in turns, so that a busy machine slows them alike; a ratio is the median over rounds of the
time against the dense form in the same round, and the dense form runs twice, so that its ratio to itself shows what a
ratio is worth. Temporaries are the compiler's count. On a CPU the goals are printed with what was reached. On a GPU the
shapes are larger and the goals are not stated: this column has not been run.
"""

import datetime as dt
import functools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxloss

try:
    import torch
except ImportError:
    torch = None

head = jaxloss.linear_softmax_cross_entropy
small = functools.partial(head, strategy="small")
Cost = Callable[..., jax.Array]
PAGE = Path(__file__).with_name("linear_head.md")
LINES: list[str] = []


def say(line: str) -> None:
    """Prints it, and keeps it for the page."""
    print(line)
    LINES.append(line)


# --------------------------------------------------------------------------------------------------------------- peers


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


# ------------------------------------------------------------------------------------------------------------ measuring


def products(function: Callable[..., Any], *arrays: Any) -> float:
    """Multiplications of all dots of a program, as often as its loops run."""

    def walk(jaxpr: Any, times: float) -> float:
        total = 0.0
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                (contracted, _), _ = equation.params["dimension_numbers"]
                depth = np.prod([equation.invars[0].aval.shape[axis] for axis in contracted])
                total += times * float(depth * np.prod(equation.outvars[0].aval.shape))
            inner = times * (equation.params["length"] if equation.primitive.name == "scan" else 1)
            for value in equation.params.values():
                for part in value if isinstance(value, tuple | list) else (value,):
                    part = getattr(part, "jaxpr", part)
                    total += walk(part, inner) if hasattr(part, "eqns") else 0.0
        return total

    return walk(jax.make_jaxpr(function)(*arrays).jaxpr, 1.0)


def gradient_of(cost: Cost) -> Callable[..., Any]:
    """Value and gradients in hidden and kernel."""
    return jax.value_and_grad(lambda hidden, kernel, labels: cost(hidden, labels, kernel), (0, 1))


def compiled(cost: Cost, *arrays: Any) -> Any:
    """The program of value and gradients."""
    return jax.jit(gradient_of(cost)).lower(*arrays).compile()


def mebibytes(program: Any) -> float:
    """What it holds beside inputs and outputs."""
    return program.memory_analysis().temp_size_in_bytes / 2**20


def example(n: int, d: int, v: int, dtype: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Hidden, kernel and labels, at random."""
    keys = jax.random.split(jax.random.key(0), 3)
    hidden, kernel = jax.random.normal(keys[0], (n, d)), jax.random.normal(keys[1], (d, v)) / np.sqrt(d)
    return hidden.astype(dtype), kernel.astype(dtype), jax.random.randint(keys[2], (n,), 0, v)


def error(got: Any, truth: Any) -> float:
    """The distance to the truth, relative to its length."""
    return float(np.linalg.norm(np.asarray(got, np.float64) - truth) / np.linalg.norm(truth))


def true_gradients(hidden: Any, kernel: Any, labels: Any) -> list[np.ndarray]:
    """In float64 from the arrays as they are, by NumPy, a few rows at a time."""
    x, w = np.asarray(hidden, np.float64), np.asarray(kernel, np.float64)
    y, slopes = np.asarray(labels), [np.zeros_like(x), np.zeros_like(w)]
    for start in range(0, len(x), 256):
        rows = slice(start, start + 256)
        logits = x[rows] @ w
        logits = np.exp(logits - logits.max(1, keepdims=True))
        logits /= logits.sum(1, keepdims=True)
        logits[np.arange(len(logits)), y[rows]] -= 1
        slopes[0][rows] = logits @ w.T / len(x)
        slopes[1] += x[rows].T @ logits / len(x)
    return slopes


def side_by_side(n: int, d: int, v: int, dtype: Any, rounds: int) -> dict[str, tuple[float, float]]:
    """Prints a table, and returns the ratio of times and the temporaries in MiB of each."""
    arrays = example(n, d, v, dtype)
    costs: dict[str, Cost] = {"dense": dense, "dense again": dense, "jaxloss": head, "jaxloss small": small}
    if n % 256 == 0:
        costs["checkpointed scan"] = checkpointed
    if v % 2048 == 0 and n % min(n, 1024) == 0:
        costs["tiles twice (tokamax)"] = tiles_twice
    programs = {name: compiled(cost, *arrays) for name, cost in costs.items()}
    calls: dict[str, Callable[[], Any]] = {
        name: functools.partial(lambda p: jax.block_until_ready(p(*arrays)), program)
        for name, program in programs.items()
    }
    calls |= torch_calls(arrays[0], arrays[2], arrays[1])
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 2):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if number >= 2:
                times[name].append(time.perf_counter() - began)
    truth = true_gradients(*arrays)
    say(f"\n{n} x {d} x {v} {jnp.dtype(dtype).name}, value and both gradients, {rounds} rounds")
    say(
        f"{'':<28}{'least ms':>10}{'ratio':>8}{'quartiles':>16}"
        f"{'MiB':>9}{'products':>10}{'error dx':>11}{'error dW':>11}"
    )
    found = {}
    for name in calls:
        ratios = [one / other for one, other in zip(times[name], times["dense"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        line = f"{name:<28}{min(times[name]) * 1e3:>10.1f}{middle:>8.3f}{f'{low:.2f} to {high:.2f}':>16}"
        if name in programs:
            memory = mebibytes(programs[name])
            dots = products(gradient_of(costs[name]), *arrays) / (n * d * v)
            slopes = programs[name](*arrays)[1]
            found[name] = middle, memory
            line += f"{memory:>9.1f}{dots:>10.2f}"
        else:
            in_x, in_w = calls[name]()
            slopes = in_x, in_w.T
            line += f"{'':>19}"
        say(line + "".join(f"{error(got, true):>11.1e}" for got, true in zip(slopes, truth, strict=True)))
    return found


def clipped_policy(softmax: Any, old_log_probability: Any, advantage: Any) -> Any:
    """PPO, by the probability of the token."""
    ratio = jnp.exp(-softmax.surprisal - old_log_probability)
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage)


def entropy_bonus(softmax: Any) -> Any:
    """Cross entropy less a share of the entropy."""
    return softmax.surprisal - 0.01 * softmax.entropy


def a_link(link: Callable[..., Any], extras: int, n: int, d: int, v: int, rounds: int) -> None:
    """A loss by `linear_softmax_loss`, and the same formula of log_softmax."""
    hidden, kernel, labels = example(n, d, v, jnp.float32)
    extra = [0.1 * jax.random.normal(jax.random.key(i), (n,)) - 11 * (i == 0) for i in range(extras)]

    def from_logits(hidden: Any, labels: Any, *extra: Any, kernel: Any) -> jax.Array:
        logs = jax.nn.log_softmax(hidden @ kernel)
        surprisal = -jnp.take_along_axis(logs, labels[:, None], 1)[:, 0]
        softmax = jaxloss.numerics.Softmax(surprisal, None, None, -jnp.sum(jnp.exp(logs) * logs, 1), None)
        return jnp.mean(link(softmax, *extra))

    loss = jaxloss.linear_softmax_loss(link)
    costs = {
        "log_softmax": from_logits,
        "log_softmax again": from_logits,
        "jaxloss": loss,
        "jaxloss small": functools.partial(loss, strategy="small"),
    }
    programs = {
        name: jax.jit(jax.value_and_grad(lambda h, k, c=cost: c(h, labels, *extra, kernel=k), (0, 1)))
        .lower(hidden, kernel)
        .compile()
        for name, cost in costs.items()
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            began = time.perf_counter()
            jax.block_until_ready(program(hidden, kernel))
            times[name].append(time.perf_counter() - began)
    say(f"\n{link.__name__} of a head, {n} x {d} x {v} float32, value and both gradients, {rounds} rounds")
    say(f"{'':<28}{'least ms':>10}{'ratio':>8}{'MiB':>9}")
    for name, program in programs.items():
        ratio = statistics.median(one / other for one, other in zip(times[name], times["log_softmax"], strict=True))
        say(f"{name:<28}{min(times[name]) * 1e3:>10.1f}{ratio:>8.3f}{mebibytes(program):>9.1f}")


def memory_alone(n: int, d: int, v: int, dtype: Any) -> None:
    """What the compiler counts for shapes that need not fit this machine."""
    shapes = (
        jax.ShapeDtypeStruct((n, d), dtype),
        jax.ShapeDtypeStruct((d, v), dtype),
        jax.ShapeDtypeStruct((n,), jnp.int32),
    )
    say(f"\n{n} x {d} x {v} {jnp.dtype(dtype).name}, temporaries in MiB, compiled and not run")
    fast = functools.partial(head, strategy="fast")
    rows = {
        "dense": dense,
        "jaxloss": head,
        "jaxloss fast": fast,
        "jaxloss small": small,
        "checkpointed scan": checkpointed,
    }
    for name, cost in rows.items():
        say(f"{name:<28}{mebibytes(compiled(cost, *shapes)):>9.0f}")


def judge(what: str, reached: float, goal: float) -> None:
    """Says whether a goal is met."""
    say(f"  {'met ' if reached <= goal else 'MISSED'} {what}: {reached:.3f}, at most {goal:.3f}")


def main() -> None:
    """Prints every table, and on a CPU the goals, and writes the page."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    say(
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, jaxloss {version('jaxloss')}, jax {jax.__version__}, optax "
        f"{version('optax')}, torch {getattr(torch, '__version__', 'none')}, on {jax.devices()[0].device_kind}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
    if jax.default_backend() != "cpu":
        for shape in ((8192, 4096, 128256), (2048, 4096, 151936)):
            side_by_side(*shape, jnp.bfloat16, rounds)
        return
    found = side_by_side(1024, 256, 32768, jnp.float32, rounds)
    memory = found["dense"][1]
    say("goals")
    judge("time of the default against dense", found["jaxloss"][0], 0.95)
    judge("its temporaries, MiB", found["jaxloss"][1], memory / 6)
    judge("time of small against dense", found["jaxloss small"][0], 1.05)
    judge("its temporaries, MiB", found["jaxloss small"][1], memory / 40)
    judge("time of small against the tiles twice", found["jaxloss small"][0], found["tiles twice (tokamax)"][0])
    judge("time of the default against the checkpointed scan", found["jaxloss"][0], found["checkpointed scan"][0])
    found = side_by_side(1024, 512, 32768, jnp.bfloat16, rounds)
    say("goals")
    judge("time of the default against dense", found["jaxloss"][0], 0.45)
    side_by_side(1000, 256, 50257, jnp.float32, max(rounds // 3, 3))
    memory_alone(8192, 4096, 128256, jnp.bfloat16)
    for link, extras in ((clipped_policy, 2), (entropy_bonus, 0)):
        a_link(link, extras, 1024, 256, 32768, rounds)
    PAGE.write_text("\n".join(["# The head of a language model beside its peers", "", "```", *LINES, "```", ""]))


if __name__ == "__main__":
    main()
