"""How things are measured here: in turns, on one thread each, with ratios of what ran in the same round."""

import datetime as dt
import functools
import importlib
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")
# One thread for each: threads that wait for each other on a busy machine would be most of what is measured.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax

PEERS = ("optax", "torch", "keras", "rax")


@functools.cache
def module_of(name: str) -> Any:
    """The module of a peer, imported when it is first asked for; None where it is not installed."""
    try:
        module: Any = importlib.import_module(name)
    except ImportError:
        return None
    if name == "torch":
        module.set_num_threads(1)
    return module


HERE = Path(__file__).parent


class Spread(NamedTuple):
    """A median and its quartiles."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(ours: list[float], theirs: list[float]) -> Spread:
    """Of the ratios of what ran in the same round."""
    return Spread(*statistics.quantiles([a / b for a, b in zip(ours, theirs, strict=True)], n=4))


def take_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each in each round, after two rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(-2, rounds):
        # Another one begins each round, so that none always follows the same.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            runs[name]()
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    return times


def circumstances(work: str) -> str:
    """Where and when something was measured, and with what."""
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    packages = {"jax": jax, **{name: module_of(name) for name in PEERS}}
    versions = ", ".join(f"{name} {getattr(module, '__version__', '?')}" for name, module in packages.items() if module)
    missing = ", ".join(name for name, module in packages.items() if module is None)
    absent = f"; not installed: {missing}" if missing else ""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"{dt.date.today()}, commit {commit}; {platform.machine()} with {os.cpu_count()} cores, "
        f"{jax.devices()[0].device_kind}, load {load}; Python {platform.python_version()}, {versions}{absent}; "
        f"one thread each; {work}."
    )
