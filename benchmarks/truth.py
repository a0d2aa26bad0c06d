"""How far every loss is from the truth, ours and those of the peers, on the grids of law 13: one Markdown table.

make truth, which is: PYTHONPATH=tests python benchmarks/truth.py [names of losses]

The grid, the truth and the rule are those of tests/judge.py. A peer is asked the same items as ours, by the calls of
tests/peers/calls.py, in float32; JAX is jitted. With names, nothing is written.
"""

import datetime as dt
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from judge import ROWS, Row, bent_wrongly, computed, computed_curvatures, truths, verdict
from peers.calls import CALLS, LIBRARIES, Call

PAGE = Path(__file__).with_name("truth.md")
COUNTED = (
    "value NaN/inf where finite | gradient NaN/inf | gradient of the wrong sign | gradient zeroed | value beyond 1e-5 "
    "| gradient beyond 1e-5 | second derivative wrong"
)


class Judged(NamedTuple):
    """What is wrong with one item in one implementation, in the order of the columns; of a gradient, all its arrays."""

    no_value: bool
    no_gradient: bool
    wrong_sign: bool
    zeroed: bool
    value: bool
    gradient: bool
    curvature: bool

    @property
    def right(self) -> bool:
        return not any(self[:-1])


def judged(
    row: Row, values: np.ndarray, gradients: list[np.ndarray], bends: list[np.ndarray], places: list[int], dtype: Any
) -> list[Judged]:
    """All items of a row; `places` are the arrays with a gradient among the differentiable ones of the case."""
    found = []
    columns = (np.reshape(array, (len(values), -1)) for array in (*gradients, *bends))
    for true, value, *arrays in zip(truths(row.name, dtype), values, *columns, strict=True):
        slopes, curved = arrays[: len(places)], arrays[len(places) :]
        one = verdict(row, true, value, slopes, places, dtype)
        bent = bent_wrongly(row, true, curved, places, dtype)
        of, slope = one.value, one.gradient
        wrong = of.not_a_number, slope.not_a_number, slope.wrong_sign, slope.zeroed, of.error > 1, slope.error > 1, bent
        found.append(Judged(*wrong))
    return found


def ours(row: Row, dtype: Any) -> list[Judged]:
    """All items of a set of options."""
    values, gradients = computed(row.name, dtype)
    return judged(row, values, gradients, computed_curvatures(row.name, dtype), list(range(len(gradients))), dtype)


def theirs(row: Row, call: Call) -> list[Judged]:
    """The same items in a peer."""
    arrays, differentiable = row.grid(np.float32), row.case.differentiable
    positions = () if call.singular else call.positions(differentiable)
    places = [differentiable.index(position) for position in positions]
    asked = arrays, positions, row.rounded_options(np.float32)
    values, gradients = call.values_and_gradients(*asked)
    for place, gradient in zip(places, gradients, strict=True):
        for true, got in zip(truths(row.name, np.float32), gradient.reshape(len(values), -1), strict=True):
            # Where a slope is infinite ours is 0, by law 4: a peer may say anything but NaN.
            free = [slope.infinite for slope in true.slopes[place]] if true.slopes else np.zeros(got.shape, bool)
            got[free & ~np.isnan(got)] = 0
    return judged(row, values, gradients, call.curvatures(*asked), places, np.float32)


def both(rows: list[Row], single: dict[str, list[Judged]]) -> dict[Call, tuple[list[Judged], list[Judged]]]:
    """For each call of a peer: the items on which it says the same as ours, in the peer and in ours."""
    found: dict[Call, tuple[list[Judged], list[Judged]]] = {}
    for call in CALLS:
        for row in rows:
            if row.case.name == call.ours and not row.case.masked and call.takes(row.options):
                same = call.only(*row.grid(np.float32))
                for items, column in zip(
                    found.setdefault(call, ([], [])), (theirs(row, call), single[row.name]), strict=True
                ):
                    items += [one for one, counts in zip(column, same, strict=True) if counts]
    return found


# --------------------------------------------------------------------------------------------------------------- pages


def counts(items: list[Judged]) -> str:
    """The number of items, and of those with each fault, as cells."""
    return " | ".join(str(cell) for cell in (len(items), *(sum(column) for column in zip(*items, strict=True))))


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
    calls = both(rows, single)

    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "optax", "torch", "keras", "rax"))
    yield "# How far from the truth"
    yield ""
    yield (
        f"Made by `make truth` on {dt.datetime.now(dt.UTC):%Y-%m-%d}, with jaxloss {version('jaxloss')}, "
        f"{versions}, on {platform.system()}, {processor()}."
    )
    yield ""
    yield (
        "The truth is the formula of the loss in 250 digits, at the inputs as they are rounded to the format: "
        "ordinary ones, near-equal ones, corners, and extremes (`tests/cases/`). Counted are the inputs at which a "
        "loss is wrong; `tests/judge.py` says the rule. Beyond 1e-5: the relative error is more than 1e-5 (1e-12 in "
        "float64) and more than 4 times what moving the inputs by half a last digit does; a gradient is measured by "
        "its largest component. Wrong sign and zeroed: a component, down to 16 roundings of the largest. Second "
        "derivative: at smooth points, not finite or off by more than a hundredth of the largest, where the first is "
        "not at its own rounding limit. JAX and keras (on JAX) are jitted, torch is eager. A peer is asked what its "
        "options can say, at its default epsilons; its gradients in targets, and through logarithms taken for it, are "
        "not judged."
    )
    yield ""
    yield "## In one table"
    yield ""
    everything = [
        f"**jaxloss**, {kind} | {len({row.case.name for row in rows})} "
        f"| {counts([one for items in found.values() for one in items])}"
        for kind, found in (("float32", single), ("float64", double))
    ]
    for library in LIBRARIES:
        chosen = [call for call in calls if call.library == library]
        for name, k in ((f"{library}, float32", 0), (f"jaxloss, where {library} has the loss", 1)):
            items = [one for call in chosen for one in calls[call][k]]
            everything.append(f"{name} | {len({call.peer for call in chosen})} | {counts(items)}")
    yield from table(f"library: | losses | inputs | {COUNTED}", everything)

    yield "## jaxloss"
    yield ""
    wrong = [
        f"`{row.name}`, {kind} | {counts(found[row.name])}"
        for row in rows
        for kind, found in (("float32", single), ("float64", double))
        if any(map(any, found[row.name]))
    ]
    yield f"Where one of the {2 * len(rows)} sweeps (a loss, a set of options, a format) is wrong anywhere:"
    yield ""
    yield from table(f"loss: | inputs | {COUNTED}", wrong or ["none" + " |" * 8])
    yield "## The peers"
    yield ""
    yield "All sets of options together, float32."
    yield ""
    yield from table(
        f"function: | beside: | inputs | {COUNTED}",
        (
            f"`{call.peer}`{f' ({call.from_ours})' if call.from_ours else ''} | `{call.ours}` | {counts(items)}"
            for call, (items, _) in calls.items()
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
