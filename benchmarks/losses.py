"""Every loss that a peer also has, side by side in one process on the same work: time, memory, compilation.

python benchmarks/losses.py [--quick] [--only NAME ...] [--output DIRECTORY]

Writes losses.md and losses.png. The peers are optax, and torch, keras and rax where they can be imported. All take
turns within each round, so that a busy machine slows them alike; a ratio is the median over rounds of our time against
that of the peer in the same round, with its quartiles, and one of ours against ours shows what a ratio is worth. The
limit is what the machine needs to read the inputs once, and for a gradient to write one array, measured likewise. What
the compiler counts (temporaries, bytes, fusions) is exact, and needs no quiet machine.
"""

import argparse
import datetime as dt
import importlib
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")
# One thread for each: threads that wait for each other on a busy machine would be most of what is measured.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import optax
from tqdm import tqdm

import jaxloss


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


keras, rax, torch = _imported("keras"), _imported("rax"), _imported("torch")
if torch:
    torch.set_num_threads(1)

mpl.use("Agg")

HERE = Path(__file__).parent
PEERS = ("optax", "torch", "keras", "rax")
NOISE = 1.05
"""A ratio up to this is no difference: it is about what ours against ours shows on a busy machine."""

# ------------------------------------------------------------------------------------------------------ the same work


class Sizes(NamedTuple):
    """How many elements, and how they are cut into rows where a loss takes rows."""

    elements: int
    classes: int

    @property
    def rows(self) -> int:
        return self.elements // self.classes


FULL, QUICK = Sizes(2**22, 1024), Sizes(2**19, 1024)


def _distribution(random: np.random.Generator, rows: int, classes: int) -> np.ndarray:
    raw = np.exp(random.normal(size=(rows, classes)))
    return raw / raw.sum(axis=-1, keepdims=True)


