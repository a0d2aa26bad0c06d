"""Pictures: value, slope and curvature of a loss, what it compares, and the members of a family on the same axes."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxloss
from jaxloss.cli import form, views
from jaxloss.cli.plain import plain
from jaxloss.cli.view import Item, Scene, View
from jaxloss.core.loss import Loss

POINTS = 241
BOUND = 1e30
"""What is larger is infinite: a slope that is infinite is given as the largest finite number."""

# The palette of Okabe and Ito, each colour with a style of its own, so that a grey print can be read too.
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
_STYLES: list[Any] = ["-", "--", "-.", ":", (0, (8, 2)), (0, (6, 1, 1, 1, 1, 1)), (0, (3, 1))]
_LOOK: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.constrained_layout.use": True,
    "figure.dpi": 80,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.frameon": False,
}
_IN_NATS = (
    "classification",
    "divergence",
    "likelihood",
    "adversarial",
    "language",
    "survival",
    "preference",
    "distillation",
)
_AT_MOST = 6
"""Losses on the same axes."""
_SCENE = 2.6
"""How wide the pictures of what is compared are, in inches."""
_LETTERS = "abc"


@dataclass(frozen=True)
class Line:
    """A loss along a number: what is drawn in each panel."""

    label: str
    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


def lines(loss: Loss[...], view: View, *, with_options: bool = True, points: int = POINTS) -> list[Line]:
    """The curves of a loss in one view: each item of the view at each value of the option that is drawn.

    The first item alone where there would be too many, and where the option is left out.
    """
    option = views.option_of(loss)
    if option and not with_options:
        has_default = loss._term.parameters[option[0]].default is not loss._term.parameters[option[0]].empty
        option = None if has_default else (option[0], option[1][:1])
    items = list(view.items.items())
    if not with_options or len(items) * len(option[1] if option else [0]) > _AT_MOST:
        items = items[:1]
    x = jnp.linspace(view.low, view.high, points, dtype=jnp.float32)
    found = []
    for name, item in items:
        for text, curve in _curves(loss, item, option, x):
            found.append(Line(", ".join(filter(None, [name, text])), np.asarray(x), *curve))
    return found


def _curves(
    loss: Loss[...], item: Item, option: tuple[str, tuple[Any, ...]] | None, x: jax.Array
) -> Iterator[tuple[str, np.ndarray]]:
    """Value, slope and curvature along x, at each value of the option; what is infinite is inf."""

    def all_of(x: jax.Array, options: dict[str, Any]) -> tuple[jax.Array, ...]:
        def value(x: jax.Array) -> jax.Array:
            return loss(*item(x), **options)

        return value(x), jax.grad(value)(x), jax.jacfwd(jax.grad(value))(x)

    fixed = views.fixed_of(loss)
    along_x = jax.vmap(all_of, (0, None))
    if option is None:
        yield "", _bounded(jax.jit(lambda x: along_x(x, fixed))(x))
    elif isinstance(option[1][0], str):
        for choice in option[1]:
            yield (
                f"{option[0]} = {choice}",
                _bounded(jax.jit(lambda x, c=choice: along_x(x, {**fixed, option[0]: c}))(x)),
            )
    else:
        each = jax.jit(jax.vmap(lambda choice, x: along_x(x, {**fixed, option[0]: choice}), (0, None)))
        curves = each(jnp.asarray(option[1], jnp.float32), x)
        for number, choice in enumerate(option[1]):
            yield f"{option[0]} = {choice:g}", _bounded([part[number] for part in curves])


def _bounded(curves: Sequence[jax.Array]) -> np.ndarray:
    values = np.array(curves, np.float64)
    return np.where(np.abs(values) > BOUND, np.copysign(np.inf, values), values)


def picture(name: str, points: int = POINTS) -> Any:
    """A figure of one loss of the catalogue: a row a view, and value, slope and curvature beside each other."""
    loss = jaxloss.catalogue[name]
    seen = [(view, lines(loss, view, points=points)) for view in views.views_of(loss)]
    drawn = [line for _, group in seen for line in group]
    panels = [("value", "value" + _unit(loss)), ("slope", "slope")]
    if any(_says_something(line.curvature) for line in drawn):
        panels.append(("curvature", "curvature"))
    text = textwrap.fill(plain(form.read(loss).formula), 38 * len(panels))
    return _figure([(view, group, "") for view, group in seen], panels, f"{name}\n{text}")


def png(figure: Any) -> bytes:
    """A figure as a small PNG: flat colours need no more than a palette."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=80)
    Image.open(drawn).convert("RGB").quantize(64).save(small, format="png", optimize=True)
    return small.getvalue()


