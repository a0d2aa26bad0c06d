"""What the docstring of a loss says, part by part, and what it says of other losses."""

import contextlib
import doctest
import inspect
import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jaxloss
from jaxloss.core.loss import Loss
from jaxloss.types import Interval

_HEADS = ("Args", "Corners", "Raises", "Source")


@dataclass(frozen=True)
class Form:
    """The parts of a docstring, each on one line but for the example."""

    sentence: str
    formula: str
    remarks: tuple[str, ...]
    arguments: Mapping[str, str]
    corners: str
    source: str
    example: str


def read(loss: Loss[...]) -> Form:
    """The docstring of a loss of the catalogue, whose form a test holds."""
    prose, _, example = _clean(loss).partition("\n>>> ")
    opening, *rest = re.split(rf"^({'|'.join(_HEADS)}):", prose, flags=re.MULTILINE)
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    sentence, formula, remarks = opening.split("$$")
    described = re.split(r"^    (\w+):", parts.get("Args", ""), flags=re.MULTILINE)[1:]
    return Form(
        sentence=_line(sentence),
        formula=_line(formula),
        remarks=tuple(_line(paragraph) for paragraph in remarks.split("\n\n") if paragraph.strip()),
        arguments={name: _line(text) for name, text in zip(described[::2], described[1::2], strict=True)},
        corners=_line(parts["Corners"]),
        source=_line(parts["Source"]),
        example=f">>> {example}".rstrip(),
    )


def _clean(loss: Loss[...]) -> str:
    return inspect.cleandoc(loss.__doc__ or "")


def _line(text: str) -> str:
    return " ".join(text.split())


def default(loss: Loss[...], argument: str) -> str:
    """The default of an argument as it is written, or nothing where it has none."""
    value = loss._term.parameters[argument].default
    return "" if value is loss._term.parameters[argument].empty else f"={value!r}"


def interval(loss: Loss[...], option: str) -> str:
    """The range of an option that is checked: "[0, 1)", or nothing."""
    for mark in loss._term.ranges.get(option, ()):
        if isinstance(mark, Interval):
            low = f"({mark.gt:g}" if mark.gt is not None else f"[{mark.ge:g}" if mark.ge is not None else "(-inf"
            high = f"{mark.lt:g})" if mark.lt is not None else f"{mark.le:g}]" if mark.le is not None else "inf)"
            return f"{low}, {high}"
    return ""


def run_example(loss: Loss[...]) -> str:
    """The example of the docstring, with what it prints now."""
    module = sys.modules[loss.__module__]
    names: dict[str, Any] = {**vars(module), "jaxloss": jaxloss, loss.__name__: loss}
    lines = []
    for example in doctest.DocTestParser().get_examples(read(loss).example):
        first, *more = example.source.rstrip("\n").split("\n")
        lines += [f">>> {first}", *(f"... {line}" for line in more)]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, f"<{loss.__name__}>", "single"), names)
        lines += printed.getvalue().splitlines()
    return "\n".join(lines)


def family(loss: Loss[...]) -> str:
    """The family, and the part of it where it has several: "classification / softmax"."""
    return " / ".join(str(loss.__module__).split(".")[2:])


def relatives(loss: Loss[...]) -> dict[str, list[str]]:
    """The other losses that its docstring names, those that name it, and the rest of its part of the family."""
    others = [name for name in jaxloss.catalogue if name != loss.__name__]
    named = [name for name in others if name in _named_in(loss)]
    naming = [name for name in others if loss.__name__ in _named_in(jaxloss.catalogue[name])]
    beside = [name for name in others if family(jaxloss.catalogue[name]) == family(loss)]
    found = {"named here": named, "that name it": naming, f"of {family(loss)}": beside}
    return {how: names for how, names in found.items() if names}


def _named_in(loss: Loss[...]) -> set[str]:
    prose = _clean(loss).partition("\n>>> ")[0]
    return {word for quoted in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"\w+", quoted)}