def _data(sizes: Sizes, kind: str) -> tuple[np.ndarray, ...]:
    """The arrays of one kind of loss; the gradient is taken in the first."""
    random = np.random.default_rng(0)
    n, rows, classes = sizes.elements, sizes.rows, sizes.classes
    logits = 3 * random.normal(size=(rows, classes))
    labels = random.integers(0, classes, rows).astype(np.int32)
    coin = random.integers(0, 2, n)
    kinds: dict[str, Callable[[], tuple[Any, ...]]] = {
        "errors": lambda: (2 * random.normal(size=n), 2 * random.normal(size=n)),
        "amounts": lambda: (random.gamma(2.0, size=n), random.gamma(2.0, size=n) + 0.1),
        "counts": lambda: (random.normal(size=n), random.poisson(2.0, n)),
        "gaussian": lambda: (random.normal(size=n), random.normal(size=n), random.normal(size=n)),
        "logits, targets": lambda: (3 * random.normal(size=n), coin),
        "probabilities, targets": lambda: (random.uniform(0.01, 0.99, n), coin),
        "scores, signs": lambda: (2 * random.normal(size=n), 2 * coin - 1),
        "rows, targets": lambda: (logits, _distribution(random, rows, classes)),
        "rows, one-hot": lambda: (logits, np.eye(classes)[labels]),
        "rows, labels": lambda: (logits, labels),
        "distribution, targets": lambda: (
            _distribution(random, rows, classes),
            _distribution(random, rows, classes),
        ),
        "distribution, labels": lambda: (_distribution(random, rows, classes), labels),
        "vectors": lambda: (random.normal(size=(n // 64, 64)), random.normal(size=(n // 64, 64))),
        "triplets": lambda: tuple(random.normal(size=(n // 64, 64)) for _ in range(3)),
    }
    return tuple(x if x.dtype == np.int32 else x.astype(np.float32) for x in kinds[kind]())


# ---------------------------------------------------------------------------------------------------------- the pairs


class Pair(NamedTuple):
    """What each peer calls a loss: an expression in its package (`F` is torch.nn.functional), of the arrays a, b, c.

    `arguments` says how ours takes the arrays, where that is another order.
    """

    kind: str
    optax: str = ""
    torch: str = ""
    keras: str = ""
    rax: str = ""
    ours: str = "loss(a, b)"


PAIRS: dict[str, Pair] = {
    "squared_error": Pair(
        "errors", "optax.squared_error(a, b)", "F.mse_loss(a, b)", "keras.losses.mean_squared_error(b, a)"
    ),
    "absolute_error": Pair("errors", "", "F.l1_loss(a, b)", "keras.losses.mean_absolute_error(b, a)"),
    "huber": Pair("errors", "optax.huber_loss(a, b)", "F.huber_loss(a, b)", "keras.losses.huber(b, a)"),
    "smooth_l1": Pair("errors", "", "F.smooth_l1_loss(a, b)"),
    "log_cosh": Pair("errors", "optax.log_cosh(a, b)", "", "keras.losses.log_cosh(b, a)"),
    "squared_log_error": Pair("amounts", "", "", "keras.losses.mean_squared_logarithmic_error(b, a)"),
    "absolute_percentage_error": Pair("amounts", "", "", "keras.losses.mean_absolute_percentage_error(b, a)"),
    "poisson_nll": Pair("counts", "", "F.poisson_nll_loss(a, b)"),
    "gaussian_nll": Pair("gaussian", "", "F.gaussian_nll_loss(a, b, c.exp())", ours="loss(a, b, c)"),
    "binary_cross_entropy": Pair(
        "probabilities, targets", "", "F.binary_cross_entropy(a, b)", "keras.losses.binary_crossentropy(b, a)"
    ),
    "sigmoid_binary_cross_entropy": Pair(
        "logits, targets",
        "optax.sigmoid_binary_cross_entropy(a, b)",
        "F.binary_cross_entropy_with_logits(a, b)",
        "keras.losses.binary_crossentropy(b, a, from_logits=True)",
        "rax.pointwise_sigmoid_loss(a[None], b[None])",
    ),
    "binary_focal": Pair(
        "probabilities, targets",
        keras="keras.losses.binary_focal_crossentropy(b, a, apply_class_balancing=True)",
    ),
    "sigmoid_focal": Pair(
        "logits, targets",
        "optax.sigmoid_focal_loss(a, b)",
        keras="keras.losses.binary_focal_crossentropy(b, a, from_logits=True)",
    ),
    "hinge": Pair("scores, signs", "optax.hinge_loss(a, b)", "", "keras.losses.hinge(b, a)"),
    "squared_hinge": Pair("scores, signs", keras="keras.losses.squared_hinge(b, a)"),
    "perceptron": Pair("scores, signs", "optax.perceptron_loss(a, b)"),
    "sparsemax": Pair("logits, targets", "optax.sparsemax_loss(a, b)", ours="loss(a, b.astype(int))"),
    "softmax_cross_entropy": Pair(
        "rows, targets",
        "optax.softmax_cross_entropy(a, b)",
        "F.cross_entropy(a, b)",
        "keras.losses.categorical_crossentropy(b, a, from_logits=True)",
        "rax.softmax_loss(a, b)",
    ),
    "softmax_cross_entropy_with_integer_labels": Pair(
        "rows, labels",
        "optax.softmax_cross_entropy_with_integer_labels(a, b)",
        "F.cross_entropy(a, b.long())",
        "keras.losses.sparse_categorical_crossentropy(b, a, from_logits=True)",
    ),
    "categorical_cross_entropy": Pair("distribution, targets", keras="keras.losses.categorical_crossentropy(b, a)"),
    "sparse_categorical_cross_entropy": Pair(
        "distribution, labels",
        torch="F.nll_loss(a.log(), b.long())",
        keras="keras.losses.sparse_categorical_crossentropy(b, a)",
    ),
    "poly_cross_entropy": Pair("rows, targets", "optax.poly_loss_cross_entropy(a, b)"),
    "multiclass_hinge": Pair("rows, labels", "optax.multiclass_hinge_loss(a, b)"),
    "multiclass_perceptron": Pair("rows, labels", "optax.multiclass_perceptron_loss(a, b)"),
    "multiclass_sparsemax": Pair("rows, labels", "optax.multiclass_sparsemax_loss(a, b)"),
    "kl_divergence": Pair(
        "distribution, targets",
        "optax.kl_divergence(jnp.log(a), b)",
        "F.kl_div(a.log(), b, reduction='batchmean')",
        "keras.losses.kl_divergence(b, a)",
        ours="loss(b, a)",
    ),
    "generalized_kl_divergence": Pair(
        "distribution, targets", "optax.generalized_kl_divergence(jnp.log(a), b)", ours="loss(b, a)"
    ),
    "kl_divergence_with_logits": Pair(
        "rows, targets",
        "optax.kl_divergence(jax.nn.log_softmax(a), jax.nn.softmax(b))",
        "F.kl_div(F.log_softmax(a, -1), F.softmax(b, -1), reduction='batchmean')",
        ours="loss(b, a)",
    ),
    "cosine_distance": Pair("vectors", "optax.cosine_distance(a, b)", "1 - F.cosine_similarity(a, b)"),
    "triplet": Pair(
        "triplets",
        "optax.triplet_margin_loss(a, b, c, margin=0.2)",
        "F.triplet_margin_loss(a, b, c, margin=0.2)",
        ours="loss(a, b, c)",
    ),
}
"""The one table of who has what: the names are those of `jaxloss.catalogue`."""


def _jax_cost(expression: str, **names: Any) -> Callable[..., jax.Array]:
    code = compile(expression, "<pair>", "eval")
    scope = {"jax": jax, "jnp": jnp, "optax": optax.losses, "keras": keras, "rax": rax, **names}
    return lambda *arrays: jnp.mean(eval(code, scope, dict(zip("abc", arrays, strict=False))))


def _torch_run(expression: str, arrays: tuple[np.ndarray, ...], gradient: bool) -> Callable[[], None]:
    code = compile(expression, "<pair>", "eval")
    scope = {"torch": torch, "F": torch.nn.functional}
    tensors = [torch.from_numpy(array.copy()) for array in arrays]

    def run() -> None:
        tensors[0].grad = None
        with torch.set_grad_enabled(gradient):
            tensors[0].requires_grad_(gradient)
            cost = torch.mean(eval(code, scope, dict(zip("abc", tensors, strict=False))))
            if gradient:
                cost.backward()
        cost.item()

    return run


# --------------------------------------------------------------------------------------------- what the compiler counts


@dataclass
class Program:
    """A compiled cost, and what the compiler says of it."""

    run: Callable[[], None]
    seconds: float
    temporaries: int
    bytes_accessed: float
    fusions: int


def _compiled(cost: Callable[..., jax.Array], arrays: tuple[jax.Array, ...], gradient: bool) -> Program:
    function = jax.value_and_grad(cost) if gradient else cost
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arrays).compile()
    seconds = time.perf_counter() - start
    entry = compiled.as_text().split("ENTRY ", 1)[1]
    analysis = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return Program(
        run=lambda: jax.block_until_ready(compiled(*arrays)),
        seconds=seconds,
        temporaries=memory.temp_size_in_bytes,
        bytes_accessed=float(analysis.get("bytes accessed", float("nan"))),
        fusions=sum(" fusion(" in line for line in entry.splitlines()),
    )


def _limit(arrays: tuple[jax.Array, ...], gradient: bool) -> Callable[[], None]:
    """Reads every input once and, for a gradient, writes one array like the first: the physical limit."""

    def touch(*xs: jax.Array) -> Any:
        total = sum(jnp.sum(x.astype(jnp.float32)) for x in xs)
        return (total, xs[0] + 1) if gradient else total

    def touch_alike(*xs: jax.Array) -> Any:
        total = sum(x.astype(jnp.float32) for x in xs)
        return (jnp.sum(total), total) if gradient else jnp.sum(total)

    alike = all(x.shape == arrays[0].shape for x in arrays)
    compiled = jax.jit(touch_alike if alike else touch).lower(*arrays).compile()
    return lambda: jax.block_until_ready(compiled(*arrays))


# ------------------------------------------------------------------------------------------------------------ the rows


class Spread(NamedTuple):
    """A median and its quartiles."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass
class Row:
    """One loss, its value or its value and gradient, measured."""

    loss: str
    gradient: bool
    milliseconds: float
    itself: Spread
    against: dict[str, Spread]
    limit: Spread
    ours: Program
    optax: Program | None
    full_size: int  # the bytes of an array of the inputs' size at one byte an element, which masks have
    compulsory_bytes: int
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        return "value and gradient" if self.gradient else "value"

    @property
    def behind(self) -> bool:
        """Whether a peer is faster by more than noise and by more than its spread."""
        return any(ratio.low > 1 and ratio.middle > NOISE for ratio in self.against.values())

    @property
    def worst(self) -> float:
        return max((ratio.middle for ratio in self.against.values()), default=0.0)


def _spread(ours: list[float], theirs: list[float]) -> Spread:
    return Spread(*statistics.quantiles([a / b for a, b in zip(ours, theirs, strict=True)], n=4))


def _measure(name: str, sizes: Sizes, gradient: bool, rounds: int) -> Row:
    pair, numbers = PAIRS[name], _data(sizes, PAIRS[name].kind)
    arrays = tuple(jnp.asarray(x) for x in numbers)
    ours = _compiled(_jax_cost(pair.ours, loss=jaxloss.catalogue[name]), arrays, gradient)
    programs: dict[str, Program] = {}
    runs: dict[str, Callable[[], None]] = {"ours": ours.run, "again": ours.run, "limit": _limit(arrays, gradient)}
    missing = {}
    for peer in PEERS:
        expression = getattr(pair, peer)
        if not expression or globals()[peer] is None:
            continue
        try:
            if peer == "torch":
                runs[peer] = _torch_run(expression, numbers, gradient)
            else:
                programs[peer] = _compiled(_jax_cost(expression), arrays, gradient)
                runs[peer] = programs[peer].run
            runs[peer]()
        except Exception as error:  # a peer that this JAX has left behind
            missing[peer] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
            runs.pop(peer, None)
    times = _take_turns(runs, rounds)
    first = arrays[0]
    return Row(
        loss=name,
        gradient=gradient,
        milliseconds=1e3 * statistics.median(times["ours"]),
        itself=_spread(times["ours"], times["again"]),
        against={peer: _spread(times["ours"], times[peer]) for peer in PEERS if peer in times},
        limit=_spread(times["ours"], times["limit"]),
        ours=ours,
        optax=programs.get("optax"),
        full_size=first.size,
        compulsory_bytes=sum(x.nbytes for x in arrays) + (first.nbytes if gradient else 0),
        missing=missing,
    )


def _take_turns(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(-2, rounds):
        # Another one begins each round, so that none always follows the same.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            runs[name]()
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    return times


# ---------------------------------------------------------------------------------------------------- table and picture

_COLUMNS = (
    "Loss, of which", "ms", "ours / ours", *(f"ours / {peer}" for peer in PEERS), "ours / limit", "temporaries, MiB",
    "optax's, MiB", "full-size ones", "bytes / compulsory", "fusions", "compile, ms", "ours / optax, compile",
)  # fmt: skip


def _cells(row: Row) -> Iterator[str]:
    yield f"`{row.loss}`, {row.what}"
    yield f"{row.milliseconds:.2f}"
    yield str(row.itself)
    for peer in PEERS:
        yield str(row.against[peer]) if peer in row.against else "fails" if peer in row.missing else ""
    yield f"{row.limit.middle:.1f}"
    yield f"{row.ours.temporaries / 2**20:.1f}"
    yield "" if row.optax is None else f"{row.optax.temporaries / 2**20:.1f}"
    yield "yes" if row.ours.temporaries >= row.full_size else "no"
    yield f"{row.ours.bytes_accessed / row.compulsory_bytes:.2f}"
    yield str(row.ours.fusions)
    yield f"{1e3 * row.ours.seconds:.0f}"
    yield "" if row.optax is None else f"{row.ours.seconds / row.optax.seconds:.2f}"


def _table(rows: list[Row]) -> list[str]:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + " --- |" * len(_COLUMNS)]
    return lines + ["| " + " | ".join(_cells(row)) + " |" for row in rows]


def _circumstances(sizes: Sizes, rounds: int) -> str:
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    packages = {"jax": jax, "optax": optax, "torch": torch, "keras": keras, "rax": rax}
    versions = ", ".join(f"{name} {getattr(module, '__version__', '?')}" for name, module in packages.items() if module)
    missing = ", ".join(name for name, module in packages.items() if module is None)
    absent = f"; not installed: {missing}" if missing else ""
    device = jax.devices()[0]
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"{dt.date.today()}, commit {commit}; {platform.machine()} with {os.cpu_count()} cores, "
        f"{device.device_kind}, load {load}; Python {platform.python_version()}, {versions}{absent}; "
        f"{sizes.elements} elements, rows of {sizes.classes}, float32, one thread each, {rounds} rounds."
    )


def _report(rows: list[Row], sizes: Sizes, rounds: int) -> str:
    rows = sorted(rows, key=lambda row: (not row.behind, -row.worst))
    behind, rest = [row for row in rows if row.behind], [row for row in rows if not row.behind]
    notes = [f"- `{row.loss}`, {row.what}, {peer}: {why}" for row in rows for peer, why in row.missing.items()]
    lines = [
        "# The losses beside their peers",
        "",
        _circumstances(sizes, rounds),
        "",
        "Written by `make bench`. A ratio is the median of our time over that of the peer in the same round, with its "
        "quartiles: below 1 we are faster. Ours over ours shows what a ratio is worth. The limit reads each input once "
        "and writes one array for a gradient.",
        "",
        f"## Behind a peer by more than noise ({len(behind)} of {len(rows)})",
        "",
        *(_table(behind) if behind else ["None."]),
        "",
        "## Level or ahead",
        "",
        *_table(rest),
        *(["", "## What a peer could not do", "", *notes] if notes else []),
        "",
    ]
    return "\n".join(lines)


_MARKS = {"optax": ("o", "0.0"), "torch": ("s", "0.35"), "keras": ("^", "0.55"), "rax": ("x", "0.2")}


def _picture(rows: list[Row], path: Path, circumstances: str) -> None:
    """One line a loss, one mark a peer: how long ours takes against it, value left, value and gradient right."""
    names = sorted({row.loss for row in rows}, key=lambda name: max(row.worst for row in rows if row.loss == name))
    figure, panels = plt.subplots(1, 2, figsize=(11, 1.6 + 0.27 * len(names)), sharey=True, layout="constrained")
    for panel, gradient in zip(panels, (False, True), strict=True):
        panel.axvline(1, color="0.3", linewidth=1)
        panel.axvspan(1 / NOISE, NOISE, color="0.9")
        for peer, (mark, grey) in _MARKS.items():
            shown = [row for row in rows if row.gradient == gradient and peer in row.against]
            if not shown:
                continue
            middle = np.array([row.against[peer].middle for row in shown])
            sides = np.array(
                [[m - row.against[peer].low, row.against[peer].high - m] for m, row in zip(middle, shown, strict=True)]
            ).T
            height = [names.index(row.loss) for row in shown]
            fill = "white" if mark != "x" and peer != "optax" else grey
            panel.errorbar(
                middle, height, xerr=np.maximum(sides, 0), fmt=mark, color=grey, markerfacecolor=fill, markersize=6,
                linewidth=1, label=peer,
            )  # fmt: skip
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(axis="both", color="0.9")
        panel.set_axisbelow(True)
        panel.set_title("value and gradient" if gradient else "value")
        panel.set_xlabel("our time / time of the peer, below 1 is faster")
    panels[0].set_yticks(range(len(names)), names)
    panels[1].legend(loc="lower right")
    figure.suptitle("The losses beside their peers: medians of paired ratios, with quartiles", fontsize=12)
    figure.supxlabel(circumstances, fontsize=6, color="0.3", wrap=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measures, prints the table and stores it beside the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller arrays and fewer rounds: about two minutes")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--output", type=Path, default=HERE, help="where losses.md and losses.png go")
    given = parser.parse_args()
    sizes, rounds = (QUICK, 7) if given.quick else (FULL, 15)
    work = [(name, gradient) for name in given.only for gradient in (False, True)]
    rows = []
    with tqdm(work) as progress:
        for name, gradient in progress:
            progress.set_description(name)
            rows.append(_measure(name, sizes, gradient, rounds))
    report = _report(rows, sizes, rounds)
    print(report)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "losses.md").write_text(report)
    _picture(rows, given.output / "losses.png", _circumstances(sizes, rounds))


if __name__ == "__main__":
    main()
