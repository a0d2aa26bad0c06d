"""What a program waits for: the import, the first step traced and compiled, and each call outside of `jit`.

python benchmarks/start.py [--rounds 5] [--only NAME ...] [--output DIRECTORY]

Writes start.md. An import runs in a process of its own, of modules compiled to bytecode, as an installer leaves them;
its ratio is to what `import jax, jax.numpy` takes beyond a bare Python. The step is that of a network of two layers,
batch 128, gradient and update by Adam; it is traced, lowered for the CPU and compiled in a fresh process for each
number, ours and optax's in turns. An eager call is that of the mean, with what it needs compiled before.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from pairs import PAIRS, Sizes, data, jax_cost
from protocol import HERE, Spread, circumstances, spread, take_turns
from tqdm import tqdm

import jaxloss

SIZES = Sizes(128 * 64, 64)
WITH_OPTAX = [name for name, pair in PAIRS.items() if pair.optax]


def _import(*modules: str) -> Callable[[], Any]:
    code = f"import {', '.join(modules)}" if modules else "pass"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def _imports(rounds: int) -> dict[str, Spread]:
    base = ("jax", "jax.numpy")
    runs = {"python": _import(), "jax": _import(*base)}
    runs |= {name: _import(*base, name) for name in ("jaxloss", "optax")}
    times = take_turns(runs, rounds)

    def beyond_python(name: str) -> list[float]:
        return [a - b for a, b in zip(times[name], times["python"], strict=True)]

    return {name: spread(beyond_python(name), beyond_python("jax")) for name in ("jaxloss", "optax")}


# ------------------------------------------------------------------------------------------------------ the first step


def _cost(name: str, whose: str) -> tuple[Callable[..., jax.Array], tuple[jax.Array, ...]]:
    pair = PAIRS[name]
    arrays = tuple(jnp.asarray(x) for x in data(SIZES, pair.kind))
    return jax_cost(pair.ours, loss=jaxloss.catalogue[name]) if whose == "ours" else jax_cost(pair.optax), arrays


def compile_a_step(name: str, whose: str) -> float:
    """Seconds to trace, lower and compile the step of a network of two layers with this loss."""
    cost, (first, *rest) = _cost(name, whose)
    optimiser, width = optax.adam(1e-3), SIZES.classes
    params = [{"kernel": jnp.zeros((width, width)), "bias": jnp.zeros(width)} for _ in range(2)]
    state = optimiser.init(params)

    def step(params: Any, state: Any, inputs: jax.Array, *rest: jax.Array) -> Any:
        def of_params(params: Any) -> jax.Array:
            hidden = jax.nn.relu(inputs @ params[0]["kernel"] + params[0]["bias"])
            return cost((hidden @ params[1]["kernel"] + params[1]["bias"]).reshape(first.shape), *rest)

        value, gradient = jax.value_and_grad(of_params)(params)
        updates, after = optimiser.update(gradient, state)
        return value, optax.apply_updates(params, updates), after

    inputs = jnp.zeros((SIZES.rows, width))
    start = time.perf_counter()
    jax.jit(step).lower(params, state, inputs, *rest).compile()
    return time.perf_counter() - start


def _in_a_fresh_process(name: str, whose: str) -> float:
    command = [sys.executable, __file__, "--step", name, whose]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _steps(name: str, rounds: int) -> tuple[float, Spread]:
    """Seconds of ours, and the ratios to optax's."""
    seconds = [(_in_a_fresh_process(name, "ours"), _in_a_fresh_process(name, "optax")) for _ in range(rounds)]
    ours, theirs = (list(column) for column in zip(*seconds, strict=True))
    return statistics.median(ours), spread(ours, theirs)


# --------------------------------------------------------------------------------------------------------- eager calls


def _eager(name: str) -> tuple[float, Spread]:
    """Seconds of one of our calls, and the ratios to optax's."""

    def run(whose: str) -> Callable[[], Any]:
        cost, arrays = _cost(name, whose)
        return lambda: [jax.block_until_ready(cost(*arrays)) for _ in range(20)]

    times = take_turns({"ours": run("ours"), "optax": run("optax")}, 15)
    return statistics.median(times["ours"]) / 20, spread(times["ours"], times["optax"])


def main() -> None:
    """Measures, prints the tables and stores them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=WITH_OPTAX, choices=WITH_OPTAX)
    parser.add_argument("--output", type=Path, default=HERE, help="where start.md goes")
    parser.add_argument("--step", nargs=2, metavar=("NAME", "WHOSE"), help="compile one step, print the seconds")
    given = parser.parse_args()
    if given.step:
        print(compile_a_step(*given.step))
        return
    rows = {name: (*_steps(name, given.rounds), *_eager(name)) for name in tqdm(given.only)}
    lines = [
        "# Before the first step, and outside of `jit`",
        "",
        circumstances(f"{given.rounds} fresh processes each"),
        "",
        "Written by `make bench-start`. Ratios are medians, with their quartiles.",
        "",
        "| import | time of jax and it / time of jax |",
        "| --- | --- |",
        *(f"| {name} | {ratio} |" for name, ratio in _imports(2 * given.rounds - 1).items()),
        "",
        "| a training step with | ms to trace and compile | ours / optax | eager call, us | ours / optax |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, (step, ratio, call, eager) in sorted(rows.items(), key=lambda row: -row[1][1].middle):
        lines.append(f"| `{name}` | {1e3 * step:.0f} | {ratio} | {1e6 * call:.0f} | {eager} |")
    report = "\n".join([*lines, ""])
    print(report)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "start.md").write_text(report)


if __name__ == "__main__":
    main()
