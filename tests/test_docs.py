"""What the documentation says is so: the README runs, its table is the catalogue's, and every docstring is whole."""

import contextlib
import io
import re
from pathlib import Path

import jax
import pytest

import jaxloss

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
BEGIN, END = "<!-- {}: made by `make readme` -->\n", "<!-- end of {} -->\n"


def table() -> str:
    """The losses, a row a family."""
    families: dict[str, list[str]] = {}
    for name, loss in jaxloss.catalogue.items():
        families.setdefault(loss.__module__.split(".")[2], []).append(f"`{name}`")
    rows = [f"| {family} | {', '.join(names)} |" for family, names in families.items()]
    return "\n".join(["| family | losses |", "|---|---|", *rows]) + "\n"


def truth() -> str:
    """The first rows of the measured table of errors: the head, and one row for each library, in float32."""
    rows = [line for line in (PROJECT / "benchmarks" / "truth.md").read_text().splitlines() if line.startswith("|")]
    measured = ("**jaxloss**", "optax", "torch", "keras", "rax")
    return (
        "\n".join([*rows[:2], *(row for row in rows if row.startswith(tuple(f"| {m}, float32" for m in measured)))])
        + "\n"
    )


def speed() -> str:
    """Of the measured table of times: the medians against optax, of a few losses, at each number of classes."""
    head, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (PROJECT / "benchmarks" / "losses.md").read_text().splitlines()
        if line.startswith(("| Loss", "| `"))
    )
    measured = {tuple(row[:2]): dict(zip(head, row, strict=True)) for row in rows if row != head}
    lines = ["| loss | rows x classes | time / optax's: value | value and gradient |", "|---|---|--:|--:|"]
    for loss in SHOWN:
        sizes = [size for name, size in measured if name == f"`{loss}`, value"]
        for size in sorted(sizes, key=lambda size: (size.count(","), int(size.partition(",")[0].split(" x ")[-1]))):
            both = (measured[f"`{loss}`, {what}", size] for what in ("value", "value and gradient"))
            ratios = [row["ours / optax"].partition(" ")[0] for row in both]
            if "bfloat16" not in size and not re.search(r" x (3|100)\b|, masked", size):
                lines.append(f"| `{loss}` | {size} | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


def chips() -> str:
    """Of the table of what moves on chips: the bytes of two losses, of the limit and of optax's."""
    found: dict[str, list[str]] = {}
    places: list[str] = []
    for part in (PROJECT / "benchmarks" / "chips.md").read_text().split("\n## "):
        lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in part.splitlines() if row.startswith("| ")]
        if not lines or lines[0][0] != "loss":
            continue
        head, *rows = lines
        places.append(part.splitlines()[0])
        for row in rows:
            named = dict(zip(head, row, strict=True))
            if named["loss"] in SHOWN_ON_CHIPS:
                cells = [named[f"float32: {what}"] for what in ("of the limit", "of plain's")]
                found.setdefault(named["loss"], []).extend(cells)
    columns = [f"{place}: of {what}" for place in places for what in ("the limit", "optax's")]
    table = [f"| value / value and gradient | {' | '.join(columns)} |", "|---|" + "--:|" * len(columns)]
    table += [f"| `{name.partition(',')[0]}` | {' | '.join(cells)} |" for name, cells in found.items()]
    return "\n".join(table) + "\n"


SHOWN_ON_CHIPS = ("huber, 8192x4096", "softmax_cross_entropy_with_integer_labels, 8192x32768")
SHOWN = ("huber", "softmax_cross_entropy_with_integer_labels")
PARTS = {"losses": table, "truth": truth, "speed": speed, "chips": chips}


def between(text: str, part: str) -> tuple[str, str, str]:
    head, rest = text.split(BEGIN.format(part))
    return head, *rest.split(END.format(part))


def _snippets():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_readme_runs_and_prints_what_it_says():
    names, checked = {}, 0
    # In the world of a user, who is not as strict as this suite.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for snippet in _snippets():
            said = re.findall(r"^\s*print\(.*\)  # (.*)$", snippet, re.MULTILINE)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(snippet, "README.md", "exec"), names)
            assert printed.getvalue().splitlines() == said
            checked += len(said)
    assert checked == README.read_text().count("print(") >= 8


def test_the_readme_is_short_enough_to_read():
    assert len(README.read_text().splitlines()) <= 130


@pytest.mark.parametrize("part", PARTS)
def test_the_tables_are_those_that_are_made(part):
    assert between(README.read_text(), part)[1] == PARTS[part]()


@pytest.mark.parametrize("name", jaxloss.catalogue)
def test_a_docstring_is_a_whole_form(name):
    loss = jaxloss.catalogue[name]
    doc = loss.__doc__
    parts = ["$$", "Args:", "Corners:", "Source:", ">>>"]
    places = [doc.find(part) for part in parts]
    assert -1 not in places, dict(zip(parts, places, strict=True))
    assert places == sorted(places)
    assert doc[: places[0]].strip().endswith(".")
    for parameter in loss._term.parameters:
        assert re.search(rf"^\s+{parameter}: ", doc, re.MULTILINE), f"{parameter} is not described"
    switches = {name for name, p in loss._term.parameters.items() if isinstance(p.default, bool)}
    assert set(loss._term.options) <= switches or "Raises:" in doc


if __name__ == "__main__":
    for part, make in PARTS.items():
        head, _, rest = between(README.read_text(), part)
        README.write_text(head + BEGIN.format(part) + make() + END.format(part) + rest)
