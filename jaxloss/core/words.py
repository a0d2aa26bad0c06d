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
    ("epsilon", "eps", "reg", "regularization"),
    ("mining_margin", "epsilon"),
    ("alpha", "scale_pos"),
    ("beta", "scale_neg"),
    ("base", "thresh"),
    ("beta", "bandwidth", "c", "delta", "epsilon", "scale", "sigma", "threshold", "transition"),
    ("class_counts", "cls_num_list", "samples_per_class"),
    ("class_prior", "log_prior", "log_priors", "prior"),
    ("degrees_of_freedom", "df", "dof", "nu"),
    ("distance", "distance_fn", "distance_function", "distance_metric", "p"),
    ("gamma", "focusing", "gamma_negative"),
    ("label_smoothing", "smoothing"),
    ("margin", "alpha", "max_margin", "max_m", "m", "neg_margin"),
    ("scale", "s"),
    ("gamma", "s", "scale"),
    ("redundancy_weight", "lambd", "lambda_param"),
    ("invariance_weight", "sim_coeff", "lambda_param"),
    ("variance_weight", "std_coeff", "mu_param"),
    ("covariance_weight", "cov_coeff", "nu_param"),
    ("pos_weight", "positive_weight"),
    ("max_value", "data_range", "max_val"),
    ("power", "p", "variance_power"),
    ("smooth", "smooth_dr", "smooth_nr"),
    ("temperature", "tau"),
    ("student_temperature", "student_temp", "temp", "temperature"),
    ("teacher_temperature", "teacher_temp"),
    ("similarity", "similarity_fct", "similarity_fn"),
    ("softcap", "logit_softcap", "logits_soft_cap"),
    ("z_loss", "z_loss_scale", "lse_square_scale"),
)
"""Names for one thing, of which a loss has at most one as an option."""

_ELSEWHERE = {
    "apply_class_balancing": "the option alpha balances the classes, in the losses that have one",
    "axis dim": (
        "classes and features are on the last axis, where jnp.moveaxis({first}, axis, -1) brings another one; "
        "to reduce an axis of the values, write jaxloss.reduce({loss}, axis={value})"
    ),
    "axis_name chunk_size": "it is an argument of reduce: jaxloss.reduce({loss}, {name}={value})({arrays})",
    "blur": "write epsilon=2 * blur**2 or scale=blur, whichever this loss has",
    "class_weight class_weights": "write weights={second} @ class_weights, which weighs an item by its classes",
    "dtype": "drop it: the cost is computed in float32 at least; cast the arrays for another dtype",
    "eps epsilon": "drop it: nothing is clipped, and the corners are exact without it",
    "from_logits log_input log_target": "this loss takes {first}{other}",
    "full": "drop it: the constants of the formula are part of the cost",
    "how": "it is an argument of reduce: jaxloss.reduce({loss}, {how!r})({arrays})",
    "ignore_class ignore_index": "write {mask}={second} != {value}",
    "input input1 input2 inputs logits predictions preds target targets y_pred y_true": (
        "pass the arrays {arrays} in this order, or by these names"
    ),
    "keepdims": "jaxloss.reduce({loss}, 'none')({arrays}) has one value for each item",
    "label_smoothing smoothing": ("this loss has none; smooth the targets before the call: (1 - s) * targets + s / k"),
    "logit_scale": "write temperature=1 / logit_scale",
    "mask": "write where=mask, booleans which say what counts{inner}",
    "microbatch_size": "it is an argument of value_and_grad: jaxloss.value_and_grad(cost, microbatch_size={value})",
    "n_proj n_projections": "pass the directions themselves: jax.random.normal(key, ({value}, d))",
    "n_classes num_classes": "drop it: the shapes of the arrays say how many classes there are",
    "name": "drop it: a loss is a function and keeps its name",
    "padding_mask": "write where=padding_mask, booleans which are True at what counts{inner}",
    "pos_weight": "write weights=jnp.where({second} > 0, {name}, 1.0), by whose sum the mean is divided",
    "reduce reduce_fn reduction size_average sum": (
        "reduce says how values become a cost: jaxloss.reduce({loss}, {how!r})({arrays})"
    ),
    "sample_weight weight": (
        "write weights={name}, which divides the mean by the sum of the weights; "
        "to divide by the count, write jnp.mean({name} * jaxloss.reduce({loss}, 'none')({arrays}))"
    ),
    "segments": "give each list a padded row, and where= for what is there: jaxloss.reduce({loss}, axis=-1)({arrays})",
    "swap": "pass the distances, of which jnp.minimum(to_negative, from_positive_to_negative) is the second",
    "temperature": "divide before the call: {first} / temperature",
    "u_weights": "write p_mass={name}",
    "v_weights": "write q_mass={name}",
    "valid": "write where={name}, booleans which say what counts",
}
"""What does here what arguments of other libraries do there."""
_OF_LABELS = {
    "class_weight class_weights weight": (
        "write weights=class_weights[jnp.maximum({second}, 0)]; where={second} >= 0 leaves out what has no class"
    ),
}
"""What reads otherwise where a loss takes labels."""
_OF_DIRECTIONS = {"temperature": "write scale=1 / temperature"}
"""What reads otherwise where a loss normalises what it takes."""


