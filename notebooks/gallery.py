"""Writes gallery.ipynb and gallery.png from the catalogue: the losses of each family that share axes, then each alone.

`make gallery` runs it and then executes what it wrote. Nothing in the gallery is kept by hand: the formulas are those
of the docstrings, and how a loss is drawn is said in `jaxloss/cli/views.py`.
"""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import jaxloss
from jaxloss.cli import form, pictures

PATH = Path(__file__).parent / "gallery.ipynb"
SHOWN = ["squared_error", "huber", "log_cosh", "cauchy", "welsch"]
"""In the README, as gallery.png."""
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
OPENING = """# Gallery

Every loss of the catalogue: its value, its slope and, where it is not 0, its curvature along one number. Made by
`make gallery`; the same picture of one loss is drawn by `jaxloss show NAME --plot FILE`.

- The axis says what varies, and what the other arguments are. Slope and curvature are derivatives along that axis, by
  `jax.grad`. A jump is drawn as a steep line.
- A triangle says that a curve goes on beyond the axes there, in its direction; where the loss is infinite, to infinity.
- Several lines are several values of an option or of another argument. First come, for each family, the losses that
  share their axes, at their default options."""
SETUP = """from IPython.display import Image

from jaxloss.cli.pictures import family_picture, picture, png"""


def cells():
    """The cells of the notebook, in order; each has an identity of its own, so that two runs differ by what changed."""
    yield new_markdown_cell(OPENING, id="opening")
    yield new_code_cell(SETUP, id="setup")
    together = list(pictures.families())
    seen = []
    for name, loss in jaxloss.catalogue.items():
        family = str(loss.__module__).split(".")[2]
        if family not in seen:
            seen.append(family)
            yield new_markdown_cell(f"## {family.capitalize()}", id=f"family-{family}")
            for number, (_, names) in enumerate(pair for pair in together if pair[0] == family):
                yield new_code_cell(f"Image(png(family_picture({names!r})))".replace("'", '"'), id=f"{family}-{number}")
        known = form.read(loss)
        yield new_markdown_cell(f"### {name}\n\n{known.sentence}\n\n$$ {known.formula} $$", id=f"about-{name}"[:64])
        yield new_code_cell(f'Image(png(picture("{name}")))', id=f"loss-{name}"[:64])


if __name__ == "__main__":
    PATH.with_suffix(".png").write_bytes(pictures.png(pictures.family_picture(SHOWN)))
    nbformat.write(new_notebook(cells=list(cells()), metadata=KERNEL), PATH)