def families() -> Iterator[tuple[str, list[str]]]:
    """Losses that share their axes, few enough to be told apart: the axes, with their names."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, loss in jaxloss.catalogue.items():
        family = str(loss.__module__).split(".")[2]
        groups.setdefault((family, views.views_of(loss)[0].along), []).append(name)
    for (family, _), names in groups.items():
        parts = -(-len(names) // _AT_MOST)
        size = -(-len(names) // parts)
        for start in range(0, len(names), size):
            if len(names[start : start + size]) > 1:
                yield family, names[start : start + size]


def family_picture(names: Sequence[str], points: int = POINTS) -> Any:
    """A figure of several losses on the same axes, each with its default options."""
    every = [jaxloss.catalogue[name] for name in names]
    own = [views.views_of(loss)[0] for loss in every]
    low, high = min(view.low for view in own), max(view.high for view in own)
    group = []
    for loss, view in zip(every, own, strict=True):
        (line,) = lines(loss, View(view.along, low, high, view.items), with_options=False, points=points)
        group.append(Line(loss.__name__, *(getattr(line, part) for part in ("x", "value", "slope", "curvature"))))
    first = next(iter(own[0].items))
    shared = View(own[0].along, low, high, own[0].items)
    panels = [("value", "value" + _unit(every[0])), ("slope", "slope")]
    return _figure([(shared, group, first)], panels, "")


def _unit(loss: Loss[...]) -> str:
    family = str(loss.__module__).split(".")[2]
    formula = form.read(loss).formula
    return " (nats)" if family in _IN_NATS and (r"\log" in formula or formula.startswith("D")) else ""


def _says_something(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return finite.size > 0 and bool(np.abs(finite).max() > 1e-4)


def _figure(rows: Sequence[tuple[View, list[Line], str]], panels: Sequence[tuple[str, str]], title: str) -> Any:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    legend = any(line.label for _, group, _ in rows for line in group)
    scenes = any(view.scene for view, _, _ in rows)
    with mpl.rc_context(_LOOK):
        heading = 0.2 * (title.count("\n") + 1) if title else 0
        width = 2.7 * len(panels) + 2.1 * legend
        figure = Figure(figsize=(_SCENE * scenes + width, 2.3 * len(rows) + heading))
        bands = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for band, (view, group, note) in zip(bands, rows, strict=True):
            if scenes:
                left, band = band.subfigures(1, 2, width_ratios=(_SCENE, width))
                if view.scene:
                    _show(left, view, view.scene)
            row = band.subplots(1, len(panels), squeeze=False)[0]
            for axes, (part, label) in zip(row, panels, strict=True):
                _draw(axes, view, group, part)
                axes.set_ylabel(label)
            if view.scene:
                _mark(row[0], group, view.scene)
            along = f"{view.along}; {note}" if note else view.along
            band.supxlabel(along, fontsize=9)
            if any(line.label for line in group):
                # Beside the last panel, where it covers no curve.
                row[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3.2)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        return figure


def _show(band: Any, view: View, scene: Scene) -> None:
    """The pictures of what is compared, each with the letter of its point on the curve."""
    for axes, letter, (name, x) in zip(band.subplots(len(scene.at), 1), _LETTERS, scene.at, strict=True):
        scene.draw(axes, *map(np.asarray, view.items[name](jnp.float32(x))))
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(True)
        axes.set_ylabel(f"{letter}  at {x:g}\n{name}".rstrip(), rotation=0, ha="right", va="center")
    band.supxlabel(scene.says, fontsize=8)


def _mark(axes: Any, group: list[Line], scene: Scene) -> None:
    """The points of the pictures on the curves of their items."""
    for letter, (name, x) in zip(_LETTERS, scene.at, strict=True):
        line = next(line for line in group if line.label.startswith(name))
        point = x, np.interp(x, line.x, line.value)
        axes.plot(*point, "o", color="black", markersize=4, zorder=6)
        axes.annotate(letter, point, (4, 4), textcoords="offset points", fontsize=9, zorder=6)


def _draw(axes: Any, view: View, group: list[Line], part: str) -> None:
    curves = [(line, getattr(line, part)) for line in group]
    low, high = _limits([values for _, values in curves])
    for number, (line, values) in enumerate(curves):
        style = {"color": _COLOURS[number % 7], "linestyle": _STYLES[number % 7]}
        width = 2.6 - 0.25 * number  # so that a curve under another still shows
        shown = np.where(np.isfinite(values), values, np.nan)
        if part != "value":
            # At an end of the domain an infinite derivative is given as 0, by convention: not a point of the curve.
            for end, beside in ((0, 1), (-1, -2)):
                if not low <= values[beside] <= high:
                    shown[end] = np.nan
        axes.plot(line.x, shown, label=line.label or None, linewidth=max(width, 1.2), **style)
        for place, upwards in _exits(values, low, high):
            axes.plot(
                line.x[place],
                high if upwards else low,
                marker="^" if upwards else "v",
                color=style["color"],
                markersize=7,
                clip_on=False,
                zorder=5,
            )
    axes.set(xlim=(view.low, view.high), ylim=(low, high))
    if low < 0 < high:
        axes.axhline(0, color="black", linewidth=0.6, zorder=0)


def _limits(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    """From the lowest to the highest point; where a curve shoots off near an end of the range, without that end."""
    inner = max(1, len(curves[0]) // 20)
    whole = np.concatenate([values[np.isfinite(values)] for values in curves])
    inside = np.concatenate([values[inner:-inner][np.isfinite(values[inner:-inner])] for values in curves])
    low, high = whole.min(), whole.max()
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0)
    if np.ptp(whole) > 2.5 * np.ptp(inside) > 0:
        reach = 0.15 * np.ptp(inside)
        low, high = max(low, inside.min() - reach), min(high, inside.max() + reach)
    room = 0.06 * (high - low) or 0.5
    return float(low - room), float(high + room)


def _exits(values: np.ndarray, low: float, high: float) -> Iterator[tuple[int, bool]]:
    """Where a curve leaves the picture: the place, and whether upwards. Once at each end of each piece that is away."""
    for upwards, away in ((True, values > high), (False, values < low)):
        starts = np.flatnonzero(away[1:] & ~away[:-1]) + 1
        ends = np.flatnonzero(away[:-1] & ~away[1:])
        yield from ((int(place), upwards) for place in (*starts, *ends))
