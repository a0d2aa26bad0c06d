"""The training steps of flax and equinox, as the site shows them."""

from test_site import DOCS, run


def test_the_page_runs_and_prints_what_it_says():
    run(DOCS / "frameworks.md")
