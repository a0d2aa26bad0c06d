"""The page of names: python -m peers.names writes notebooks/coming_from.md from the tables of the package."""

import sys
from pathlib import Path

from jaxloss.names import LIBRARIES

PAGE = Path(__file__).parents[2] / "notebooks" / "coming_from.md"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def page() -> str:
    """The Markdown of it all."""
    lines = ["# Coming from elsewhere", "", "Made by `make names`; `make test-peers` compares the numbers.", ""]
    for library in LIBRARIES:
        lines += [f"## {library.module}", "", library.mind, "", "| elsewhere | here | mind |", "|---|---|---|"]
        lines += [f"| `{name.theirs}` | `jaxloss.{name.ours}` | {_cell(name.mind)} |" for name in library.names]
        lines += [f"| `{theirs}` | | {text} |" for theirs, text in library.elsewhere]
        if library.not_yet:
            lines += [f"| {', '.join(f'`{name}`' for name in library.not_yet)} | | not there yet |"]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
