"""How to call a loss of a peer as one of ours: many items in, in our order, and a value an item out.

Where a peer takes other arguments (logarithms, variances, one-hot labels), they are made from ours with its own
functions, and `from_ours` says which; what it lacks (a constant, a sign, a half) is put right in the open.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import rax
import torch
import torch.nn.functional as F
from judge import curvatures

import jaxloss

LIBRARIES = ("optax", "torch", "keras", "rax")
TARGETS = ("target", "targets", "p", "p_logits")


@dataclass(frozen=True, eq=False)
class Call:
    """A public function of a peer beside the loss of ours that says the same.

    Attributes:
        peer: The library and the name in it.
        ours: The name of the loss.
        function: From our arrays, with a value an item; its keywords are those of our options that it has, too.
        from_ours: What is made of our arrays, where the function does not take them as they are.
        options: Our options at which they agree, where that is not at our defaults.
        differs: What it means to be otherwise, and not by mistake.
        only: The items on which it says the same nevertheless, from the arrays.
        slopes: The positions of the arrays whose gradients are the same, too; None for all but targets.
        singular: Whether what is made of our arrays has no slope at a corner of theirs, which is not the peer's fault.
        wrong_at: Sets of our options at which the peer is wrong on ordinary items.
        rtol: How close they are on ordinary items, where a constant of the peer is in the way.
    """

    peer: str
    ours: str
    function: Callable[..., Any]
    from_ours: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""
    only: Callable[..., np.ndarray] = lambda *arrays: np.ones(len(arrays[0]), bool)
    slopes: tuple[int, ...] | None = None
    singular: bool = False
    wrong_at: tuple[Mapping[str, Any], ...] = ()
    rtol: float = 1e-5

    @property
    def library(self) -> str:
        return self.peer.split(".")[0]

    def takes(self, options: Mapping[str, Any]) -> bool:
        """Whether the peer has these options of ours."""
        return set(options) <= set(inspect.signature(self.function).parameters)

    def positions(self, differentiable: tuple[int, ...]) -> tuple[int, ...]:
        """Of the arrays whose gradients are compared: not those of targets, which few would differentiate."""
        if self.slopes is not None:
            return self.slopes
        names = list(inspect.signature(jaxloss.catalogue[self.ours]).parameters)
        return tuple(position for position in differentiable if names[position] not in TARGETS)

    def values_and_gradients(
        self, arrays: tuple[np.ndarray, ...], positions: tuple[int, ...], options: Mapping[str, Any]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of all items: an item has a gradient in its own value only. JAX is jitted, as it is used."""
        run = _with_torch if self.library == "torch" else _with_jax
        return run(self._with(options), arrays, positions)

    def curvatures(
        self, arrays: tuple[np.ndarray, ...], positions: tuple[int, ...], options: Mapping[str, Any]
    ) -> list[np.ndarray]:
        """The second derivative in each number of each item, for each array."""
        run = _curvatures_with_torch if self.library == "torch" else _curvatures_with_jax
        return run(self._with(options), arrays, positions)

    def _with(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        taken = {name: option for name, option in options.items() if self.takes({name: option})}
        return functools.partial(self.function, **taken)


def _pulled(function, positions, *arrays):
    def values_of(*some):
        chosen = dict(zip(positions, some, strict=True))
        return function(*(chosen.get(k, array) for k, array in enumerate(arrays)))

    values, pull = jax.vjp(values_of, *(arrays[position] for position in positions))
    return values, pull(jnp.ones_like(values))


def _with_jax(function, arrays, positions):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        values, gradients = jax.jit(functools.partial(_pulled, function, positions))(*map(jnp.asarray, arrays))
    return np.asarray(values), [np.array(gradient) for gradient in gradients]


def _curvatures_with_jax(function, arrays, positions):
    def run(*arrays):
        def gradient(k):
            return lambda x: _pulled(function, (k,), *arrays[:k], x, *arrays[k + 1 :])[1][0]

        return [curvatures(gradient(k), arrays[k]) for k in positions]

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return [np.asarray(found) for found in jax.jit(run)(*map(jnp.asarray, arrays))]


def _curvatures_with_torch(function, arrays, positions):
    found = []
    for position in positions:
        tensors = [torch.tensor(array.astype(np.int64) if array.dtype.kind == "i" else array) for array in arrays]
        x = tensors[position].requires_grad_()
        slopes = torch.autograd.grad(function(*tensors).sum(), x, create_graph=True)[0].reshape(len(x), -1)
        columns = []
        for k in range(slopes.shape[1]):
            bend = (
                torch.autograd.grad(slopes[:, k].sum(), x, retain_graph=True, allow_unused=True)[0]
                if slopes.requires_grad
                else None
            )
            columns.append(
                np.zeros(len(x), np.float32) if bend is None else bend.reshape(len(x), -1)[:, k].numpy(force=True)
            )
        found.append(np.stack(columns, -1))
    return found


def _with_torch(function, arrays, positions):
    tensors = [torch.tensor(array.astype(np.int64) if array.dtype.kind == "i" else array) for array in arrays]
    for position in positions:
        tensors[position].requires_grad_()
    values = function(*tensors)
    if not positions:
        return values.numpy(), []
    slopes = torch.autograd.grad(values.sum(), [tensors[position] for position in positions], allow_unused=True)
    zeros = (torch.zeros_like(tensors[position]) for position in positions)
    gradients = [zero if slope is None else slope for slope, zero in zip(slopes, zeros, strict=True)]
    return values.detach().numpy(), [gradient.numpy(force=True).copy() for gradient in gradients]


def resolve(name: str) -> Any:
    """The function behind a public name, as `torch.nn.functional.mse_loss`."""
    module, function = name.rsplit(".", 1)
    return getattr(importlib.import_module(module), function)


# ------------------------------------------------------------------------------------------------------------ adapters


def _column(loss):
    """Keras takes the mean over the last axis, target first."""
    return lambda prediction, target, **options: loss(target[:, None], prediction[:, None], **options)


def _rows(loss):
    return lambda prediction, target, **options: loss(target, prediction, **options)


def _each(loss, **fixed):
    return lambda *arrays, **options: loss(*arrays, reduction="none", **fixed, **options)


def _list_of_one(loss):
    return lambda scores, labels: loss(scores[:, None], labels[:, None], reduce_fn=None)[:, 0]


def _triplet_distance(u, v):
    return torch.linalg.vector_norm(u - v, dim=-1)


def _log_factorial(target):
    return jax.scipy.special.gammaln(target + 1)


def _one_hot(labels, logits):
    return jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)


