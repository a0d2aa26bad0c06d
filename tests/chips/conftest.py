"""The chips that these tests compile for.

Run by `make test-chips`, which leaves out the conftest.py above: the plain formulas do not live in its strict world.
"""

import sys
from pathlib import Path

import jax
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from compiled import CHIPS, Chip, Program


@pytest.fixture(scope="session", params=CHIPS)
def chip(request) -> Chip:
    return Chip(request.param)


@pytest.fixture(scope="session")
def program(chip):
    """The program of a work with its gradient or not, by the plain formula or by us; each is compiled once."""
    programs: dict[tuple[str, ...], Program] = {}

    def compiled(work, gradient, plain=False):
        name = (str(work), work.first.dtype.name, work.extra, gradient, plain)
        if name not in programs:
            cost = work.plain if plain else work.ours
            programs[name] = chip.program(jax.value_and_grad(cost) if gradient else cost, work.arrays)
        return programs[name]

    return compiled
