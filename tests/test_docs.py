"""What the documentation says is so: the README runs, its table is the catalogue's, and every docstring is whole."""

import contextlib
import io
import re
from pathlib import Path

import jax
import pytest

import jaxloss

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- losses: made by `make readme` -->\n", "<!-- end of losses -->\n"


def table() -> str:
    """The losses, a row a family."""
    families: dict[str, list[str]] = {}
    for name, loss in jaxloss.catalogue.items():
        families.setdefault(loss.__module__.split(".")[2], []).append(f"`{name}`")
    rows = [f"| {family} | {', '.join(names)} |" for family, names in families.items()]
    return "\n".join(["| family | losses |", "|---|---|", *rows]) + "\n"


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
    assert checked >= 12


def test_the_readme_is_short_enough_to_read():
    assert 120 <= len(README.read_text().splitlines()) <= 160


def test_the_table_of_losses_is_the_catalogue():
    assert README.read_text().split(BEGIN)[1].split(END)[0] == table()


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
    options = loss._term.options
    assert not options or "Raises:" in doc


if __name__ == "__main__":
    head, rest = README.read_text().split(BEGIN)
    README.write_text(head + BEGIN + table() + END + rest.split(END)[1])