def _zero_or_one(*arrays):
    return (arrays[1] == 0) | (arrays[1] == 1)


_k = keras.losses
_MIXED = "a target between 0 and 1 enters the modulating factor; ours mixes the two cases"
_NORMALISED = "probabilities are divided by their sum first; ours are taken as they are"

OPTAX = (
    Call("optax.losses.squared_error", "squared_error", optax.losses.squared_error),
    Call("optax.losses.l2_loss", "squared_error", lambda p, t: 2 * optax.l2_loss(p, t), "twice it"),
    Call("optax.losses.huber_loss", "huber", lambda p, t, *, delta: optax.losses.huber_loss(p, t, delta=delta)),
    Call("optax.losses.log_cosh", "log_cosh", optax.losses.log_cosh),
    Call("optax.losses.cosine_distance", "cosine_distance", lambda u, v: optax.losses.cosine_distance(u, v)),
    Call(
        "optax.losses.cosine_similarity",
        "cosine_distance",
        lambda u, v: 1 - optax.losses.cosine_similarity(u, v),
        "1 - it",
    ),
    Call(
        "optax.losses.sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy",
        lambda x, t: optax.losses.sigmoid_binary_cross_entropy(x, t),
    ),
    Call(
        "optax.losses.softmax_cross_entropy",
        "softmax_cross_entropy",
        lambda x, t: optax.losses.softmax_cross_entropy(x, t),
    ),
    Call(
        "optax.losses.safe_softmax_cross_entropy",
        "softmax_cross_entropy",
        lambda x, t: optax.losses.safe_softmax_cross_entropy(x, t),
    ),
    Call(
        "optax.losses.smooth_labels",
        "softmax_cross_entropy",
        lambda x, t, *, label_smoothing: optax.losses.softmax_cross_entropy(
            x, optax.losses.smooth_labels(t, label_smoothing)
        ),
        "targets smoothed before softmax_cross_entropy",
        options={"label_smoothing": 0.1},
    ),
    Call(
        "optax.losses.softmax_cross_entropy_with_integer_labels",
        "softmax_cross_entropy_with_integer_labels",
        lambda x, y: optax.losses.softmax_cross_entropy_with_integer_labels(x, y),
    ),
    Call(
        "optax.losses.sigmoid_focal_loss",
        "sigmoid_focal",
        lambda x, t, *, gamma, alpha=None: optax.losses.sigmoid_focal_loss(x, t, alpha=alpha, gamma=gamma),
        differs=_MIXED,
        only=_zero_or_one,
    ),
    Call("optax.losses.hinge_loss", "hinge", optax.losses.hinge_loss),
    Call("optax.losses.perceptron_loss", "perceptron", optax.losses.perceptron_loss),
    Call("optax.losses.multiclass_hinge_loss", "multiclass_hinge", jax.vmap(optax.losses.multiclass_hinge_loss)),
    Call(
        "optax.losses.multiclass_perceptron_loss",
        "multiclass_perceptron",
        jax.vmap(optax.losses.multiclass_perceptron_loss),
    ),
    Call("optax.losses.sparsemax_loss", "sparsemax", optax.losses.sparsemax_loss),
    Call(
        "optax.losses.multiclass_sparsemax_loss",
        "multiclass_sparsemax",
        optax.losses.multiclass_sparsemax_loss,
    ),
    Call(
        "optax.losses.poly_loss_cross_entropy",
        "poly_cross_entropy",
        lambda x, t, *, epsilon: optax.losses.poly_loss_cross_entropy(x, t, epsilon=epsilon),
    ),
    Call(
        "optax.losses.kl_divergence",
        "kl_divergence",
        lambda p, q: optax.losses.kl_divergence(jnp.log(q), p),
        "log q",
        singular=True,
    ),
    Call(
        "optax.losses.kl_divergence_with_log_targets",
        "kl_divergence_with_logits",
        lambda p, q, *, temperature: optax.losses.kl_divergence_with_log_targets(
            jax.nn.log_softmax(q / temperature), jax.nn.log_softmax(p / temperature)
        ),
        "log_softmax of both",
    ),
    Call(
        "optax.losses.generalized_kl_divergence",
        "generalized_kl_divergence",
        lambda p, q: optax.losses.generalized_kl_divergence(jnp.log(q), p),
        "log q",
        singular=True,
    ),
    Call(
        "optax.losses.triplet_margin_loss",
        "triplet",
        lambda a, p, n, *, margin: optax.losses.triplet_margin_loss(a, p, n, margin=margin),
    ),
    Call(
        "optax.losses.dice_loss",
        "dice",
        lambda p, y, *, smooth: optax.losses.dice_loss(
            jax.scipy.special.logit(p)[..., None], y[..., None], smooth=smooth / 2
        ),
        "the logits of p, as one class; half the smooth",
        slopes=(0,),
        singular=True,
    ),
    Call(
        "optax.losses.binary_dice_loss",
        "dice",
        lambda p, y, *, smooth: optax.losses.binary_dice_loss(jax.scipy.special.logit(p), y, smooth=smooth / 2),
        "the logits of p; half the smooth",
        slopes=(0,),
        singular=True,
    ),
)

