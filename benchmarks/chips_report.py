"""The table and the picture of what the losses move on chips, from what `chips.py` found."""

import datetime as dt
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from bounds import MIB, Bound, bounds, bounds_of_extra
from compiled import CHIPS, Program
from measured import DTYPES, EXTRAS, HERE, found, key
from sample import SAMPLE
from works import Work, size, works

NAMES = {"tpu": "TPU v5e", "h100": "H100"}
HEAD = """# The losses on the chips people train on

{circumstances}{part}

Written by `make chips`, which compiles for a TPU v5e and an H100 on a machine that has neither: the compiled program
says what it moves, keeps and launches. Nothing is timed. MiB are those that XLA's own analysis counts on a TPU, and
the operands and results of all kernels on an H100; a loop counts as often as it runs. Two numbers in a cell are of the
value, and of value and gradient in the first array. The limit reads each array once and writes the gradient once;
"plain" is the plainest formula, optax's where optax has the loss (`formulas.py`), from bfloat16 in float32.
What a mask or weights cost stands beside the bytes they have. `bounds.py` says what is allowed. The seconds to compile
are rough, since the machine may have had other work, and a program that has not changed is not compiled again.

## Behind: more than is allowed ({behind} of {judged})

{as_plain} of these are no more than the plain formula has, for which what is allowed is less.

{table}
"""


class Row(NamedTuple):
    """What was found of a work on a chip: ours and the plain formula, for the value, and for value and gradient."""

    work: Work
    ours: tuple[Program | None, Program | None]
    plain: tuple[Program | None, Program | None]


Rows = Mapping[tuple[str, str, str, str], Row]


def _rows(losses: Iterable[str] | None, quick: bool) -> Rows:
    """Everything that was found, by chip, work, dtype and what it has beside its arrays."""
    programs, rows = found().programs, {}
    for chip in CHIPS:
        for dtype in DTYPES:
            for extra in EXTRAS:
                for work in works(losses, dtype, extra):
                    if quick and (str(work), dtype, extra) not in SAMPLE:
                        continue
                    ours, plain = (
                        tuple(programs.get(key(chip, work, gradient, plain)) for gradient in (False, True))
                        for plain in (False, True)
                    )
                    rows[chip, str(work), dtype, extra] = Row(work, ours, plain)
    return rows


def _judged(rows: Rows) -> list[tuple[tuple[str, ...], Bound]]:
    """Every bound that could be tried."""
    judged = []
    for (chip, name, dtype, extra), row in rows.items():
        without = rows.get((chip, name, dtype, ""))
        for gradient in (False, True):
            where = (NAMES[chip], name, f"{dtype} {extra}".strip(), "value and gradient" if gradient else "value")
            if (ours := row.ours[gradient]) is None:
                continue
            if not extra and row.plain[gradient] is not None:
                judged += [(where, bound) for bound in bounds(chip, row.work, gradient, ours, row.plain[gradient])]
            elif extra and without and without.ours[gradient]:
                found_of = ours, without.ours[gradient], row.plain[gradient]
                judged += [(where, bound) for bound in bounds_of_extra(chip, row.work, gradient, *found_of)]
    return judged


def _pair(programs: Iterable[Program | None], what: Any) -> str:
    return " / ".join("-" if one is None else what(one) for one in programs)


def _table(rows: Rows, chip: str) -> list[str]:
    """A line a loss."""
    per_dtype = ("MiB", "of the limit", "of plain's", "temporaries, MiB", "kernels, plain's", "compile s, plain's")
    columns = [f"{dtype}: {what}" for dtype in DTYPES for what in per_dtype]
    columns += [f"{dtype} {extra}: more MiB (its own)" for dtype in DTYPES for extra in EXTRAS[1:]]
    lines = [f"| loss | {' | '.join(columns)} |", "|---|" + "--:|" * len(columns)]
    for name in dict.fromkeys(name for place, name, _, _ in rows if place == chip):
        cells = []
        for dtype in DTYPES:
            row = rows.get((chip, name, dtype, ""))
            cells += [""] * len(per_dtype) if row is None else _cells(row)
        for dtype in DTYPES:
            for extra in EXTRAS[1:]:
                cells.append(_more(rows.get((chip, name, dtype, extra)), rows.get((chip, name, dtype, ""))))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cells(row: Row) -> list[str]:
    def of(others: Iterable[float | None]) -> str:
        return " / ".join(
            "-" if one is None or not other else f"{one.counted / other:.2f}"
            for one, other in zip(row.ours, others, strict=True)
        )

    def both(what: Any) -> str:
        return f"{_pair(row.ours, what)}, {_pair(row.plain, what)}"

    return [
        _pair(row.ours, lambda one: f"{one.counted / MIB:.0f}"),
        of(row.work.limit(gradient) for gradient in (False, True)),
        of(one and one.counted for one in row.plain),
        _pair(row.ours, lambda one: f"{one.kept / MIB:.1f}"),
        both(lambda one: f"{one.kernels}"),
        both(lambda one: f"{one.seconds:.1f}"),
    ]


