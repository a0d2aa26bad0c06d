"""Every loss that a peer also has, side by side on the same work, at the sizes of beginners and of production.

python benchmarks/losses.py [--quick] [--only NAME ...] [--output DIRECTORY]

Writes losses.md and losses.png. The peers are optax, and torch, keras and rax where they can be imported. All take
turns within each round, so that a busy machine slows them alike; a ratio is the median over rounds of our time against
that of the peer in the same round, and one of ours against ours shows what a ratio is worth. A loss of rows is measured
at 3, 10, 100, 1024 and 32768 classes; what is masked has `where=` on a quarter of its items, and the peer takes
`jnp.mean(where=)`; from bfloat16, the peer casts its inputs to float32, which ours does inside.
"""

import argparse
import functools
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from pairs import PAIRS, Sizes, data, jax_cost, torch_run
from protocol import HERE, PEERS, Spread, circumstances, module_of, spread, take_turns
from tqdm import tqdm

import jaxloss

mpl.use("Agg")

GOAL = {"value": 2.0, "value and gradient": 1.5}
"""What a single row may take of optax's time; the median over rows is to be 1.25."""

ELEMENTS = Sizes(2**22, 1024)
ROWS = (Sizes(3 * 65536, 3), Sizes(10 * 8192, 10), Sizes(100 * 8192, 100), Sizes(2**21, 1024), Sizes(2**23, 32768))
VARIED = ("huber", "sigmoid_binary_cross_entropy", "softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels")
"""The losses that are measured with a mask and from bfloat16 too."""


class Work(NamedTuple):
    """A loss at a size; `kind` is "", "masked" or "bfloat16"."""

    loss: str
    sizes: Sizes
    kind: str
    gradient: bool

    @property
    def name(self) -> str:
        size = f"{self.sizes.rows} x {self.sizes.classes}" if of_rows(self.loss) else f"{self.sizes.elements}"
        return ", ".join(part for part in (size, self.kind) if part)

    @property
    def what(self) -> str:
        return "value and gradient" if self.gradient else "value"


def of_rows(loss: str) -> bool:
    """Whether the number of classes is a matter of choice."""
    return PAIRS[loss].kind.startswith(("rows", "distribution", "vectors", "triplets"))


