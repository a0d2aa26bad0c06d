"""What every loss moves on a TPU v5e and an H100: compiled for them, without either.

python benchmarks/chips.py [--quick] [--losses NAME ...] [--report]

`make chips` runs it in its environment. A loss is compiled for both chips; value, value and gradient; float32 and
bfloat16; as it is, with `where`, and with `weights`; and beside it its plainest formula. One program at a time, since
the seconds to compile are in the table. Only the whole table is written to chips.md and chips.png; what --quick (the
sample of the tests) or --losses leave of it goes to .cache/chips, where what was found is kept, a line a program;
--report writes table and picture from it again.
"""

import argparse
import json
import time
from collections.abc import Iterator

import jax
from chips_report import write
from compiled import CHIPS, Chip
from measured import DTYPES, EXTRAS, FOLDER, HERE, key, versions
from sample import SAMPLE
from works import Work, works


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


def _measure(losses: list[str] | None, quick: bool) -> None:
    """Compile, and keep what is found."""
    todo = [(chip, *program) for chip in map(Chip, CHIPS) for program in _programs(losses, quick)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (FOLDER / "programs.jsonl").open("w") as file:
        file.write(json.dumps(versions()) + "\n")
        for number, (chip, work, gradient, plain) in enumerate(todo, 1):
            cost = work.plain if plain else work.ours
            line: dict[str, object] = {"key": key(chip.name, work, gradient, plain)}
            try:
                program = chip.program(jax.value_and_grad(cost) if gradient else cost, work.arrays)
                line |= program._asdict()
            except jax.errors.JaxRuntimeError as error:  # that it cannot be compiled is a finding too
                line["error"] = str(error).splitlines()[0]
            file.write(json.dumps(line) + "\n")
            file.flush()
            left = (time.monotonic() - start) / number * (len(todo) - number)
            print(f"{number}/{len(todo)}, {left / 60:.0f} min left: {line['key']}", flush=True)


def main() -> None:
    """Compile, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the sample of the tests")
    parser.add_argument("--losses", nargs="+", metavar="NAME")
    parser.add_argument("--report", action="store_true", help="of what was found before")
    given = parser.parse_args()
    if not given.report:
        _measure(given.losses, given.quick)
    write(FOLDER if given.quick or given.losses else HERE, given.losses, given.quick)


if __name__ == "__main__":
    main()
