"""What a program waits for before its first step: the import, and the training step traced and compiled.

python benchmarks/start.py [--rounds 9] [--only NAME ...] [--output DIRECTORY]

Writes start.md. An import runs in a process of its own, of modules compiled to bytecode, as an installer leaves them;
its ratio is to what `import jax, jax.numpy` takes beyond a bare Python. A training step is a layer before the loss,
the gradient and an update by Adam; it is traced, lowered and compiled with all caches of JAX empty, with our loss and
with optax's in turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
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

SIZES = Sizes(2**14, 128)
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


def _step(cost: Callable[..., jax.Array], arrays: tuple[jax.Array, ...]) -> Callable[[], Any]:
    optimiser = optax.adam(1e-3)
    size = arrays[0].shape[-1] if arrays[0].ndim > 1 else SIZES.classes
    params = {"kernel": jnp.zeros((size, size)), "bias": jnp.zeros(size)}
    state = optimiser.init(params)

    def step(params: Any, state: Any, first: jax.Array, *rest: jax.Array) -> Any:
        def of_params(params: Any) -> jax.Array:
            rows = first.reshape(-1, size)
            return cost((rows @ params["kernel"] + params["bias"]).reshape(first.shape), *rest)

        value, gradient = jax.value_and_grad(of_params)(params)
        updates, after = optimiser.update(gradient, state)
        return value, optax.apply_updates(params, updates), after

    def start() -> None:
        jax.clear_caches()
        jax.jit(lambda *args: step(*args)).lower(params, state, *arrays).compile()

    return start


def _steps(name: str, rounds: int) -> tuple[float, Spread, Spread]:
    """Seconds of ours, and the ratios of ours to optax's and to itself."""
    pair, arrays = PAIRS[name], tuple(jnp.asarray(x) for x in data(SIZES, PAIRS[name].kind))
    ours = _step(jax_cost(pair.ours, loss=jaxloss.catalogue[name]), arrays)
    times = take_turns({"ours": ours, "optax": _step(jax_cost(pair.optax), arrays), "again": ours}, rounds)
    return (
        statistics.median(times["ours"]),
        spread(times["ours"], times["optax"]),
        spread(times["ours"], times["again"]),
    )


def main() -> None:
    """Measures, prints the tables and stores them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=WITH_OPTAX, choices=WITH_OPTAX)
    parser.add_argument("--output", type=Path, default=HERE, help="where start.md goes")
    given = parser.parse_args()
    lines = [
        "# Before the first step",
        "",
        circumstances(f"{given.rounds} rounds"),
        "",
        "Written by `make bench-start`. Ratios are medians over rounds, with their quartiles.",
        "",
        "| import | time of jax and it / time of jax |",
        "| --- | --- |",
        *(f"| {name} | {ratio} |" for name, ratio in _imports(given.rounds).items()),
        "",
        "| a training step with | ms to trace and compile | ours / optax | ours / ours |",
        "| --- | --- | --- | --- |",
    ]
    rows = {}
    with tqdm(given.only) as progress:
        for name in progress:
            progress.set_description(name)
            rows[name] = _steps(name, given.rounds)
    for name, (seconds, ratio, itself) in sorted(rows.items(), key=lambda row: -row[1][1].middle):
        lines.append(f"| `{name}` | {1e3 * seconds:.0f} | {ratio} | {itself} |")
    report = "\n".join([*lines, ""])
    print(report)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "start.md").write_text(report)


if __name__ == "__main__":
    main()
