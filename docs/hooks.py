"""Makes the pages of the losses from the catalogue, so that they cannot drift, and draws formulas and pictures."""

import base64
import html
import io
import json
import re
import textwrap
from pathlib import Path
from typing import Any

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
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LOSS = re.compile(r"\[`(\w+)`\]\[\]")
RAISES = re.compile(r"```raises\n(.*?)```", re.DOTALL)
# The name of a function in a formula, which the converter sets without the space that TeX leaves on either side.
NAME_AFTER = re.compile(r"(</m(?:[in]|su[bp]|subsup|row)>|&#x00029;</mo>)(?=<mi>[a-z]{2,}</mi>)")
NAME_BEFORE = re.compile(r"(<mi>[a-z]{2,}</mi>)(?!<mo|<mspace|</)")
SPACE = r'\1<mspace width="0.17em"/>'
# In the order to read them in. The pictures of the gallery are on the pages of the losses.
NOTEBOOKS = (
    "quickstart",
    "choosing",
    "splitting",
    "language_model",
    "preference",
    "ranking",
    "survival",
    "sequence",
    "segmentation",
    "contrastive",
    "metric",
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The losses and the notebooks in the table of contents."""
    made = {
        "Losses": ["losses/index.md", *({family: f"losses/{family}.md"} for family in FAMILIES)],
        "Notebooks": [f"notebooks/{name}.md" for name in NOTEBOOKS],
    }
    for entry in config.nav:
        if isinstance(entry, dict):
            entry.update({name: made[name] for name in made if name in entry})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made, and those that stand elsewhere in the project."""
    made: dict[str, str | bytes] = {"losses/index.md": _families(), "coming_from.md": names_page(LIBRARIES)}
    made |= {f"losses/{family}.md": _family(family) for family in FAMILIES}
    made |= {f"losses/{name}.png": _drawn(name) for name in jaxloss.catalogue}
    for path in (*PROJECT.glob("benchmarks/*.md"), *PROJECT.glob("benchmarks/*.png")):
        made[f"measured/{path.name}"] = path.read_bytes()
    for name in NOTEBOOKS:
        made |= _notebook(name)
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Real messages, links to losses, and formulas in MathML, outside code."""
    names: dict[str, Any] = {}
    if RAISES.search(markdown):
        exec("".join(CODE.findall(markdown)), names)
    markdown = RAISES.sub(lambda found: _raised(found[1], names), markdown)
    markdown = LOSS.sub(lambda found: _link(found[1], "losses/"), markdown)
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)
    parts[::2] = [re.sub(r"\$\$(.*?)\$\$", _formula, part, flags=re.DOTALL) for part in parts[::2]]
    return "".join(parts)


def _formula(found: re.Match[str]) -> str:
    drawn = convert(" ".join(found[1].split()), display="block")
    return "\n\n" + NAME_BEFORE.sub(SPACE, NAME_AFTER.sub(SPACE, drawn)) + "\n\n"


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


def _link(name: str, folder: str = "") -> str:
    family = str(jaxloss.catalogue[name].__module__).split(".")[2]
    return f"[`{name}`]({folder}{family}.md#{name})"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _drawn(name: str) -> bytes:
    file = io.BytesIO()
    picture(name).savefig(file, format="png", dpi=80)
    return file.getvalue()


def _notebook(name: str) -> dict[str, str | bytes]:
    """A notebook as it is stored: its text, its code folded, what the code printed and drew."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads((PROJECT / "notebooks" / f"{name}.ipynb").read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\((\w+)\.ipynb\)", r"(\1.md)", source))
            continue
        parts.append('??? example "Code"\n\n' + textwrap.indent(f"```python\n{source}\n```", "    "))
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                path = f"notebooks/{name}-{len(pictures) + 1}.png"
                pictures[path] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![what the code above draws]({Path(path).name}){{ loading=lazy }}")
            elif output.get("name") != "stderr":  # where progress bars are drawn
                parts.append("```text\n" + "".join(output.get("text") or data["text/plain"]).rstrip() + "\n```")
    return {f"notebooks/{name}.md": "\n\n".join(parts) + "\n", **pictures}


def _raised(call: str, names: dict[str, Any]) -> str:
    try:
        exec(call, names)
    except Exception as error:
        said = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
        return "\n\n".join([f"```python\n{call}```", *(f"> {html.escape(part, quote=False)}" for part in said)])
    raise AssertionError(f"{call} raises nothing")
