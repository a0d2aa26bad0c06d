"""How far every loss is from the truth, ours and those of the peers, on the grids of law 13: one Markdown table.

make truth, which is: PYTHONPATH=tests python benchmarks/truth.py [names of losses]

The truth, the grid, and the judge of an error are those of tests/test_truth.py. A peer is asked the same items as
ours, by the calls of tests/peers/calls.py, in float32; JAX is jitted. With names, nothing is written.
"""

import datetime as dt
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp
from peers.calls import CALLS, LIBRARIES, Call
from test_truth import ROWS, ZERO, Row, computed, error_of_gradient, error_of_value, truths

import jaxloss

GOAL = 4, 8
FAR = 16
PAGE = Path(__file__).with_name("truth.md")


class Judged(NamedTuple):
    """One item in one implementation; of a gradient, all of its arrays.

    Attributes:
        value: The error of the value, in ulp.
        gradient: The error of the gradient, in ulp.
        no_value: The value is NaN, or infinite where the truth is not.
        no_gradient: So is a slope.
        wrong_sign: A slope has the wrong sign.
        zeroed: A gradient is 0 that is not.
        lost: So is one, but below the rounding of the largest term.
    """

    value: float
    gradient: float
    no_value: bool
    no_gradient: bool
    wrong_sign: bool
    zeroed: bool
    lost: bool


def judge(
    true: tuple[Any, ...], value: np.ndarray, gradients: list[np.ndarray], places: list[int], dtype: Any
) -> Judged:
    """An item, as the truth harness has it; `places` are the arrays with a gradient among those of the case."""
    _, truth, slopes, term, terms = true
    error = error_of_value(value, truth, term, dtype)
    no_value = not np.isfinite(value) and abs(truth) <= float(np.finfo(dtype).max)
    tiny = float(np.finfo(dtype).tiny)
    errors, no_gradient, wrong_sign, zeroed, lost = [0.0], False, False, False, False
    for place, got in zip(places, map(np.ravel, gradients), strict=True):
        if slopes is None:
            no_gradient |= bool(np.isnan(got).any())
            continue
        # Where a slope is infinite ours is 0, by law 4: a peer may say anything but NaN.
        free = [ends is ZERO and not np.isnan(x) for x, ends in zip(got, slopes[place], strict=True)]
        ends = [(mp.mpf(0), mp.mpf(0)) if any_ else pair for any_, pair in zip(free, slopes[place], strict=True)]
        got = np.where(free, 0, got)
        largest = max(abs(x) for pair in ends for x in pair)
        off = error_of_gradient(got, ends, terms[place], dtype)
        errors.append(off)
        within = largest <= float(np.finfo(dtype).max)
        no_gradient |= bool(np.isnan(got).any() or (within and np.isinf(got).any()))
        none = bool(not got.any() and any(min(abs(low), abs(high)) >= tiny and low * high > 0 for low, high in ends))
        zeroed |= none and off > FAR
        lost |= none and off <= FAR
        wrong_sign |= off > FAR and any(
            x * low < 0 and x * high < 0 and abs(x) > largest * np.finfo(dtype).eps
            for x, (low, high) in zip(map(float, got), ends, strict=True)
        )
    return Judged(error, max(errors), no_value, no_gradient, wrong_sign, zeroed, lost)


def ours(row: Row, dtype: Any) -> list[Judged]:
    """All items of a set of options."""
    values, gradients = computed(row.name, dtype)
    places = list(range(len(gradients)))
    rows = zip(truths(row.name, dtype), values, *gradients, strict=True)
    return [judge(true, value, list(slopes), places, dtype) for true, value, *slopes in rows]


def theirs(row: Row, call: Call) -> tuple[list[Judged], list[Judged]]:
    """Those items on which the peer says the same, in the peer and in ours."""
    arrays, differentiable = row.grid(np.float32), row.case.differentiable
    positions = () if call.singular else call.positions(differentiable)
    values, gradients = call.values_and_gradients(arrays, positions, row.rounded_options(np.float32))
    our_values, our_gradients = computed(row.name, np.float32)
    places = [differentiable.index(position) for position in positions]
    columns = [values, *gradients], [our_values, *(our_gradients[place] for place in places)]
    found = []
    for column in columns:
        rows = zip(call.only(*arrays), truths(row.name, np.float32), *column, strict=True)
        found.append([judge(true, value, list(s), places, np.float32) for counts, true, value, *s in rows if counts])
    return found[0], found[1]


# --------------------------------------------------------------------------------------------------------------- pages


def shown(error: float) -> str:
    """An error in ulp."""
    return "inf" if np.isinf(error) else f"{error:.1f}" if error < 100 else f"{error:.0e}".replace("e+0", "e")


def worst(items: Iterable[Judged]) -> str:
    """The largest errors of value and gradient."""
    items = list(items)
    return f"{shown(max(one.value for one in items))} | {shown(max(one.gradient for one in items))}"


def counts(items: list[Judged]) -> str:
    """How often what goes wrong, as cells."""
    cells = [sum(getattr(one, name) for one in items) for name in ("no_value", "no_gradient", "wrong_sign", "zeroed")]
    cells += [sum(getattr(one, name) > FAR for one in items) for name in ("value", "gradient")]
    return " | ".join(str(cell) for cell in cells)


