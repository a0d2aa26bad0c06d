"""What every loss moves on a TPU v5e and an H100: compiled for them, without either.

python benchmarks/chips.py [--quick] [--losses NAME ...] [--resume | --report]

`make chips` runs it in its environment. A loss is compiled for both chips; value, value and gradient; float32 and
bfloat16; as it is, with `where`, and with `weights`; and beside it its plainest formula. One program at a time, since
the seconds to compile are in the table. Only the whole table is written to chips.md and chips.png; what --quick (the
sample of the tests) or --losses leave of it goes to .cache/chips, where what was found is kept, a line a program;
--resume compiles only what is not there or has changed since, --report writes table and picture of it and compiles
nothing.
"""

import argparse
import json
import time
from collections.abc import Iterator

import jax
from chips_report import write
from compiled import CHIPS, Chip
from measured import DTYPES, EXTRAS, FOLDER, HERE, found, key, versions
from sample import SAMPLE
from works import Work, works

import jaxloss


def _programs(losses: list[str] | None, quick: bool) -> Iterator[tuple[Work, bool, bool]]:
    """What is compiled for each chip: a work, with its gradient or not, by the plain formula or by us."""
    for dtype in DTYPES:
        for extra in EXTRAS:
            for work in works(losses, dtype, extra):
                if quick and (str(work), dtype, extra) not in SAMPLE:
                    continue
                for gradient in (False, True):
                    yield work, gradient, False
                    if not extra:
                        yield work, gradient, True


def _measure(losses: list[str] | None, quick: bool, resume: bool) -> None:
    """Compile, loss by loss, and keep what is found."""
    path, start = FOLDER / "programs.jsonl", time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    there = found().programs if resume else {}
    chips = list(map(Chip, CHIPS))
    names = losses or jaxloss.catalogue
    programs = ((chip, *made) for name in names for chip in chips for made in _programs([name], quick))
    todo = [(key(chip.name, *program), chip, *program) for chip, *program in programs]
    # What the table says first of every loss comes first, so that an interrupted run has it.
    todo.sort(key=lambda program: (program[2].extra, DTYPES.index(program[2].first.dtype.name)))
    with path.open("a" if resume else "w") as file:
        if not resume:
            file.write(json.dumps(versions()) + "\n")
        for number, (name, chip, work, gradient, plain) in enumerate(todo, 1):
            cost = work.plain if plain else work.ours
            line, known = {"key": name}, there.get(name)
            try:
                program = chip.program(jax.value_and_grad(cost) if gradient else cost, work.arrays, known)
                if program is known:
                    continue
                line |= program._asdict()
            except jax.errors.JaxRuntimeError as error:  # that it cannot be compiled is a finding too
                line["error"] = str(error).splitlines()[0]
            file.write(json.dumps(line) + "\n")
            file.flush()
            left = (time.monotonic() - start) / number * (len(todo) - number)
            print(f"{number}/{len(todo)}, {left / 60:.0f} min left: {name}", flush=True)


def main() -> None:
    """Compile, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the sample of the tests")
    parser.add_argument("--losses", nargs="+", metavar="NAME")
    parser.add_argument("--resume", action="store_true", help="without what was found before and is the same")
    parser.add_argument("--report", action="store_true", help="of what was found before")
    given = parser.parse_args()
    if not given.report:
        _measure(given.losses, given.quick, given.resume)
    write(FOLDER if given.quick or given.losses else HERE, given.losses, given.quick)


if __name__ == "__main__":
    main()