def works(names: list[str], quick: bool) -> Iterator[Work]:
    """All that is measured, in the order of the table of pairs."""
    for name in names:
        sizes = ROWS if of_rows(name) else (ELEMENTS,)
        kinds = [("", size) for size in sizes]
        if name in VARIED:
            kinds += [(kind, size) for kind in ("masked", "bfloat16") for size in sizes]
        for kind, size in kinds:
            for gradient in (False, True):
                yield Work(name, Sizes(size.elements // 8, size.classes) if quick else size, kind, gradient)


# ---------------------------------------------------------------------------------------------------------- measurement


class Row(NamedTuple):
    """A piece of work, measured."""

    work: Work
    milliseconds: float
    itself: Spread
    against: dict[str, Spread]
    temporaries: int
    optax_temporaries: int | None


def _compiled(cost: Callable[..., jax.Array], arrays: tuple[Any, ...], gradient: bool) -> Any:
    function = jax.value_and_grad(cost) if gradient else cost
    return jax.jit(function).lower(*arrays).compile()


def _masked(loss: Callable[..., Any], mask: Any) -> Callable[..., Any]:
    return lambda *arrays, **options: loss(*arrays, where=mask, **options)


def _costs(work: Work) -> Iterator[tuple[str, Callable[..., jax.Array]]]:
    """Ours and those of the peers that are JAX, as functions of the arrays and, last, of the mask."""
    pair, loss = PAIRS[work.loss], jaxloss.catalogue[work.loss]

    def ours(*arrays: Any) -> jax.Array:
        *given, mask = arrays
        return jax_cost(pair.ours, loss=loss if mask is None else _masked(loss, mask))(*given)

    def theirs(expression: str, *arrays: Any) -> jax.Array:
        *given, mask = (x.astype(jnp.float32) if x is not None and x.dtype == jnp.bfloat16 else x for x in arrays)
        return jax_cost(expression, where=mask)(*given)

    yield "ours", ours
    for name in ("optax", "keras", "rax"):
        expression = getattr(pair, name)
        plain = not work.kind and work.sizes.classes == 1024  # beside these only at one size
        if expression and (name == "optax" or plain) and module_of(name) is not None:
            yield name, functools.partial(theirs, expression)


def measure(work: Work, rounds: int) -> Row:
    """All peers in turns."""
    numbers = data(work.sizes, PAIRS[work.loss].kind)
    arrays: tuple[Any, ...] = tuple(jnp.asarray(x) for x in numbers)
    if work.kind == "bfloat16":
        arrays = tuple(x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x for x in arrays)
    items = arrays[0].shape if arrays[0].ndim == 1 else arrays[0].shape[:1]
    mask = jnp.asarray(np.random.default_rng(1).random(items) < 0.75) if work.kind == "masked" else None
    given = (*arrays, mask)
    programs = {peer: _compiled(cost, given, work.gradient) for peer, cost in _costs(work)}

    def run(program: Any) -> Callable[[], Any]:
        return lambda: jax.block_until_ready(program(*given))

    runs = {peer: run(program) for peer, program in programs.items()}
    runs["again"] = runs["ours"]
    if PAIRS[work.loss].torch and module_of("torch") and not work.kind and work.sizes.classes == 1024:
        runs["torch"] = torch_run(PAIRS[work.loss].torch, numbers, work.gradient)
    times = take_turns(runs, rounds)
    temporaries = {peer: program.memory_analysis().temp_size_in_bytes for peer, program in programs.items()}
    return Row(
        work,
        1e3 * statistics.median(times["ours"]),
        spread(times["ours"], times["again"]),
        {peer: spread(times["ours"], times[peer]) for peer in PEERS if peer in times},
        temporaries["ours"],
        temporaries.get("optax"),
    )


# ---------------------------------------------------------------------------------------------------- table and picture

_COLUMNS = ("Loss, of which", "size", "ms", "ours / ours", *(f"ours / {peer}" for peer in PEERS))
_COLUMNS = (*_COLUMNS, "temporaries, MiB", "optax's, MiB")


def _cells(row: Row) -> Iterator[str]:
    yield f"`{row.work.loss}`, {row.work.what}"
    yield row.work.name
    yield f"{row.milliseconds:.2f}"
    yield f"{row.itself.middle:.2f}"
    for peer in PEERS:
        yield str(row.against[peer]) if peer in row.against else ""
    yield f"{row.temporaries / 2**20:.1f}"
    yield "" if row.optax_temporaries is None else f"{row.optax_temporaries / 2**20:.1f}"


def _table(rows: list[Row]) -> list[str]:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + " --- |" * len(_COLUMNS)]
    return lines + ["| " + " | ".join(_cells(row)) + " |" for row in rows]


def _slow(row: Row) -> bool:
    return "optax" in row.against and row.against["optax"].middle > GOAL[row.work.what]


def _report(rows: list[Row], rounds: int) -> str:
    ratios = [row.against["optax"].middle for row in rows if "optax" in row.against]
    slow = sorted((row for row in rows if _slow(row)), key=lambda row: -row.against["optax"].middle)
    lines = [
        "# The losses beside their peers, on a CPU",
        "",
        circumstances(f"float32 unless said, {rounds} rounds"),
        "",
        "Written by `make bench`. A ratio is the median of our time over that of the peer in the same round, with its "
        "quartiles: below 1 we are faster. Ours over ours shows what a ratio is worth.",
        "",
        f"Of optax's time, the median over {len(ratios)} rows is {statistics.median(ratios):.2f}; a value takes more "
        f"than {GOAL['value']} of it, or value and gradient more than {GOAL['value and gradient']}, in {len(slow)}.",
        "",
        "## Where it takes longer than that",
        "",
        *(_table(slow) if slow else ["Nowhere."]),
        "",
        "## All",
        "",
        *_table([row for row in rows if row not in slow]),
        "",
    ]
    return "\n".join(lines)


def _picture(rows: list[Row], path: Path, circumstances: str) -> None:
    """One line a loss, one mark a size: how long ours takes against optax, value left, value and gradient right."""
    shown = [row for row in rows if "optax" in row.against]
    names = list(dict.fromkeys(row.work.loss for row in shown))[::-1]
    figure, panels = plt.subplots(1, 2, figsize=(11, 1.6 + 0.3 * len(names)), sharey=True, layout="constrained")
    marks = {3: "$3$", 10: "$10$", 100: "$100$", 1024: "o", 32768: "s"}
    for panel, gradient in zip(panels, (False, True), strict=True):
        panel.axvline(1, color="0.3", linewidth=1)
        for row in (row for row in shown if row.work.gradient == gradient):
            colour = {"": "0.1", "masked": "tab:blue", "bfloat16": "tab:orange"}[row.work.kind]
            panel.plot(
                row.against["optax"].middle,
                names.index(row.work.loss),
                marker=marks[row.work.sizes.classes],
                color=colour,
                markersize=9 if row.work.sizes.classes < 1024 else 5,
                linestyle="",
            )
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(axis="both", color="0.9")
        panel.set_axisbelow(True)
        panel.set_title("value and gradient" if gradient else "value")
        panel.set_xlabel("our time / optax's, below 1 is faster")
    panels[0].set_yticks(range(len(names)), names)
    figure.suptitle("Beside optax: 3, 10, 100 classes, 1024 (o), 32768 (square); masked blue, bfloat16 orange")
    figure.supxlabel(circumstances, fontsize=6, color="0.3", wrap=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measures, prints the table and stores it beside the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="an eighth of the work and fewer rounds")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--output", type=Path, default=HERE, help="where losses.md and losses.png go")
    given = parser.parse_args()
    rounds = 5 if given.quick else 11
    rows = [measure(work, rounds) for work in tqdm(list(works(given.only, given.quick)))]
    report = _report(rows, rounds)
    print(report)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "losses.md").write_text(report)
    _picture(rows, given.output / "losses.png", circumstances(f"{rounds} rounds"))


if __name__ == "__main__":
    main()
