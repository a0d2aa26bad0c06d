"""Where the names of other libraries are here. Nothing of it is loaded before a name is looked for."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jaxloss.names.installed import INSTALLED
from jaxloss.names.read import READ
from jaxloss.names.words import WORDS

LIBRARIES = (*INSTALLED, *READ)


class Place(NamedTuple):
    """A name elsewhere, with its library, and what it is here."""

    theirs: str
    here: str

    def __str__(self) -> str:
        return f"{self.theirs} is {self.here}"

    @property
    def plain(self) -> str:
        return _plain(self.theirs if " " in self.theirs else self.theirs.rpartition(".")[2])


def find(text: str) -> list[Place]:
    """The places whose name has this in it, those that are named just so first."""
    wanted = _plain(text)
    found = [place for place in _places() if len(wanted) > 1 and wanted in place.plain]
    return sorted(found, key=lambda place: place.plain != wanted)


def not_here(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is no loss: what it is here, or what is spelt like it."""
    places = [str(place) for place in find(name) if place.plain == _plain(name)]
    like = re.sub(r"[^a-z0-9]+", "_", name.lower()).removesuffix("_loss")
    near = difflib.get_close_matches(like, list(known), 3) or [other for other in known if like in other][:4]
    hints = places[:2] or [f"did you mean {', '.join(near)}?"] * bool(near)
    return "; ".join([f"there is no loss named {name!r}", *hints])


def _places() -> Iterator[Place]:
    for library in LIBRARIES:
        module = f"{library.module}." if library in INSTALLED else ""
        for theirs, ours, mind in library.names:
            yield Place(module + theirs, f"jaxloss.{ours} here: {mind}")
        for theirs, text in library.elsewhere:
            yield Place(module + theirs, f"here: {text}")
    for word, text in WORDS.items():
        yield Place(word, f"here: {text}")


def _plain(name: str) -> str:
    """`BCEWithLogitsLoss`, `bce_with_logits` and `binary_cross_entropy_with_logits` are one name."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("loss")
    return re.sub("^bce", "binarycrossentropy", letters)