_T = "torch.nn.functional."

TORCH = (
    Call(_T + "mse_loss", "squared_error", _each(F.mse_loss)),
    Call(_T + "l1_loss", "absolute_error", _each(F.l1_loss)),
    Call(_T + "huber_loss", "huber", lambda p, t, *, delta: F.huber_loss(p, t, "none", delta)),
    Call(_T + "smooth_l1_loss", "smooth_l1", lambda p, t, *, beta: F.smooth_l1_loss(p, t, reduction="none", beta=beta)),
    Call(_T + "cosine_similarity", "cosine_distance", lambda u, v: 1 - F.cosine_similarity(u, v), "1 - it"),
    Call(
        _T + "cosine_embedding_loss",
        "cosine_embedding",
        lambda u, v, target, *, margin: F.cosine_embedding_loss(u, v, target, margin, reduction="none"),
    ),
    Call(
        _T + "gaussian_nll_loss",
        "gaussian_nll",
        lambda mean, t, log_variance: F.gaussian_nll_loss(mean, t, log_variance.exp(), full=True, reduction="none"),
        "the variance",
    ),
    Call(
        _T + "poisson_nll_loss",
        "poisson_nll",
        lambda log_rate, t: F.poisson_nll_loss(log_rate, t, reduction="none") + torch.lgamma(t + 1),
        "log t! added: full=True adds Stirling's approximation of it",
    ),
    Call(
        _T + "nll_loss",
        "sparse_categorical_cross_entropy",
        lambda p, y: F.nll_loss(p.log(), y, reduction="none"),
        "log p",
        singular=True,
    ),
    Call(_T + "binary_cross_entropy", "binary_cross_entropy", _each(F.binary_cross_entropy)),
    Call(
        _T + "binary_cross_entropy_with_logits",
        "sigmoid_binary_cross_entropy",
        lambda x, t, *, positive_weight: F.binary_cross_entropy_with_logits(
            x, t, reduction="none", pos_weight=torch.tensor(positive_weight)
        ),
    ),
    Call(
        _T + "soft_margin_loss",
        "sigmoid_binary_cross_entropy",
        lambda x, t: F.soft_margin_loss(x, 2 * t - 1, reduction="none"),
        "the sign 2t - 1",
        differs="a target between 0 and 1 scales the logit; ours mixes the two cases",
        only=_zero_or_one,
    ),
    Call(
        _T + "cross_entropy",
        "softmax_cross_entropy_with_integer_labels",
        lambda x, y, *, label_smoothing: F.cross_entropy(x, y, reduction="none", label_smoothing=label_smoothing),
    ),
    Call(
        _T + "cross_entropy",
        "softmax_cross_entropy",
        lambda x, t, *, label_smoothing: F.cross_entropy(x, t, reduction="none", label_smoothing=label_smoothing),
    ),
    Call(
        _T + "kl_div",
        "kl_divergence",
        lambda p, q: F.kl_div(q.log(), p, reduction="none").sum(-1),
        "log q; summed",
        singular=True,
    ),
    Call(
        _T + "kl_div",
        "kl_divergence_with_logits",
        lambda p, q, *, temperature: F.kl_div(
            torch.log_softmax(q / temperature, -1),
            torch.log_softmax(p / temperature, -1),
            reduction="none",
            log_target=True,
        ).sum(-1),
        "log_softmax of both; summed",
    ),
    Call(
        _T + "triplet_margin_loss",
        "triplet",
        lambda a, p, n, *, margin: F.triplet_margin_loss(a, p, n, margin=margin, reduction="none"),
    ),
    Call(
        _T + "triplet_margin_with_distance_loss",
        "triplet",
        lambda a, p, n, *, margin: F.triplet_margin_with_distance_loss(
            a, p, n, distance_function=_triplet_distance, margin=margin, reduction="none"
        ),
        "its distance a norm",
    ),
    Call(
        _T + "margin_ranking_loss",
        "triplet_from_distances",
        lambda p, n, *, margin: F.margin_ranking_loss(n, p, torch.ones(len(p)), margin, reduction="none"),
        "negative first; its target 1",
    ),
)

