"""What a compiled program moves: bytes and kernels, counted from the text that XLA prints of it.

Two counts. `moved` is what goes to and from the memory of the chip: a kernel that takes a few entries of an operand
(an index, a slice) moves those, one that updates a few in place moves those, and what lies in the vector memory of a
TPU core (marked S(1)) moves nothing. `counted` takes every operand and result of every kernel in full: an upper bound,
which asks for no reading of the indices.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

# These launch nothing: they name, group or alias what is there.
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
VIEWS = {"bitcast", "reshape", "copy", "convert", "transpose"}
PARTS = {"slice", "dynamic-slice", "gather"}
UPDATES = {"dynamic-update-slice": 1, "scatter": 2}  # with the place of the update among the operands

Computation = dict[str, "Instruction"]


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    rest: str
    root: bool

    @property
    def size(self) -> float:
        """The bytes of the result."""
        return size_of(self.shape)

    @property
    def far(self) -> float:
        """The bytes of the result that lie in the memory of the chip."""
        return size_of(self.shape, far=True)

    def called(self, what: str) -> str:
        """The computation that this one calls as its `what`."""
        return re.findall(rf"\b{what}=%([\w.\-]+)", self.rest)[0]


class Counts(NamedTuple):
    """Bytes moved, bytes counted in full, kernels, and loops whose number of trips is not known."""

    moved: float = 0
    counted: float = 0
    kernels: int = 0
    endless: int = 0

    def plus(self, other: "Counts", times: int = 1) -> "Counts":
        """With another computation that runs so many times; loops are not multiplied."""
        return Counts(*(a + times * b for a, b in zip(self[:3], other[:3], strict=True)), self.endless + other.endless)


def size_of(shape: str, far: bool = False) -> float:
    """The bytes of a shape, or of all shapes of a tuple; with `far`, of those in the memory of the chip."""
    total = 0.0
    for kind, extent, layout in re.findall(r"([a-z]\w*)\[([\d,]*)\](\{[^}]*\})?", shape):
        bits = re.search(r"\d+", kind)
        width = int(bits[0]) / 8 if bits else 1 if kind == "pred" else 0
        total += 0 if far and "S(1)" in layout else width * math.prod(int(n) for n in extent.split(",") if n)
    return total


class Module:
    """A compiled program, read from its text."""

    def __init__(self, text: str) -> None:
        self.computations: dict[str, Computation] = {}
        self.entry = name = ""
        for line in text.splitlines():
            if head := re.match(r"(ENTRY )?%([\w.\-]+) \(.*\{$", line):
                name = head[2]
                self.computations[name] = {}
                self.entry = name if head[1] else self.entry
            elif line.startswith("}"):
                name = ""
            elif name and (found := _instruction(line)):
                self.computations[name][found.name] = found

    def counts(self, computation: str = "") -> Counts:
        """Of the entry computation, with the bodies of its loops as often as they run."""
        body = self.computations[computation or self.entry]
        total = Counts()
        for one in body.values():
            if one.opcode == "while":
                trips = self.trips(one, body)
                total = total.plus(self.counts(one.called("body")), trips or 1).plus(Counts(endless=not trips))
            elif one.opcode == "call":
                total = total.plus(self.counts(one.called("to_apply")))
            elif one.opcode == "conditional":  # the branch that moves most
                named = re.findall(r"%([\w.\-]+)", one.rest.partition("metadata")[0])
                total = total.plus(max(self.counts(name) for name in named if name in self.computations))
            elif one.opcode not in FREE and not one.opcode.endswith("-done"):
                total = total.plus(self._kernel(one, body))
        return total

    def loops(self) -> Iterator[tuple[int, Counts]]:
        """Each loop of the entry: how often it runs (0: not known), and what one trip moves."""
        body = self.computations[self.entry]
        for one in body.values():
            if one.opcode == "while":
                yield self.trips(one, body), self.counts(one.called("body"))

    def trips(self, loop: Instruction, body: Computation) -> int:
        """How often a loop runs: as XLA says, else as the comparison of its condition does; 0 if neither does."""
        if said := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.rest):
            return int(said[1])
        condition = self.computations[loop.called("condition")]
        for one in condition.values():
            if one.opcode == "compare" and "direction=LT" in one.rest:
                limit = condition[one.operands[1]]
                if limit.opcode == "get-tuple-element":  # a constant that is carried through the loop
                    start = body[loop.operands[0]]
                    limit = body[start.operands[int(re.findall(r"index=(\d+)", limit.rest)[0])]]
                while limit.opcode in ("copy", "bitcast", "copy-start", "copy-done"):
                    limit = body[limit.operands[0]]
                if limit.opcode == "constant" and limit.operands[0].isdigit():
                    return int(limit.operands[0])
        return 0

    def _kernel(self, one: Instruction, body: Computation) -> Counts:
        given = [body[name] for name in one.operands if name in body]
        counted = one.size + sum(operand.size for operand in given)
        if one.opcode.endswith(
            "-start"
        ):  # a copy or slice beside the kernels: (result, ...) or ((operands), result, ...)
            inner = one.shape[1:]
            inner = inner[_closing(inner, 0) :] if inner.startswith("(") else inner
            result = re.findall(r"[a-z]\w*\[[\d,]*\](?:\{[^}]*\})?", inner)[0]
            return Counts(size_of(result) * bool(given[0].far) + size_of(result, far=True), 2 * size_of(result))
        if one.opcode == "fusion":
            read = [self._read(one, i, operand.far) for i, operand in enumerate(given)]
            return Counts(sum(read) + self._written(one, one.far), counted, 1)
        if one.opcode in PARTS:
            return Counts(2 * one.far + sum(operand.far for operand in given[1:]), counted, 1)
        if one.opcode in UPDATES:
            return Counts(2 * given[UPDATES[one.opcode]].far + sum(x.far for x in given[1:]), counted, 1)
        # A number is formed beside the kernels.
        launched = one.opcode != "iota" and "[]" not in one.shape
        return Counts(one.far + sum(operand.far for operand in given), counted, launched)

    def _read(self, fusion: Instruction, number: int, whole: float) -> float:
        """How much of an operand a fusion reads: what indices and slices take of it, else the whole."""
        inside = self.computations[fusion.called("calls")]
        parameter = next(p for p in inside.values() if p.opcode == "parameter" and p.operands[0] == str(number))
        return self._touched(parameter, inside, whole)

    def _touched(self, operand: Instruction, inside: Computation, whole: float) -> float:
        total = 0.0
        for one in inside.values():
            if one.opcode == "parameter" or operand.name not in one.operands:
                continue
            alone = operand.name == one.operands[0] and operand.name not in one.operands[1:]
            if one.opcode in PARTS and alone:
                total += one.size
            elif one.opcode == "scatter" and alone:
                total += inside[one.operands[UPDATES[one.opcode]]].size
            elif one.opcode in UPDATES and alone:  # written over, not read
                continue
            elif one.opcode in VIEWS and not one.root:
                total += self._touched(one, inside, whole)
            elif one.opcode == "fusion":  # inside another: on a TPU, the slice that a product reads
                total += sum(self._read(one, i, whole) for i, name in enumerate(one.operands) if name == operand.name)
            else:
                return whole
        return min(total, whole)

    def _written(self, fusion: Instruction, whole: float) -> float:
        """How much a fusion writes: its result, or where it updates an operand in place, the update."""
        inside = self.computations[fusion.called("calls")]
        root = next(one for one in inside.values() if one.root)
        while root.opcode in VIEWS and root.operands[0] in inside:
            root = inside[root.operands[0]]
        if root.opcode == "fusion":
            return self._written(root, whole)
        return min(whole, inside[root.operands[UPDATES[root.opcode]]].size) if root.opcode in UPDATES else whole


def _instruction(line: str) -> Instruction | None:
    head = re.match(r"\s+(ROOT )?%([\w.\-]+) = ", line)
    if not head:
        return None
    text = line[head.end() :]
    end = _closing(text, 0) if text.startswith("(") else text.index(" ")
    shape, text = text[:end], text[end:].lstrip()
    opening = text.index("(")
    closing = _closing(text, opening)
    opcode, inner = text[:opening], text[opening + 1 : closing - 1]
    operands = (inner,) if opcode in ("constant", "parameter") else tuple(re.findall(r"%([\w.\-]+)", inner))
    return Instruction(head[2], shape, opcode, operands, text[closing:], bool(head[1]))


def _closing(text: str, start: int) -> int:
    """The place after the parenthesis that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place + 1
    raise ValueError(f"a parenthesis is not closed: {text[:80]}")
