"""Makes the pages of the losses from the catalogue, so that they cannot drift, and draws formulas and pictures."""

import html
import io
import re
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import jaxloss
from jaxloss.cli import form
from jaxloss.cli.pictures import picture
from jaxloss.names import LIBRARIES
from jaxloss.names.table import page as names_page

PROJECT = Path(__file__).parent.parent
FAMILIES = list(dict.fromkeys(str(loss.__module__).split(".")[2] for loss in jaxloss.catalogue.values()))
ERRORS = (
    "jaxloss.huber(jnp.zeros((4, 1)), jnp.zeros(4))",
    "jaxloss.huber(jnp.zeros(4), jnp.zeros(4), reduction='sum')",
    "jaxloss.softmax_cross_entropy_with_integer_labels(jnp.zeros((4, 3)), jnp.zeros(4, int), ignore_index=-100)",
    "jaxloss.softmax_cross_entropy_with_integer_labels(jnp.zeros((4, 3)), jnp.eye(4, 3))",
    "jaxloss.softmax_cross_entropy_with_integer_labels(jnp.zeros((8, 3, 5)), jnp.zeros((8, 5), int))",
    "jaxloss.sigmoid_binary_cross_entropy(jnp.zeros((4, 3)), jnp.zeros((4, 3)), where=jnp.ones(4))",
    "jaxloss.reduce(jaxloss.huber, 'average')",
    "jaxloss.huber(jnp.zeros(4), jnp.zeros(4), delta=0.0)",
    "jaxloss.value_and_grad(lambda p, b: jaxloss.huber(p * b, b))(1.0, jnp.ones(4))",
    "jaxloss.cross_entropy",
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The losses in the table of contents."""
    entry = next(entry for entry in config.nav if "Losses" in entry)
    entry["Losses"] = ["losses/index.md", *({family: f"losses/{family}.md"} for family in FAMILIES)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made, and those that stand elsewhere in the project."""
    made: dict[str, str | bytes] = {"losses/index.md": _families(), "coming_from.md": names_page(LIBRARIES)}
    made |= {f"losses/{family}.md": _family(family) for family in FAMILIES}
    made |= {f"losses/{name}.png": _drawn(name) for name in jaxloss.catalogue}
    for path in (*PROJECT.glob("benchmarks/*.md"), *PROJECT.glob("benchmarks/*.png")):
        made[f"measured/{path.name}"] = path.read_bytes()
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Real messages, and formulas in MathML, outside code."""
    markdown = markdown.replace("<!-- errors -->", "\n\n".join(map(_error, ERRORS)))
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)
    parts[::2] = [re.sub(r"\$\$(.*?)\$\$", _formula, part, flags=re.DOTALL) for part in parts[::2]]
    return "".join(parts)


def _formula(found: re.Match[str]) -> str:
    return "\n\n" + convert(" ".join(found[1].split()), display="block") + "\n\n"


def _families() -> str:
    lines = ["# The losses", "", "| family | losses |", "|---|---|"]
    for family in FAMILIES:
        links = (f"[`{name}`]({family}.md#{name})" for name in _of(family))
        lines.append(f"| [{family}]({family}.md) | {', '.join(links)} |")
    return "\n".join(lines) + "\n"


def _of(family: str) -> list[str]:
    return [name for name, loss in jaxloss.catalogue.items() if str(loss.__module__).split(".")[2] == family]


def _family(family: str) -> str:
    return "\n\n".join([f"# {family.capitalize()}", *map(_loss, _of(family))]) + "\n"


def _loss(name: str) -> str:
    loss = jaxloss.catalogue[name]
    known = form.read(loss)
    parts = [f"## {name} {{#{name}}}", known.sentence, f"$${known.formula}$$", *known.remarks]
    parts.append(f"![{name}: value and slope]({name}.png){{ loading=lazy }}")
    if loss.signature:
        parts.append(f"**Signature** `{loss.signature}`, with any leading axes before it.")
    rows = ["| argument | |", "|---|---|"]
    for argument, text in known.arguments.items():
        checked = form.interval(loss, argument)
        said = text + (f" Checked: {checked}." if checked else "")
        rows.append(f"| `{argument}{form.default(loss, argument)}` | {_cell(said)} |")
    parts += ["\n".join(rows), f"**Corners** {known.corners}", f"**Source** {known.source}"]
    parts.append(f"```pycon\n{known.example}\n```")
    elsewhere = [
        f"`{library.module}.{theirs}` ({mind})" if library.module.islower() else f"{theirs} ({mind})"
        for library in LIBRARIES
        for theirs, ours, mind in library.names
        if ours == name
    ]
    if elsewhere:
        parts.append("**Elsewhere** " + "; ".join(elsewhere))
    for how, names in form.relatives(loss).items():
        parts.append(f"**Relatives, {how}** " + ", ".join(map(_link, names)))
    return "\n\n".join(parts)


def _link(name: str) -> str:
    family = str(jaxloss.catalogue[name].__module__).split(".")[2]
    return f"[`{name}`]({family}.md#{name})"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _drawn(name: str) -> bytes:
    file = io.BytesIO()
    picture(name).savefig(file, format="png", dpi=80)
    return file.getvalue()


def _error(call: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            eval(call, {"jax": jax, "jnp": jnp, "jaxloss": jaxloss})
    except Exception as error:
        return f"```python\n{call}\n```\n\n> {type(error).__name__}: {html.escape(str(error), quote=False)}"
    raise AssertionError(f"{call} raises nothing")