_K = "keras.losses."

KERAS = (
    Call(_K + "mean_squared_error", "squared_error", _column(_k.mean_squared_error)),
    Call(_K + "dice", "dice", lambda p, y: _k.dice(y, p, axis=-1)),
    Call(
        _K + "tversky",
        "tversky",
        lambda p, y, *, alpha, beta: _k.tversky(y, p, alpha=beta, beta=alpha, axis=-1),
        "alpha and beta the other way round",
    ),
    Call(_K + "mean_absolute_error", "absolute_error", _column(_k.mean_absolute_error)),
    Call(_K + "huber", "huber", lambda p, t, *, delta: _k.huber(t[:, None], p[:, None], delta=delta)),
    Call(_K + "log_cosh", "log_cosh", _column(_k.log_cosh)),
    Call(
        _K + "mean_absolute_percentage_error",
        "absolute_percentage_error",
        lambda p, t: _column(_k.mean_absolute_percentage_error)(p, t) / 100,
        "a hundredth of it",
    ),
    Call(_K + "mean_squared_logarithmic_error", "squared_log_error", _column(_k.mean_squared_logarithmic_error)),
    Call(_K + "cosine_similarity", "cosine_distance", lambda u, v: 1 + _k.cosine_similarity(u, v), "1 + it"),
    Call(
        _K + "poisson",
        "poisson_nll",
        lambda log_rate, t: _column(_k.poisson)(jnp.exp(log_rate), t) + _log_factorial(t),
        "the rate; log t! added",
        rtol=1e-4,
    ),
    Call(_K + "binary_crossentropy", "binary_cross_entropy", _column(_k.binary_crossentropy)),
    Call(
        _K + "binary_crossentropy",
        "sigmoid_binary_cross_entropy",
        lambda x, t, *, label_smoothing: _k.binary_crossentropy(
            t[:, None], x[:, None], from_logits=True, label_smoothing=label_smoothing
        ),
        "from_logits=True",
    ),
    Call(
        _K + "binary_focal_crossentropy",
        "binary_focal",
        lambda p, t, *, alpha, gamma: _k.binary_focal_crossentropy(
            t[:, None], p[:, None], apply_class_balancing=True, alpha=alpha, gamma=gamma
        ),
        "apply_class_balancing=True",
        differs=_MIXED,
        only=_zero_or_one,
    ),
    Call(
        _K + "binary_focal_crossentropy",
        "sigmoid_focal",
        lambda x, t, *, gamma: _k.binary_focal_crossentropy(t[:, None], x[:, None], gamma=gamma, from_logits=True),
        "from_logits=True",
        differs=_MIXED,
        only=_zero_or_one,
    ),
    Call(
        _K + "categorical_crossentropy",
        "categorical_cross_entropy",
        _rows(_k.categorical_crossentropy),
        differs=_NORMALISED,
        slopes=(),
    ),
    Call(
        _K + "categorical_crossentropy",
        "softmax_cross_entropy",
        lambda x, t, *, label_smoothing: _k.categorical_crossentropy(
            t, x, from_logits=True, label_smoothing=label_smoothing
        ),
        "from_logits=True",
    ),
    Call(
        _K + "sparse_categorical_crossentropy",
        "sparse_categorical_cross_entropy",
        _rows(_k.sparse_categorical_crossentropy),
        differs=_NORMALISED,
        slopes=(),
    ),
    Call(
        _K + "sparse_categorical_crossentropy",
        "softmax_cross_entropy_with_integer_labels",
        lambda x, y: _k.sparse_categorical_crossentropy(y, x, from_logits=True),
        "from_logits=True",
    ),
    Call(
        _K + "categorical_focal_crossentropy",
        "softmax_focal",
        lambda x, y, *, gamma: _k.categorical_focal_crossentropy(
            _one_hot(y, x), x, alpha=1.0, gamma=gamma, from_logits=True
        ),
        "one-hot labels; alpha=1, from_logits=True",
    ),
    Call(
        _K + "categorical_generalized_cross_entropy",
        "generalized_cross_entropy",
        lambda x, y, *, q: _k.categorical_generalized_cross_entropy(y, jax.nn.softmax(x), q),
        "the softmax",
        wrong_at=({"q": 0.0}, {"q": 1e-6}),
    ),
    Call(_K + "hinge", "hinge", _column(_k.hinge)),
    Call(_K + "squared_hinge", "squared_hinge", _column(_k.squared_hinge)),
    Call(
        _K + "categorical_hinge",
        "multiclass_hinge",
        lambda x, y: _k.categorical_hinge(_one_hot(y, x), x),
        "one-hot labels",
        differs="the label enters the greatest rival as a score of 0",
        only=lambda x, y: np.max(np.where(np.eye(x.shape[1], dtype=bool)[y], -np.inf, x), axis=1) > 0,
    ),
    Call(_K + "kl_divergence", "kl_divergence", lambda p, q: _k.kl_divergence(p, q)),
)

RAX = (
    Call("rax.pointwise_mse_loss", "squared_error", _list_of_one(rax.pointwise_mse_loss)),
    Call(
        "rax.pointwise_sigmoid_loss",
        "sigmoid_binary_cross_entropy",
        _list_of_one(rax.pointwise_sigmoid_loss),
    ),
    Call("rax.softmax_loss", "softmax_cross_entropy", lambda x, t: rax.softmax_loss(x, t, reduce_fn=None)),
    Call(
        "rax.poly1_softmax_loss",
        "poly_cross_entropy",
        lambda x, t, *, epsilon: rax.poly1_softmax_loss(x, t, epsilon=epsilon, reduce_fn=None),
        differs="labels are divided by their sum for the second term",
    ),
)

CALLS: tuple[Call, ...] = (*OPTAX, *TORCH, *KERAS, *RAX)
