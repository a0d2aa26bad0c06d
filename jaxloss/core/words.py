"""What to write instead: for the arguments of other libraries, and for shapes that do not agree."""

import difflib
import sys
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from jaxloss.core.term import RESERVED, Term
from jaxloss.types import Array, Shape, is_label, is_mask

_SAME = (
    ("alpha", "level", "q", "quantile", "tau"),
    ("epsilon", "clip"),
    ("epsilon", "reg", "regularization"),
    ("beta", "bandwidth", "c", "delta", "epsilon", "scale", "sigma", "threshold", "transition"),
    ("class_counts", "cls_num_list", "samples_per_class"),
    ("class_prior", "log_prior", "log_priors", "prior"),
    ("degrees_of_freedom", "df", "dof", "nu"),
    ("distance", "distance_fn", "distance_function", "p"),
    ("gamma", "focusing", "gamma_negative"),
    ("label_smoothing", "smoothing"),
    ("margin", "max_margin", "max_m"),
    ("pos_weight", "positive_weight"),
    ("power", "p", "variance_power"),
    ("softcap", "logit_softcap", "logits_soft_cap"),
    ("z_loss", "z_loss_scale", "lse_square_scale"),
)
"""Names for one thing, of which a loss has at most one as an option."""

_REDUCE = "reduce says how values become a cost: jaxloss.reduce({loss}, {how!r})({arrays})"
_OF_REDUCE = "it is an argument of reduce: jaxloss.reduce({loss}, {name}={value})({arrays})"
_ARRAYS = "pass the arrays {arrays} in this order, or by these names"
_CONSTANTS = "drop it: the constants of the formula are part of the cost"
_EXACT = "drop it: nothing is clipped, and the corners are exact without it"
_SPACE = "this loss takes {first}{other}"
_CLASS_WEIGHTS = "write weights={second} @ class_weights, which weighs an item by its classes"
_LAST = (
    "classes and features are on the last axis, where jnp.moveaxis({first}, axis, -1) brings another one; "
    "to reduce an axis of the values, write jaxloss.reduce({loss}, axis={value})"
)
_WEIGHTS = (
    "write weights={name}, which divides the mean by the sum of the weights; "
    "to divide by the count, write jnp.mean({name} * jaxloss.reduce({loss}, 'none')({arrays}))"
)

_ELSEWHERE = {
    "apply_class_balancing": "the option alpha balances the classes, in the losses that have one",
    "axis": _LAST,
    "blur": "write epsilon=2 * blur**2 or scale=blur, whichever this loss has",
    "axis_name": _OF_REDUCE,
    "chunk_size": _OF_REDUCE,
    "class_weight": _CLASS_WEIGHTS,
    "class_weights": _CLASS_WEIGHTS,
    "dim": _LAST,
    "dtype": "drop it: the cost is computed in float32 at least; cast the arrays for another dtype",
    "eps": _EXACT,
    "epsilon": _EXACT,
    "from_logits": _SPACE,
    "full": _CONSTANTS,
    "how": "it is an argument of reduce: jaxloss.reduce({loss}, {how!r})({arrays})",
    "ignore_class": "write where={second} != {value}",
    "ignore_index": "write where={second} != {value}",
    "input": _ARRAYS,
    "inputs": _ARRAYS,
    "keepdims": "jaxloss.reduce({loss}, 'none')({arrays}) has one value for each item",
    "label_smoothing": "this loss has none; smooth the targets before the call: (1 - s) * targets + s / k",
    "log_input": _SPACE,
    "log_target": _SPACE,
    "logits": _ARRAYS,
    "mask": "write where=mask, booleans which say what counts{inner}",
    "microbatch_size": "it is an argument of value_and_grad: jaxloss.value_and_grad(cost, microbatch_size={value})",
    "n_proj": "pass the directions themselves: jax.random.normal(key, ({value}, d))",
    "n_projections": "pass the directions themselves: jax.random.normal(key, ({value}, d))",
    "n_classes": "drop it: the last axis of {first} says how many classes there are",
    "name": "drop it: a loss is a function and keeps its name",
    "num_classes": "drop it: the last axis of {first} says how many classes there are",
    "padding_mask": "write where=padding_mask, booleans which are True at what counts{inner}",
    "pos_weight": "write weights=jnp.where({second} > 0, {name}, 1.0), by whose sum the mean is divided",
    "predictions": _ARRAYS,
    "preds": _ARRAYS,
    "reduce": _REDUCE,
    "reduce_fn": _REDUCE,
    "reduction": _REDUCE,
    "sample_weight": _WEIGHTS,
    "segments": "give each list a padded row, and where= for what is there: jaxloss.reduce({loss}, axis=-1)({arrays})",
    "size_average": _REDUCE,
    "smoothing": "this loss has none; smooth the targets before the call: (1 - s) * targets + s / k",
    "sum": _REDUCE,
    "target": _ARRAYS,
    "targets": _ARRAYS,
    "temperature": "divide before the call: {first} / temperature",
    "u_weights": "write p_mass={name}",
    "v_weights": "write q_mass={name}",
    "valid": "write where={name}, booleans which say what counts",
    "weight": _WEIGHTS,
    "y_pred": _ARRAYS,
    "y_true": _ARRAYS,
}
_OF_LABELS = dict.fromkeys(
    ("class_weight", "class_weights", "weight"),
    "write weights=class_weights[jnp.maximum({second}, 0)]; where={second} >= 0 leaves out what has no class",
)
"""What reads otherwise where a loss takes labels."""


