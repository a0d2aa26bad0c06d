"""What a row of the tables of names says."""

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
