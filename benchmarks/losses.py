"""Every loss that a peer also has, side by side in one process on the same work: time, memory, compilation.

python benchmarks/losses.py [--quick] [--only NAME ...] [--output DIRECTORY]

Writes losses.md and losses.png. The peers are optax, and torch, keras and rax where they can be imported. All take
turns within each round, so that a busy machine slows them alike; a ratio is the median over rounds of our time against
that of the peer in the same round, with its quartiles, and one of ours against ours shows what a ratio is worth. The
limit is what the machine needs to read the inputs once, and for a gradient to write one array, measured likewise. What
the compiler counts (temporaries, bytes, fusions) is exact, and needs no quiet machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from pairs import PAIRS, Sizes, data, jax_cost, torch_run
from protocol import HERE, PEERS, Spread, circumstances, imported, spread, take_turns
from tqdm import tqdm

import jaxloss

mpl.use("Agg")

NOISE = 1.05
"""A ratio up to this is no difference: it is about what ours against ours shows on a busy machine."""

FULL, QUICK = Sizes(2**22, 1024), Sizes(2**19, 1024)

# --------------------------------------------------------------------------------------------- what the compiler counts


@dataclass
class Program:
    """A compiled cost, and what the compiler says of it."""

    run: Callable[[], None]
    seconds: float
    temporaries: int
    bytes_accessed: float
    fusions: int


def _compiled(cost: Callable[..., jax.Array], arrays: tuple[jax.Array, ...], gradient: bool) -> Program:
    function = jax.value_and_grad(cost) if gradient else cost
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arrays).compile()
    seconds = time.perf_counter() - start
    entry = compiled.as_text().split("ENTRY ", 1)[1]
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return Program(
        run=lambda: jax.block_until_ready(compiled(*arrays)),
        seconds=seconds,
        temporaries=memory.temp_size_in_bytes,
        bytes_accessed=float(analysis.get("bytes accessed", float("nan"))),
        fusions=sum(" fusion(" in line for line in entry.splitlines()),
    )


def _limit(arrays: tuple[jax.Array, ...], gradient: bool) -> Callable[[], None]:
    """Reads every input once and, for a gradient, writes one array like the first: the physical limit."""

    def touch(*xs: jax.Array) -> Any:
        total = sum(jnp.sum(x.astype(jnp.float32)) for x in xs)
        return (total, xs[0] + 1) if gradient else total

    def touch_alike(*xs: jax.Array) -> Any:
        total = sum(x.astype(jnp.float32) for x in xs)
        return (jnp.sum(total), total) if gradient else jnp.sum(total)

    alike = all(x.shape == arrays[0].shape for x in arrays)
    compiled = jax.jit(touch_alike if alike else touch).lower(*arrays).compile()
    return lambda: jax.block_until_ready(compiled(*arrays))


# ------------------------------------------------------------------------------------------------------------ the rows


@dataclass
class Row:
    """One loss, its value or its value and gradient, measured."""

    loss: str
    gradient: bool
    milliseconds: float
    itself: Spread
    against: dict[str, Spread]
    limit: Spread
    ours: Program
    optax: Program | None
    full_size: int  # the bytes of an array of the inputs' size at one byte an element, which masks have
    compulsory_bytes: int
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        return "value and gradient" if self.gradient else "value"

    @property
    def behind(self) -> bool:
        """Whether a peer is faster by more than noise and by more than its spread."""
        return any(ratio.low > 1 and ratio.middle > NOISE for ratio in self.against.values())

    @property
    def worst(self) -> float:
        return max((ratio.middle for ratio in self.against.values()), default=0.0)


def _measure(name: str, sizes: Sizes, gradient: bool, rounds: int) -> Row:
    pair, numbers = PAIRS[name], data(sizes, PAIRS[name].kind)
    arrays = tuple(jnp.asarray(x) for x in numbers)
    ours = _compiled(jax_cost(pair.ours, loss=jaxloss.catalogue[name]), arrays, gradient)
    programs: dict[str, Program] = {}
    runs: dict[str, Callable[[], None]] = {"ours": ours.run, "again": ours.run, "limit": _limit(arrays, gradient)}
    missing = {}
    for peer in PEERS:
        expression = getattr(pair, peer)
        if not expression or imported[peer] is None:
            continue
        try:
            if peer == "torch":
                runs[peer] = torch_run(expression, numbers, gradient)
            else:
                programs[peer] = _compiled(jax_cost(expression), arrays, gradient)
                runs[peer] = programs[peer].run
            runs[peer]()
        except Exception as error:  # a peer that this JAX has left behind
            missing[peer] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
            runs.pop(peer, None)
    times = take_turns(runs, rounds)
    first = arrays[0]
    return Row(
        loss=name,
        gradient=gradient,
        milliseconds=1e3 * statistics.median(times["ours"]),
        itself=spread(times["ours"], times["again"]),
        against={peer: spread(times["ours"], times[peer]) for peer in PEERS if peer in times},
        limit=spread(times["ours"], times["limit"]),
        ours=ours,
        optax=programs.get("optax"),
        full_size=first.size,
        compulsory_bytes=sum(x.nbytes for x in arrays) + (first.nbytes if gradient else 0),
        missing=missing,
    )


# ---------------------------------------------------------------------------------------------------- table and picture

_COLUMNS = (
    "Loss, of which", "ms", "ours / ours", *(f"ours / {peer}" for peer in PEERS), "ours / limit", "temporaries, MiB",
    "optax's, MiB", "full-size ones", "bytes / compulsory", "fusions", "compile, ms", "ours / optax, compile",
)  # fmt: skip


def _cells(row: Row) -> Iterator[str]:
    yield f"`{row.loss}`, {row.what}"
    yield f"{row.milliseconds:.2f}"
    yield str(row.itself)
    for peer in PEERS:
        yield str(row.against[peer]) if peer in row.against else "fails" if peer in row.missing else ""
    yield f"{row.limit.middle:.1f}"
    yield f"{row.ours.temporaries / 2**20:.1f}"
    yield "" if row.optax is None else f"{row.optax.temporaries / 2**20:.1f}"
    yield "yes" if row.ours.temporaries >= row.full_size else "no"
    yield f"{row.ours.bytes_accessed / row.compulsory_bytes:.2f}"
    yield str(row.ours.fusions)
    yield f"{1e3 * row.ours.seconds:.0f}"
    yield "" if row.optax is None else f"{row.ours.seconds / row.optax.seconds:.2f}"


def _table(rows: list[Row]) -> list[str]:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + " --- |" * len(_COLUMNS)]
    return lines + ["| " + " | ".join(_cells(row)) + " |" for row in rows]


def _prices(behind: list[Row]) -> list[str]:
    """What a loss that is behind does with the time, and how true those are that need less of it."""
    peers = {row.loss: {peer for peer, ratio in row.against.items() if ratio.low > 1} for row in behind}
    lines = []
    for line in (HERE / "truth.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 13 and (name := cells[1].strip("`")) in peers:
            package = cells[0].strip("`").split(".")[0]
            if package in peers[name]:
                lines.append(
                    f"| `{name}` | {PAIRS[name].price} | {cells[0]} | " + " | ".join([cells[2], *cells[7:]]) + " |"
                )
    columns = ("Loss", "what ours does besides", "beside", "inputs", "their values off by > 16 ulp", "their gradients")
    columns = (*columns, "their worst value, ulp", "their worst gradient", "our worst value", "our worst gradient")
    return ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns), *sorted(lines)]


def _work(sizes: Sizes, rounds: int) -> str:
    return f"{sizes.elements} elements, rows of {sizes.classes}, float32, {rounds} rounds"


def _report(rows: list[Row], sizes: Sizes, rounds: int) -> str:
    rows = sorted(rows, key=lambda row: (not row.behind, -row.worst))
    behind, rest = [row for row in rows if row.behind], [row for row in rows if not row.behind]
    notes = [f"- `{row.loss}`, {row.what}, {peer}: {why}" for row in rows for peer, why in row.missing.items()]
    lines = [
        "# The losses beside their peers",
        "",
        circumstances(_work(sizes, rounds)),
        "",
        "Written by `make bench`. A ratio is the median of our time over that of the peer in the same round, with its "
        "quartiles: below 1 we are faster. Ours over ours shows what a ratio is worth. The limit reads each input once "
        "and writes one array for a gradient.",
        "",
        f"## Behind a peer by more than noise ({len(behind)} of {len(rows)})",
        "",
        *(_table(behind) if behind else ["None."]),
        "",
        *(["What is bought with it, on the inputs of `truth.md`:", "", *_prices(behind), ""] if behind else []),
        "## Level or ahead",
        "",
        *_table(rest),
        *(["", "## What a peer could not do", "", *notes] if notes else []),
        "",
    ]
    return "\n".join(lines)


_MARKS = {"optax": ("o", "0.0"), "torch": ("s", "0.35"), "keras": ("^", "0.55"), "rax": ("x", "0.2")}


def _picture(rows: list[Row], path: Path, circumstances: str) -> None:
    """One line a loss, one mark a peer: how long ours takes against it, value left, value and gradient right."""
    names = sorted({row.loss for row in rows}, key=lambda name: max(row.worst for row in rows if row.loss == name))
    figure, panels = plt.subplots(1, 2, figsize=(11, 1.6 + 0.27 * len(names)), sharey=True, layout="constrained")
    for panel, gradient in zip(panels, (False, True), strict=True):
        panel.axvline(1, color="0.3", linewidth=1)
        panel.axvspan(1 / NOISE, NOISE, color="0.9")
        for peer, (mark, grey) in _MARKS.items():
            shown = [row for row in rows if row.gradient == gradient and peer in row.against]
            if not shown:
                continue
            middle = np.array([row.against[peer].middle for row in shown])
            sides = np.array(
                [[m - row.against[peer].low, row.against[peer].high - m] for m, row in zip(middle, shown, strict=True)]
            ).T
            height = [names.index(row.loss) for row in shown]
            fill = "white" if mark != "x" and peer != "optax" else grey
            panel.errorbar(
                middle, height, xerr=np.maximum(sides, 0), fmt=mark, color=grey, markerfacecolor=fill, markersize=6,
                linewidth=1, label=peer,
            )  # fmt: skip
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(axis="both", color="0.9")
        panel.set_axisbelow(True)
        panel.set_title("value and gradient" if gradient else "value")
        panel.set_xlabel("our time / time of the peer, below 1 is faster")
    panels[0].set_yticks(range(len(names)), names)
    panels[1].legend(loc="lower right")
    figure.suptitle("The losses beside their peers: medians of paired ratios, with quartiles", fontsize=12)
    figure.supxlabel(circumstances, fontsize=6, color="0.3", wrap=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measures, prints the table and stores it beside the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller arrays and fewer rounds: about two minutes")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--output", type=Path, default=HERE, help="where losses.md and losses.png go")
    given = parser.parse_args()
    sizes, rounds = (QUICK, 7) if given.quick else (FULL, 15)
    work = [(name, gradient) for name in given.only for gradient in (False, True)]
    rows = []
    with tqdm(work) as progress:
        for name, gradient in progress:
            progress.set_description(name)
            rows.append(_measure(name, sizes, gradient, rounds))
    report = _report(rows, sizes, rounds)
    print(report)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "losses.md").write_text(report)
    _picture(rows, given.output / "losses.png", circumstances(_work(sizes, rounds)))


if __name__ == "__main__":
    main()