def title(call: Call) -> str:
    """A function of a peer and its loss of ours, as cells."""
    return f"`{call.peer}`{f' ({call.from_ours})' if call.from_ours else ''} | `{call.ours}`"


COUNTED = (
    "inputs | value NaN/inf where finite | gradient NaN/inf | gradient of the wrong sign | gradient zeroed "
    f"| value > {FAR} ulp | gradient > {FAR} ulp"
)


def table(head: str, rows: Iterable[str]) -> Iterator[str]:
    """The head says by a colon which columns are text."""
    names = head.split(" | ")
    yield "| " + " | ".join(name.rstrip(":") for name in names) + " |"
    yield "|" + "|".join("---" if name.endswith(":") else "--:" for name in names) + "|"
    yield from (f"| {row} |" for row in rows)
    yield ""


def processor() -> str:
    """As Linux names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def measured(names: list[str]) -> Iterator[str]:
    """The page, line by line."""
    rows = [row for row in ROWS if not names or row.case.name in names]
    single = {row.name: ours(row, np.float32) for row in rows}
    double = {row.name: ours(row, np.float64) for row in rows}
    calls: dict[Call, tuple[list[Judged], list[Judged]]] = {}
    for call in CALLS:
        asked = [row for row in rows if row.case.name == call.ours and not row.case.masked and call.takes(row.options)]
        pairs = [theirs(row, call) for row in asked]
        if pairs:
            calls[call] = [one for pair in pairs for one in pair[0]], [one for pair in pairs for one in pair[1]]

    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "optax", "torch", "keras", "rax"))
    yield "# How far from the truth"
    yield ""
    yield (
        f"Made by `make truth` on {dt.datetime.now(dt.UTC):%Y-%m-%d}, with jaxloss {version('jaxloss')}, "
        f"{versions}, on {platform.system()}, {processor()}."
    )
    yield ""
    yield (
        "The truth is the formula of the loss in 250 digits, at the inputs as they are rounded to the format: ordinary "
        "ones, near-equal ones, corners, and extremes (`tests/cases/`). An error is counted in ulp, the spacing of the "
        "format at the truth; for a gradient, at its largest component; where a formula subtracts what is nearly "
        "equal, at the largest term (`terms` of the case), for all libraries alike. JAX and keras (on JAX) are jitted, "
        "torch is eager. A peer is asked what its options can say, at its default epsilons; its gradients in targets, "
        "and through logarithms taken for it, are not judged."
    )
    yield ""
    yield "## In one table"
    yield ""
    everything = [
        f"**jaxloss**, {kind} | {len(jaxloss.catalogue) if not names else len(names)} "
        f"| {sum(map(len, found.values()))} | {counts([one for items in found.values() for one in items])}"
        for kind, found in (("float32", single), ("float64", double))
    ]
    for library in LIBRARIES:
        chosen = [call for call in calls if call.library == library]
        for name, k in ((f"{library}, float32", 0), (f"jaxloss, where {library} has the loss", 1)):
            items = [one for call in chosen for one in calls[call][k]]
            everything.append(f"{name} | {len({call.peer for call in chosen})} | {len(items)} | {counts(items)}")
    yield from table("library: | losses | " + COUNTED, everything)

    yield "## jaxloss"
    yield ""
    missed = [
        f"`{row.name}`: {row.case.why}"
        for row in rows
        if any(
            getattr(one, part) > goal
            for part, goal in zip(("value", "gradient"), GOAL, strict=True)
            for one in (*single[row.name], *double[row.name])
        )
    ]
    yield f"Worst errors in ulp. The goal is {GOAL[0]} for a value, {GOAL[1]} for a gradient."
    yield ""
    yield from table(
        "loss: | inputs | value, float32 | gradient, float32 | value, float64 | gradient, float64 | counted in:",
        (
            f"`{row.name}` | {len(single[row.name])} | {worst(single[row.name])} | {worst(double[row.name])} "
            f"| {'ulp of the largest term: ' + row.case.why if row.case.terms else 'ulp'}"
            for row in rows
        ),
    )
    yield "Beyond the goal, and why:" if missed else "No loss is beyond the goal."
    yield ""
    yield from (f"- {line}" for line in missed)
    if missed:
        yield ""
    lost = sorted({row.case.name for row in rows if any(one.lost for one in single[row.name])})
    yield "A gradient that is 0, though the truth is not, but is less than the rounding of its largest term: " + (
        ", ".join(f"`{name}`" for name in lost) + "." if lost else "none."
    )
    yield ""
    yield "## The peers"
    yield ""
    yield "All sets of options together, float32. In the last columns: ours on the same inputs."
    yield ""
    yield from table(
        f"function: | beside: | {COUNTED} | worst value | worst gradient | our worst value | our worst gradient",
        (
            f"{title(call)} | {len(found[0])} | {counts(found[0])} | {worst(found[0])} | {worst(found[1])}"
            for call, found in calls.items()
        ),
    )
    differing = sorted({f"`{call.peer}` against `{call.ours}`: {call.differs}" for call in calls if call.differs})
    yield "Judged only where both say the same:"
    yield ""
    yield from (f"- {line}." for line in differing)


def main() -> None:
    """Prints the page, and keeps it."""
    names = sys.argv[1:]
    page = "\n".join(measured(names)) + "\n"
    print(page)
    if not names:
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