def unknown(term: Term, name: str, value: Any) -> str:
    """The sentence about an argument that a loss does not have."""
    known = [*term.parameters, *RESERVED]
    same = [option for group in _SAME if name in group for option in group if option in term.options]
    if same:
        return f"{term.name} has no argument {name!r}; it is called {same[0]!r} here."
    labels = next(filter(is_label, term.arrays), None)
    tables = [_OF_LABELS] * bool(labels) + [_OF_DIRECTIONS] * ("scale" in term.options) + [_ELSEWHERE]
    advice = next((text for table in tables for names, text in table.items() if name in names.split()), None)
    if advice is None:
        guess = difflib.get_close_matches(name, known, n=1)
        suggestion = f"; did you mean {guess[0]!r}?" if guess else "."
        return f"{term.name} has no argument {name!r}, it takes {', '.join(known)}{suggestion}"
    required = _required(term)
    second, cores = labels or required[-1], term.cores
    facts = {
        "loss": f"jaxloss.{term.name}" if term.is_of_the_library else term.name,
        "name": name,
        "value": repr(value) if isinstance(value, int | float | str | tuple) else name,
        "how": _how(name, value),
        "arrays": ", ".join(required),
        "first": required[0],
        "second": second,
        "other": sister(term, required[0], "probabilities" if "logits" in required[0] else "logits"),
        "mask": next((mask for mask in filter(is_mask, term.arrays) if cores[mask] == cores[second]), "where"),
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


# ------------------------------------------------------------------------------------------------- kinds and shapes


def of_kind(term: Term, name: str, array: Array, first: Shape) -> str:
    """What an array must be by its name. `first` is the shape of the first array: one-hot labels have an axis more."""
    came = f"got {array.dtype} of shape {array.shape}"
    if is_label(name):
        due = len(first) - len(term.cores[term.arrays[0]]) + len(term.cores[name])
        one_hot = array.ndim == due + 1 and array.shape[-1] > 1
        fix = f"jnp.argmax({name}, -1) if it is one-hot{sister(term, name, 'targets')}"
        return f"{name} must be integers, {came}; pass {fix if one_hot else f'{name}.astype(int)'}"
    if name == "where":
        how_much = "write mask != 0 if it says which values count, pass it as weights= if it says how much"
        return f"where must be booleans, {came}; {how_much}"
    if is_mask(name):
        by_name = not array.shape and term.options
        fix = f"options go by name ({', '.join(term.options)})" if by_name else f"write {name} != 0"
        return f"{name} must be booleans, {came}; {fix}"
    return f"{name} must be real numbers, {came}"


def of_leading_axes(term: Term, arrays: Mapping[str, Array], first: str, second: str) -> str:
    """That two arrays differ in their leading axes, and what makes them agree."""
    elementwise = term.signature is None
    what = "the same shape" if elementwise else f"the same leading axes, before those of {term.signature!r}"
    came = f"{arrays[first].shape} and {arrays[second].shape}"
    return f"{first} and {second} must have {what}, got {came}{_to_agree(term, arrays, first, second)}"


def _to_agree(term: Term, arrays: Mapping[str, Array], first: str, second: str) -> str:
    leading = {name: arrays[name].shape[: arrays[name].ndim - len(term.cores[name])] for name in (first, second)}
    for one, other in ((first, second), (second, first)):
        axes, shape, target = leading[one], arrays[one].shape, leading[other]
        for axis in reversed(range(len(axes))):
            if axes[axis] == 1 and axes[:axis] + axes[axis + 1 :] == target:
                return f"; drop the axis of length 1 with {one}.squeeze({axis - len(shape)})"
        for axis in range(1, len(shape) - 1):
            if len(axes) < len(shape) and shape[:axis] + shape[axis + 1 :] == target:
                return f"; the last axis must hold the classes or features: jnp.moveaxis({one}, {axis}, -1)"
        if axes and set(axes) == {1} and term.cores[one]:
            return f"; all items share {one}.reshape{shape[len(axes) :]}"
    if is_label(second) and leading[second][:-1] == leading[first]:
        return _one_hot(term, second)
    return of_labels(term, arrays, second) or "; nothing is broadcast, so shape them alike"


def _one_hot(term: Term, name: str) -> str:
    return f"; {name} looks one-hot: pass jnp.argmax({name}, -1){sister(term, name, 'targets')}"


def of_labels(term: Term, arrays: Mapping[str, Array], name: str) -> str:
    """What to do with labels where one number for each class is due, as a clause; empty if they are none."""
    shape = arrays[name].shape
    if not look_like_labels(name, arrays[name]) or all(other.shape[:-1] != shape for other in arrays.values()):
        return ""
    labels = sister(term, name, "labels")
    return f"; {name} looks like integer labels: pass jax.nn.one_hot({name}, k){labels}"


def to_fit(term: Term, arrays: Mapping[str, Array], name: str, size: int, owner: str, expected: int) -> str:
    """What to do with an array whose core axis has a size that differs from another array's, as a clause."""
    shape, core = arrays[name].shape, term.cores[name]
    if len(core) == 1 and len(shape) > 1 and shape[-2:] == (expected, size):
        return f"; drop the axis of length 1 with {name}.squeeze(-1)" if size == 1 else _one_hot(term, name)
    if len(core) == 2 and core != term.cores[owner] and shape in ((size, expected), (expected, size)):
        return f"; its axes must be ({', '.join(core)}): pass {name}.T"
    if labels := of_labels(term, arrays, name):
        return labels
    return _swapped(owner, arrays[owner].shape, size) if len(core) == 1 else ""


def _swapped(name: str, shape: Shape, size: int) -> str:
    """What to do with an array whose last axis has the size that is due on the axis before it, as a clause."""
    if len(shape) > 1 and shape[-1] == size != shape[-2]:
        return f"; the last axis must hold the classes or features: jnp.moveaxis({name}, -2, -1)"
    return ""


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
