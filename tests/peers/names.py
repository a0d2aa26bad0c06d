"""The page of names: python -m peers.names writes notebooks/coming_from.md from the tables of the package."""

import sys
from pathlib import Path

from jaxloss.names import LIBRARIES, table

PAGE = Path(__file__).parents[2] / "notebooks" / "coming_from.md"


def page() -> str:
    """The Markdown of all tables."""
    return table.page(LIBRARIES)


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
