"""The pages of the site: what they say runs. Building it refuses a link that leads nowhere."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import jax
import pytest

import jaxloss

PROJECT = Path(__file__).parent.parent
PAGES = sorted((PROJECT / "docs").glob("*.md"))
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
NEEDS = {"flax": "from flax", "equinox": "import equinox"}


@pytest.mark.parametrize("page", [page for page in PAGES if CODE.search(page.read_text())], ids=lambda page: page.stem)
def test_a_page_runs_and_prints_what_it_says(page):
    names: dict[str, object] = {}
    # In the world of a user, who is not as strict as this suite.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for snippet in CODE.findall(page.read_text()):
            if any(line in snippet and not importlib.util.find_spec(name) for name, line in NEEDS.items()):
                pytest.skip("the rest of the page needs flax and equinox: pip install jaxloss[recipes]")
            said = re.findall(r"^\s*print\(.*\)  # (.*)$", snippet, re.MULTILINE)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(snippet, page.name, "exec"), names)
            assert printed.getvalue().splitlines() == said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_what_is_there(page):
    for path in re.findall(r"`jaxloss\.([\w.]+)", page.read_text()):
        found = jaxloss
        for part in path.rstrip(".").split("."):
            found = getattr(found, part)
