"""What a row of the tables of names says."""

from collections.abc import Iterable
from typing import NamedTuple


class Name(NamedTuple):
    """A public name of a peer, the path of ours under `jaxloss`, and the difference that matters."""

    theirs: str
    ours: str
    mind: str


class Library(NamedTuple):
    """A peer.

    Attributes:
        module: Where its losses are.
        mind: What holds for all of them.
        names: Those that are here.
        elsewhere: Those that are made of something here, which the text says.
        not_yet: Those of families that are not here yet.
        no_losses: Public functions beside them that are no losses.
    """

    module: str
    mind: str
    names: tuple[Name, ...]
    elsewhere: tuple[tuple[str, str], ...]
    not_yet: tuple[str, ...]
    no_losses: tuple[str, ...] = ()


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def page(libraries: Iterable[Library]) -> str:
    """The Markdown of it all."""
    lines = ["# Coming from elsewhere", "", "Made by `make names`; `make test-peers` compares the numbers.", ""]
    for library in libraries:
        lines += [f"## {library.module}", "", library.mind, "", "| elsewhere | here | mind |", "|---|---|---|"]
        lines += [f"| `{name.theirs}` | `jaxloss.{name.ours}` | {_cell(name.mind)} |" for name in library.names]
        lines += [f"| `{theirs}` | | {text} |" for theirs, text in library.elsewhere]
        if library.not_yet:
            lines += [f"| {', '.join(f'`{name}`' for name in library.not_yet)} | | not there yet |"]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"
