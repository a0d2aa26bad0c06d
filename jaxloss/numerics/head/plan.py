"""How a sweep walks the logits: which rows and which classes at a time, and what is kept in between.

Three walks make value and gradient. "fast" keeps the logits of the rows at hand: three products of matrices. "slope"
forms the logits twice and keeps their gradient in 16 bits: four products, and half the memory. "small" keeps a tile of
classes with all rows in it: four products, and memory that does not grow with the vocabulary.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import export

from jaxloss.numerics.devices import alone, explicit, explicit_shards, mesh_size
from jaxloss.types import Array

MiB = 2**20


class Chip(NamedTuple):
    """What the estimate of `auto` knows of a chip; `moved` and `kept` as compiled programs count them."""

    flops: float  # of a product of 16-bit matrices, per second
    bandwidth: float  # bytes to and from memory, per second
    moved: tuple[float, float]  # by "fast" and by "slope", in units of the logits in float32
    kept: tuple[float, float]  # the same
    tile: float  # bytes that a tile of logits in float32 may have for a gradient
    value_tile: float  # the same for a value; infinite where the statistics are a part of the product
    multiple: int  # of which the columns of a tile are one


CHIPS = {
    "tpu": Chip(197e12, 819e9, (4.8, 2.5), (1.0, 0.5), 128 * MiB, math.inf, 128),  # a v5e
    "gpu": Chip(990e12, 3352e9, (5.5, 6.7), (1.5, 1.5), 64 * MiB, 121 * MiB, 8),  # an H100
}


class Task(NamedTuple):
    """What is known of a call before any value is."""

    rows: Any  # a number, or a symbol until an exported program is called
    depth: int
    classes: int  # on this device
    kernel_bytes: int
    shards: int | None  # over how many devices the compiler splits the rows; None where no mesh is in view
    dtype: Any  # in which all is added up
    factor: Any  # of the gradient of a logit when it meets hidden or kernel; narrow where both are bfloat16
    classes_first: bool  # the kernel is `[v, d]`
    axis_name: Any  # the mesh axes over which the classes are split by hand; () for none
    strategy: str
    memory: float | None  # bytes that the logits at hand may take

    @property
    def free(self) -> bool:
        """Whether any rows may pass together: their number is known, and no mesh splits them."""
        return self.shards is None and not export.is_symbolic_dim(self.rows)


class Walk(NamedTuple):
    """How a sweep goes."""

    rows: Any  # at a time
    columns: int  # classes at a time
    keep: bool = False  # the logits of these rows, of all classes, between the statistics and the gradient
    on_cpu: bool = False  # XLA for a CPU compiles it: no sweep


def task(
    hidden: Array, kernel: Array, dtype: Any, classes_first: bool, axis_name: Any, strategy: str, memory: Any
) -> Task:
    """Reads the task off the arrays."""
    (rows, depth), classes, size = hidden.shape, kernel.shape[0 if classes_first else 1], kernel.dtype.itemsize
    shards = None
    if not (alone(hidden) and alone(kernel)):  # what explicit axes say, else as many as there are at most
        shards = explicit_shards(hidden, 0) if explicit(hidden) else max(mesh_size(hidden), mesh_size(kernel))
    # In float16 too products are fast, but a slope may be lost before a loss that is scaled up for it is.
    factor = jnp.dtype(jnp.bfloat16 if hidden.dtype == kernel.dtype == jnp.bfloat16 else dtype)
    options = classes_first, () if axis_name is None else axis_name, strategy, memory
    return Task(rows, depth, classes, kernel.size * size, shards, dtype, factor, *options)


def value(task: Task, platform: str) -> Walk:
    """The walk of a value alone, on "cpu", "tpu" or "gpu"."""
    if platform == "cpu" or not task.free:
        return gradient(task, platform)
    return _tiles(CHIPS[platform], task, CHIPS[platform].value_tile)


def gradient(task: Task, platform: str) -> Walk:
    """The walk of value and gradient."""
    if export.is_symbolic_dim(task.rows):
        return Walk(task.rows, _even(task.classes, 512), on_cpu=platform == "cpu")
    if task.shards is not None:
        rows = _divisor(task.rows, max(_affordable(task, platform), 8) * task.shards, task.shards)
        return Walk(rows, task.classes, keep=True, on_cpu=platform == "cpu")
    return _on_a_cpu(task) if platform == "cpu" else _on_a_chip(CHIPS[platform], task, _affordable(task, platform))


def whole_rows(task: Task, platform: str) -> Walk:
    """The walk of a derivative that JAX takes: some rows with all of their classes at a time."""
    rows = _even(task.rows, max(_affordable(task, platform), 8)) if task.free else gradient(task, platform).rows
    return Walk(rows, task.classes, on_cpu=platform == "cpu")


def _numbers(task: Task, platform: str) -> int:
    """How many logits may be at hand."""
    memory = task.memory or max(32 * MiB if platform == "cpu" else 2048 * MiB, task.kernel_bytes // 8)
    return int(memory // task.dtype.itemsize)


def _affordable(task: Task, platform: str) -> int:
    """How many rows may have theirs at hand."""
    return _numbers(task, platform) // task.classes


def _on_a_cpu(task: Task) -> Walk:
    """Tiles that stay in the cache.

    Where products are cheap, as in a CPU's units for bfloat16, the traffic of kept logits costs more than a fourth one.
    """
    affordable, side = _affordable(task, "cpu"), max(math.isqrt(_numbers(task, "cpu")), 128)
    few = task.factor != task.dtype or affordable < min(task.rows, 128)
    if task.strategy == "small" or (task.strategy in ("auto", "slope") and few):
        return Walk(_even(task.rows, min(side, 768)), _even(task.classes, min(side, 512)), on_cpu=True)
    return Walk(_even(task.rows, max(min(affordable, 256), 8)), _even(task.classes, 1024), keep=True, on_cpu=True)


def _on_a_chip(chip: Chip, task: Task, affordable: int) -> Walk:
    """Matrices as large as they may be: all rows at once, where memory allows it."""
    small = _tiles(chip, task, chip.tile)
    strategy = _fastest(chip, task, affordable, small.columns) if task.strategy == "auto" else task.strategy
    if strategy == "fast":
        rows = task.rows if task.memory is None else _even(task.rows, max(affordable, 8))
        return Walk(rows, task.classes, keep=True)
    return Walk(task.rows, task.classes) if strategy == "slope" else small


def _tiles(chip: Chip, task: Task, most: float) -> Walk:
    """Tiles of so many bytes. Fewer than 128 columns are no product for a matrix unit: then the rows are cut too."""
    numbers = int(min(most, 2**62) / task.dtype.itemsize)
    columns = max(numbers // task.rows // 128 * 128, 128)
    return Walk(_even(task.rows, max(numbers // columns, 8)), _even(task.classes, columns, chip.multiple))


def _fastest(chip: Chip, task: Task, affordable: int, columns: int) -> str:
    """The strategy of the least flops / peak + bytes / bandwidth among those that keep within `memory`."""
    logits, product = task.rows * task.classes * task.dtype.itemsize, 2 * task.rows * task.classes * task.depth
    # A tile reads the hidden states three times, and reads and writes their gradient in float32.
    of_tiles = 14 * task.rows * task.depth * (task.classes / columns) + 3 * task.kernel_bytes + 2 * logits
    seconds = {"small": 4 * product / chip.flops + of_tiles / chip.bandwidth}
    for strategy, products, moved, kept in zip(("fast", "slope"), (3, 4), chip.moved, chip.kept, strict=True):
        if kept * task.rows <= affordable and (strategy == "fast" or task.factor != task.dtype):
            seconds[strategy] = products * product / chip.flops + moved * logits / chip.bandwidth
    return min(seconds, key=lambda strategy: seconds[strategy])


def _even(total: int, most: int, multiple: int = 8) -> int:
    """The size of the parts when as few as may be are about the same; a multiple, as matrices like it."""
    parts = max(math.ceil(total / most), 1)
    return max(total, 1) if parts == 1 else -(-math.ceil(total / parts) // multiple) * multiple


def _divisor(rows: int, most: int, shards: int) -> int:
    """The largest size of equal parts, each as much from each device as from the others."""
    fitting = (size for size in range(max(min(most, rows), 1), 0, -1) if rows % size == 0 and size % shards == 0)
    return next(fitting, max(rows, 1))