def _more(row: Row | None, without: Row | None) -> str:
    """What a mask or weights cost, and in brackets the bytes they have."""
    if row is None or without is None:
        return ""
    pairs = zip(row.ours, without.ours, strict=True)
    cells = (f"{(a.counted - b.counted) / MIB:.1f}" if a and b else "-" for a, b in pairs)
    return f"{' / '.join(cells)} ({size(row.work.arrays[row.work.extra]) / MIB:.1f})"


def _circumstances() -> str:
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in found().versions.items())
    return f"{dt.date.today()}, commit {commit}; {versions}."


def _part(rows: Rows, whole: bool) -> str:
    """What is not in the table, in words."""
    cells = [one for row in rows.values() for one in (*row.ours, *([] if row.work.extra else row.plain))]
    there = sum(one is not None for one in cells) + len(found().failed)
    if whole and there >= len(cells):
        return ""
    return f" A part of the table: {there} programs{f' of {len(cells)}' if whole else ''}."


def _report(rows: Rows, whole: bool) -> str:
    judged = _judged(rows)
    behind = sorted((one for one in judged if not one[1].held), key=lambda one: -one[1].found / (one[1].allowed or 1))
    table = ["| chip | loss | arrays | work | what | MiB | allowed | plain |", "|---|---|---|---|---|--:|--:|--:|"]
    for where, bound in behind:
        plain = "-" if bound.plain is None else f"{bound.plain / MIB:.1f}"
        cells = *where, bound.what, f"{bound.found / MIB:.1f}", f"{bound.allowed / MIB:.1f}", plain
        table.append(f"| {' | '.join(cells)} |")
    lines = [
        HEAD.format(
            circumstances=_circumstances(),
            part=_part(rows, whole),
            behind=len(behind),
            judged=len(judged),
            as_plain=sum(bound.plain is not None and bound.found <= bound.plain for _, bound in behind),
            table="\n".join(table) if behind else "None.",
        )
    ]
    for chip in CHIPS:
        lines += [f"## {NAMES[chip]}", "", *_table(rows, chip), ""]
    if failed := found().failed:
        lines += ["## Could not be compiled", "", *(f"- {name}: {error}" for name, error in failed.items()), ""]
    return "\n".join(lines)


def _picture(rows: Rows, path: Path) -> None:
    """A line a loss: what it moves in float32, of the limit, on both chips; hollow is the plain formula."""
    names = list(dict.fromkeys(name for _, name, dtype, extra in rows if dtype == DTYPES[0] and not extra))
    figure, panels = plt.subplots(1, 2, figsize=(12, 1.6 + 0.22 * len(names)), sharey=True, layout="constrained")
    for panel, gradient in zip(panels, (False, True), strict=True):
        panel.axvline(1, color="0.3", linewidth=1)
        for chip, mark, shift in (("tpu", "o", 0.15), ("h100", "s", -0.15)):
            for who, fill in (("plain", "none"), ("ours", "0.1")):
                shown = [
                    (getattr(row, who)[gradient].counted / row.work.limit(gradient), names.index(name) + shift)
                    for (place, name, dtype, extra), row in rows.items()
                    if place == chip and dtype == DTYPES[0] and not extra and getattr(row, who)[gradient]
                ]
                points = np.array(shown).reshape(-1, 2)
                label = f"{NAMES[chip]}, {'ours' if who == 'ours' else 'the plain formula'}"
                panel.scatter(*points.T, marker=mark, s=22, facecolors=fill, edgecolors="0.1", label=label)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(axis="both", color="0.9")
        panel.set_axisbelow(True)
        panel.set_title("value and gradient" if gradient else "value")
        panel.set_xlabel("bytes moved / each input once, the gradient once")
    panels[0].set_yticks(range(len(names)), names, fontsize=7)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside upper right", ncols=4, fontsize=8)
    figure.suptitle("What the losses move on the chips, float32", fontsize=12, x=0.02, ha="left")
    figure.supxlabel(_circumstances(), fontsize=6, color="0.3", wrap=True)
    figure.savefig(path, dpi=110)


def write(folder: Path, losses: Iterable[str] | None, quick: bool) -> None:
    """The table and the picture into a folder."""
    rows = _rows(losses, quick)
    report = _report(rows, whole=not quick and losses is None)
    (folder / "chips.md").write_text(report)
    _picture(rows, folder / "chips.png")
    print(report.split("\n## TPU", maxsplit=1)[0])
    print(f"The rest is in {folder / 'chips.md'}.")
