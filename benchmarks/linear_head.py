"""The head of a language model side by side with its peers: time, temporaries, products of matrices, error.

python benchmarks/linear_head.py [rounds]; on a CPU it writes linear_head.md beside it.

All run in one process, in turns, so that a busy machine slows them alike; a ratio is the median over rounds of the
time against the dense form in the same round, and the dense form runs twice, so that its ratio to itself shows what a
ratio is worth. Temporaries are the compiler's count. On a CPU the goals are printed with what was reached, and after
them what linear_head_chips.py counted of programs compiled for a TPU and an H100. On a GPU the shapes are larger and
the goals are not stated: this column has not been run.
"""

import datetime as dt
import functools
import json
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
from linear_head_peers import checkpointed, dense, tiles_twice, torch, torch_calls

import jaxloss
from jaxloss.numerics.head.plan import CHIPS

head = jaxloss.linear_softmax_cross_entropy
small = functools.partial(head, strategy="small")
Cost = Callable[..., jax.Array]
PAGE = Path(__file__).with_name("linear_head.md")
COUNTED = Path(__file__).with_name("linear_head_chips.json")
CPUINFO = Path("/proc/cpuinfo")
AMX = CPUINFO.exists() and "amx_bf16" in CPUINFO.read_text()
LINES: list[str] = []
ABOUT = """# The head of a language model beside its peers

## On a CPU, run

What is saved is memory: the default keeps a seventh of what the dense form keeps in float32 and a fifth in bfloat16,
`small` a fiftieth. The time hangs on the processor. On the one below both take about 0.85 of the dense form's in
float32 and 0.7 in bfloat16. On one whose products are slower the default took as long as the dense form in float32, and
`small`, with its fourth product, half more; one with matrix units (AMX) took 0.3 of the dense form's in bfloat16. A
ratio is worth what `dense again` says.

```
{cpu}
```

## On a TPU v5e and an H100, compiled for them and not run

MiB moved to and from memory and MiB kept beside arguments and results, as the compiled programs say, the bodies of
loops as often as they run; products of N x D x V; the time of both at the peak of the chip, their sum, and its ratio
to that of the dense form, whose logits are in float32.

- A value on a TPU is a part of the product: an eighth of the bytes, no memory, a fifth less time. On an H100 it saves
  memory alone: 0.14 GiB in place of 4, for the bytes and the time of the dense form.
- `fast` saves nothing on a TPU, where XLA makes the dense form as well. On an H100 it moves 0.7 of the bytes and keeps
  three quarters.
- `slope` halves bytes and memory on a TPU, for a fifth more time, as it takes four products. It is of no use on an
  H100, which writes the logits twice.
- `small` keeps less than 200 MiB for any vocabulary, for a third more time on a TPU and half more on an H100.

```
{chips}
```
"""


def say(line: str) -> None:
    """Prints it, and keeps it for the page."""
    print(line)
    LINES.append(line)


# ------------------------------------------------------------------------------------------------------------ measuring


def products(function: Callable[..., Any], *arrays: Any, branch: int = 0) -> float:
    """Multiplications of all dots of a program, as often as its loops run; `branch`: on a CPU, a TPU or a GPU."""

    def walk(jaxpr: Any, times: float) -> float:
        total = 0.0
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                (contracted, _), _ = equation.params["dimension_numbers"]
                depth = np.prod([equation.invars[0].aval.shape[axis] for axis in contracted])
                total += times * float(depth * np.prod(equation.outvars[0].aval.shape))
            inner = times * (equation.params["length"] if equation.primitive.name == "scan" else 1)
            if equation.primitive.name == "cond":  # of what depends on the platform
                branches = equation.params["branches"]
                total += walk(branches[min(branch, len(branches) - 1)].jaxpr, inner)
                continue
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


def side_by_side(
    n: int, d: int, v: int, dtype: Any, rounds: int, by_torch: bool = False
) -> dict[str, tuple[float, float]]:
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
    if by_torch:
        calls |= torch_calls(arrays[0], arrays[2], arrays[1])
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if number:
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


def on_chips() -> list[str]:
    """Tables of what was counted: bytes, what is kept, and the time of bytes and of products at the peak of a chip."""
    stored, lines = json.loads(COUNTED.read_text()), []
    rows, depth = stored["shape"]["rows"], stored["shape"]["depth"]
    for chip, name, peak in (("tpu", "TPU v5e", CHIPS["tpu"]), ("h100", "H100", CHIPS["gpu"])):
        for classes in sorted({each["classes"] for each in stored["programs"]}):
            lines += ["", f"{name}, {rows} x {depth} x {classes} {stored['shape']['dtype']}"]
            lines += [
                f"{'':<30}{'moved':>8}{'kept':>8}{'products':>10}{'bytes ms':>10}{'flops ms':>10}"
                f"{'sum':>8}{'of dense':>10}"
            ]
            dense_ms = {}
            for each in stored["programs"]:
                if (each["chip"], each["classes"]) != (chip, classes):
                    continue
                by_bytes = 1e3 * each["moved"] / peak.bandwidth
                by_flops = 1e3 * each["products"] * 2 * rows * depth * classes / peak.flops
                total = by_bytes + by_flops
                of_dense = total / dense_ms.setdefault(each["what"], total)
                lines.append(
                    f"{each['what'] + ', ' + each['form']:<30}{each['moved'] / 2**20:>8.0f}{each['kept'] / 2**20:>8.1f}"
                    f"{each['products']:>10.2f}{by_bytes:>10.1f}{by_flops:>10.1f}{total:>8.1f}{of_dense:>10.2f}"
                )
    return lines


def main() -> None:
    """Prints every table, and on a CPU the goals, and writes the page."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    say(
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, jaxloss {version('jaxloss')}, jax {jax.__version__}, optax "
        f"{version('optax')}, torch {getattr(torch, '__version__', 'none')}, on {jax.devices()[0].device_kind}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {'with' if AMX else 'without'} AMX"
    )
    if jax.default_backend() != "cpu":
        for shape in ((8192, 4096, 128256), (2048, 4096, 151936)):
            side_by_side(*shape, jnp.bfloat16, rounds)
        return
    found = side_by_side(1024, 256, 32768, jnp.float32, rounds, by_torch=True)
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
    judge("time of the default against dense", found["jaxloss"][0], 0.45 if AMX else 1.05)
    side_by_side(1000, 256, 50257, jnp.float32, max(rounds // 3, 3))
    memory_alone(8192, 4096, 128256, jnp.bfloat16)
    for link, extras in ((clipped_policy, 2), (entropy_bonus, 0)):
        a_link(link, extras, 1024, 256, 32768, rounds)
    PAGE.write_text(ABOUT.format(cpu="\n".join(LINES), chips="\n".join(on_chips())))


if __name__ == "__main__":
    main()
