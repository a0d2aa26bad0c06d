"""What is compiled of each loss: the shapes of its arrays, its options, and the plainest formula beside it."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from formulas import FORMULAS
from jax import Array

import jaxloss

ENTRIES = 2**25  # of an ordinary array: 128 MiB in float32
AXES = {"k": 4096, "d": 4096, "n": 4096, "t": 4096, "m": 128, "c": 9, "q": 9, "v": 131072, "4": 4, "h": 256, "w": 256}
_OF_PAIRS = (
    "list_mle",
    "unique_softmax",
    "pairwise_logistic",
    "pairwise_hinge",
    "pairwise_squared_hinge",
    "approx_ndcg",
    "approx_mrr",
    "lambda_rank",
    "cox",
)
_OF_BATCHES = (
    "clip",
    "siglip",
    "nt_xent",
    "supervised_contrastive",
    "batch_hard_triplet",
    "batch_semi_hard_triplet",
    "batch_all_triplet",
    "multi_similarity",
    "circle",
    "koleo",
    "uniformity",
)
OWN_AXES: Mapping[str, Mapping[str, int]] = {
    "softmax_cross_entropy_with_integer_labels": {"k": 32768, "items": 8192},
    "scale_invariant_log_error": {"n": 65536},
    "energy_score": {"m": 16, "d": 256},
    "triplet": {"d": 256},
    **{loss: {"n": 64} for loss in (*_OF_PAIRS, *_OF_BATCHES)},
    "ctc": {"t": 256, "k": 64, "n": 32},
    "additive_transducer": {"t": 128, "s": 33, "n": 32, "k": 64},
    "transducer": {"t": 128, "s": 33, "n": 32, "k": 64},
    "crf": {"t": 256, "k": 64},
    "soft_dtw": {"n": 64, "m": 64, "d": 16},
    "proxy_anchor": {"n": 64, "v": 64},
    **{loss: {"n": 4096, "d": 64} for loss in ("barlow_twins", "vicreg")},
    "linear_softmax_cross_entropy": {"items": 8192},
    "ssim": {"c": 3},
    "ms_ssim": {"c": 3},
    "total_variation": {"c": 3},
    "style": {"m": 4096, "d": 64},
    "multi_resolution_stft": {"t": 16384, "items": 256},
    "top_k_distillation": {"v": 32768, "k": 64},
    "wasserstein_1d": {"n": 1024, "m": 1024},
    "sliced_wasserstein": {"n": 256, "m": 256, "d": 16, "r": 8},
    "energy_distance": {"n": 64, "m": 64, "d": 64},
    "mmd": {"n": 64, "m": 64, "d": 64},
    "sinkhorn_divergence": {"n": 64, "m": 64, "d": 64},
}
SHARED = {  # by all items
    *("thresholds", "kernel", "bias", "embedding", "class_mask", "directions", "negatives", "transitions", "proxies"),
}
LEFT_OUT = {  # where None is the default
    *("class_mask", "item_mask", "token_mask", "pixel_mask", "frame_mask", "label_mask", "negative_mask"),
    *("prediction_mask", "target_mask", "bias", "embedding", "p_mass", "q_mass", "start", "end", "labels", "center"),
}
OPTIONS: Mapping[str, Mapping[str, float]] = {
    "student_t_nll": {"degrees_of_freedom": 5.0},
    "renyi_divergence": {"alpha": 0.5},
}
ROW_OPTIONS = {
    "logit_adjusted_cross_entropy": "log_prior",
    "ldam": "class_counts",
    "multi_quantile": "quantiles",
}  # [k]


@dataclass(frozen=True)
class Work:
    """A loss, the arrays it takes and its options; `extra` is "", "where" or "weights"."""

    loss: str
    arrays: Mapping[str, jax.ShapeDtypeStruct]
    options: Mapping[str, float] = field(default_factory=dict)
    extra: str = ""

    def __str__(self) -> str:
        options = "".join(f", {name}={value:g}" for name, value in self.options.items())
        return f"{self.loss}, {'x'.join(map(str, self.first.shape))}{options}"

    @property
    def first(self) -> jax.ShapeDtypeStruct:
        """The array that the gradient is taken in."""
        return next(iter(self.arrays.values()))

    @property
    def rows(self) -> bool:
        """Whether the loss takes rows, and not one number of each array."""
        return jaxloss.catalogue[self.loss].signature is not None

    def limit(self, gradient: bool) -> int:
        """The bytes of the arrays, each read once, and of the gradient of the first, written once."""
        return sum(map(size, self.arrays.values())) + gradient * size(self.first)

    def ours(self, *arrays: Array) -> Array:
        """The cost by the library."""
        return jaxloss.catalogue[self.loss](**dict(zip(self.arrays, arrays, strict=True)), **self.options)

    def plain(self, *arrays: Array) -> Array:
        """The cost by the plainest formula, in float32; masked and weighed where the values come out."""
        named = dict(zip(self.arrays, arrays, strict=True))
        where, weights = named.pop("where", None), named.pop("weights", None)
        if self.loss != "linear_softmax_cross_entropy":  # whose product adds up in float32
            named = {k: a.astype(jnp.float32) if jnp.issubdtype(a.dtype, jnp.floating) else a for k, a in named.items()}
        values = FORMULAS[self.loss](*named.values(), **self.options)
        return jnp.mean(values, where=where) if weights is None else jnp.sum(weights * values) / jnp.sum(weights)


def size(array: jax.ShapeDtypeStruct) -> int:
    """The bytes of an array."""
    return math.prod(array.shape) * array.dtype.itemsize


def work(
    loss: str,
    dtype: Any = jnp.float32,
    *,
    shape: tuple[int, ...] = (),
    options: Mapping[str, float] | None = None,
    extra: str = "",
) -> Work:
    """The work of a loss in its ordinary shape, or in `shape`: the number of items and the length of a row."""
    parameters = jaxloss.catalogue[loss].__signature__.parameters
    names = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY and n not in ("where", "weights")]
    inputs, _, output = (jaxloss.catalogue[loss].signature or "->()").partition("->")
    cores = dict(zip(names, _cores(inputs) or [()] * len(names), strict=True))
    row = next((core for core in cores.values() if core), ())
    axes = {**AXES, **OWN_AXES.get(loss, {})}
    if shape:
        axes |= {"items": shape[0], **({row[-1]: shape[1]} if row else {})}
    length = max(math.prod(axes[a] for a in core) for name, core in cores.items() if name not in SHARED)
    items = axes.get("items", ENTRIES // length)
    leading = (items,) if length > 1 else shape or (items // 4096, 4096)

    def struct(name: str) -> jax.ShapeDtypeStruct:
        kind = jnp.int32 if name == "labels" else jnp.bool_ if name.endswith("_mask") else dtype
        return jax.ShapeDtypeStruct((() if name in SHARED else leading) + tuple(axes[a] for a in cores[name]), kind)

    arrays = {name: struct(name) for name in names if not (name in LEFT_OUT and parameters[name].default is None)}
    if loss in ROW_OPTIONS:
        arrays[ROW_OPTIONS[loss]] = jax.ShapeDtypeStruct((axes[row[-1]],), jnp.float32)
    if extra:
        values = leading + tuple(axes[a] for a in _cores(output)[0])
        arrays[extra] = jax.ShapeDtypeStruct(values, jnp.bool_ if extra == "where" else jnp.float32)
    return Work(loss, arrays, {**OPTIONS.get(loss, {}), **(options or {})}, extra)


def _cores(signature: str) -> list[tuple[str, ...]]:
    """The core axes of each array in one side of a signature, such as "(k),()"."""
    return [tuple(axis for axis in core.split(",") if axis) for core in re.findall(r"\(([^)]*)\)", signature)]


INTEGER, DENSE = "softmax_cross_entropy_with_integer_labels", "softmax_cross_entropy"
VARIANTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (INTEGER, {"options": {"label_smoothing": 0.1}, "shape": (8192, 4096)}),
    (INTEGER, {"options": {"label_smoothing": 0.1, "z_loss": 1e-4}, "shape": (8192, 4096)}),
    (DENSE, {"options": {"label_smoothing": 0.1}}),
    *((INTEGER, {"shape": (ENTRIES // k // 8 * 8, k)}) for k in (10, 100, 1000)),
    *((DENSE, {"shape": (ENTRIES // k // 8 * 8, k)}) for k in (10, 100)),
)
"""What is compiled beside the losses as they come: options of theirs, and the sizes of beginners."""


def works(losses: Iterable[str] | None = None, dtype: Any = jnp.float32, extra: str = "") -> list[Work]:
    """What is compiled of these losses, of all of the catalogue by default."""
    losses = list(jaxloss.catalogue if losses is None else losses)
    listed = [(loss, {}) for loss in losses] + [(loss, given) for loss, given in VARIANTS if loss in losses]
    return [work(loss, dtype, extra=extra, **given) for loss, given in sorted(listed, key=lambda x: losses.index(x[0]))]