def unknown(term: Term, name: str, value: Any) -> str:
    """The sentence about an argument that a loss does not have."""
    known = [*term.parameters, *RESERVED]
    same = [option for group in _SAME if name in group for option in group if option in term.options]
    if same:
        return f"{term.name} has no argument {name!r}; it is called {same[0]!r} here."
    labels = next(filter(is_label, term.arrays), None)
    advice = (_ELSEWHERE | _OF_LABELS if labels else _ELSEWHERE).get(name)
    if advice is None:
        guess = difflib.get_close_matches(name, known, n=1)
        suggestion = f"; did you mean {guess[0]!r}?" if guess else "."
        return f"{term.name} has no argument {name!r}, it takes {', '.join(known)}{suggestion}"
    required = _required(term)
    facts = {
        "loss": f"jaxloss.{term.name}" if term.is_of_the_library else term.name,
        "name": name,
        "value": repr(value) if isinstance(value, int | float | str | tuple) else name,
        "how": _how(name, value),
        "arrays": ", ".join(required),
        "first": required[0],
        "second": labels or required[-1],
        "other": sister(term, required[0], "probabilities" if "logits" in required[0] else "logits"),
        "inner": "".join(f"; {array} leaves out slots of an item" for array in term.arrays if _deletes(array)),
    }
    return f"{term.name} has no argument {name!r}; {advice.format(**facts)}."


def _deletes(array: str) -> bool:
    return is_mask(array) or array.endswith("_mass")


def _how(name: str, value: Any) -> str:
    """What `reduce` calls a reduction of torch, keras or rax."""
    said = value if isinstance(value, str) else getattr(value, "__name__", "")
    if said in ("mean", "sum", "none"):
        return said
    if name == "size_average" and value is False:
        return "sum"
    return "none" if value is None or value is False else "mean"


def sister(term: Term, array: str, other: str) -> str:
    """The loss of the same family that takes `other` in place of an array, as a clause; empty if there is none."""
    wanted = [other if name == array else name for name in _required(term)]
    for loss in vars(sys.modules.get(term.function.__module__, object)).values():
        found = getattr(loss, "_term", None)
        if isinstance(found, Term) and _required(found) == wanted and _akin(found, term):
            return f", or call {found.name}, which takes {other}"
    return ""


def _required(term: Term) -> list[str]:
    return [array for array in term.arrays if array not in term.defaults]


def _akin(one: Term, other: Term) -> bool:
    """Whether two losses share a word of their names, and one has the options of the other."""
    options, words = ({*one.options}, {*other.options}), ({*one.name.split("_")}, {*other.name.split("_")})
    return bool(words[0] & words[1]) and (options[0] <= options[1] or options[1] <= options[0])


# -------------------------------------------------------------------------------------------------------------- shapes


def to_agree(
    term: Term, arrays: Mapping[str, Array], leading: Mapping[str, tuple[int, ...]], first: str, second: str
) -> str:
    """What makes the shapes of two arrays agree, as a clause."""
    for one, other in ((first, second), (second, first)):
        axes, shape, target = leading[one], arrays[one].shape, leading[other]
        for axis in reversed(range(len(axes))):
            if axes[axis] == 1 and axes[:axis] + axes[axis + 1 :] == target:
                return f"; drop the axis of length 1 with {one}.squeeze({axis - len(shape)})"
        for axis in range(1, len(shape) - 1):
            if len(axes) < len(shape) and shape[:axis] + shape[axis + 1 :] == target:
                return f"; the last axis must hold the classes or features: jnp.moveaxis({one}, {axis}, -1)"
    if arrays[first].shape == arrays[second].shape and is_label(second):
        targets = sister(term, second, "targets")
        return f"; {second} looks one-hot: pass jnp.argmax({second}, -1){targets}"
    return of_labels(term, arrays, second) or "; nothing is broadcast, so shape them alike"


def to_integers(term: Term, name: str, shape: Shape, first: Shape) -> str:
    """What to pass where labels are due: `first` is the shape of the first array, one-hot labels have it too."""
    cores = dict(zip(term.arrays, term.core.inputs, strict=True))
    if shape == first and len(cores[name]) < len(cores[term.arrays[0]]):
        return f"jnp.argmax({name}, -1) if it is one-hot{sister(term, name, 'targets')}"
    return f"{name}.astype(int)"


def of_labels(term: Term, arrays: Mapping[str, Array], name: str) -> str:
    """What to do with labels where one number for each class is due, as a clause; empty if they are none."""
    shape = arrays[name].shape
    if not look_like_labels(name, arrays[name]) or all(other.shape[:-1] != shape for other in arrays.values()):
        return ""
    labels = sister(term, name, "labels")
    return f"; {name} looks like integer labels: pass jax.nn.one_hot({name}, k){labels}"


def to_lead(shape: Shape, name: str, values: Shape) -> str:
    """What makes an array the leading part of the values, as a clause; empty where nothing does."""
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1 and shape[:axis] + shape[axis + 1 :] == values[: len(shape) - 1]:
            return f": write {name}.squeeze({axis - len(shape)})"
    aligned = zip(shape[::-1], values[::-1], strict=False)
    if len(shape) <= len(values) and all(size in (1, full) for size, full in aligned):
        return f": write jnp.broadcast_to({name}, {values})"
    if shape[: len(values)] == values:
        return "; an array of the loss, named ..._mask, masks slots inside an item"
    return ""


def look_like_labels(name: str, array: Array) -> bool:
    """Whether an array that is not named so may hold labels."""
    return jnp.issubdtype(array.dtype, jnp.integer) and not is_label(name)
