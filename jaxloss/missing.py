"""What `jaxloss.cross_entropy` says, and every other name that is not there."""

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(f"module 'jaxloss' has no attribute {name!r}")
    from jaxloss import catalogue
    from jaxloss.names import not_here

    raise AttributeError(f"jaxloss: {not_here(name, catalogue)}")
