"""The pages of the site: what they say runs. Building it refuses a link that leads nowhere.

`frameworks` needs flax and equinox, and runs beside the peers: tests/peers/test_frameworks.py.
"""

import contextlib
import io
import re
from pathlib import Path

import jax
import pytest

import jaxloss

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
HERE = [page for page in PAGES if CODE.search(page.read_text()) and page.stem != "frameworks"]


RAISES = re.compile(r"```raises\n(.*?)```", re.DOTALL)


def run(page):
    """Runs a page in the world of a user, who is not as strict as this suite; returns the names it has given."""
    names: dict[str, object] = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for snippet in CODE.findall(page.read_text()):
            said = re.findall(r"^\s*print\(.*\)  # (.*)$", snippet, re.MULTILINE)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(snippet, page.name, "exec"), names)
            assert printed.getvalue().splitlines() == said
    return names


@pytest.mark.parametrize("page", HERE, ids=lambda page: page.stem)
def test_a_page_runs_and_prints_what_it_says(page):
    run(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_what_is_there(page):
    for path in re.findall(r"`jaxloss\.([\w.]+)", page.read_text()):
        found = jaxloss
        for part in path.rstrip(".").split("."):
            found = getattr(found, part)
    for name in re.findall(r"\[`(\w+)`\]\[\]", page.read_text()):  # a link to a loss
        assert name in jaxloss.catalogue
    for file in re.findall(r"`(\w+/\w+\.(?:py|ipynb))`", page.read_text()):
        assert (PROJECT / file).exists() or (PROJECT / "jaxloss" / file).exists(), file


def test_each_call_of_the_page_of_errors_is_refused_in_a_sentence():
    page = DOCS / "errors.md"
    names, calls = run(page), RAISES.findall(page.read_text())
    assert len(calls) > 25
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for call in calls:
            with pytest.raises((AttributeError, KeyError, TypeError, ValueError)) as caught:
                exec(call, names)
            said = str(caught.value)
            assert "jaxloss" in str(caught.traceback[-1].path), call
            assert "\n" not in said, said
