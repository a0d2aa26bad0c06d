"""What was found of the compiled programs: a file in .cache/chips, a line a program."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any, NamedTuple

from compiled import Program

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".cache" / "chips"
DTYPES = ("float32", "bfloat16")
EXTRAS = ("", "where", "weights")
PACKAGES = ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin", "nvidia-cuda-nvcc-cu12", "optax")


class Found(NamedTuple):
    """The programs by their key, why others could not be compiled, and the versions of what compiled them."""

    programs: dict[str, Program]
    failed: dict[str, str]
    versions: dict[str, str]


def key(chip: str, work: Any, gradient: bool, plain: bool) -> str:
    """The name of a program: a work with its gradient or not, by the plain formula or by us, on a chip."""
    what = "value and gradient" if gradient else "value"
    return "; ".join([chip, str(work), work.first.dtype.name, work.extra, what, "plain" if plain else "ours"])


def found() -> Found:
    """What was found."""
    head, *lines = (json.loads(line) for line in (FOLDER / "programs.jsonl").read_text().splitlines())
    by_key = {line.pop("key"): line for line in lines}
    failed = {name: line["error"] for name, line in by_key.items() if "error" in line}
    return Found({name: Program(**line) for name, line in by_key.items() if name not in failed}, failed, head)


def versions() -> dict[str, str]:
    """Of the packages that compile here."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
