"""Executes a notebook from start to end in a fresh kernel, and shows its progress."""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent

# Before the imports that read them. What Jupyter, IPython and matplotlib keep stays inside the project.
for variable, folder in {
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter/config",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    "MPLCONFIGDIR": "matplotlib",
    "XDG_CACHE_HOME": "",
}.items():
    kept = os.environ.setdefault(variable, str(PROJECT / ".cache" / folder))
    os.makedirs(kept, exist_ok=True)  # IPython warns of a folder that is not there yet

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


class Runner(NotebookClient):
    """A client that passes on what the cells print while they print it, progress bars included."""

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        out = super().output(outs, msg, display_id, cell_index)
        if out is not None and out.output_type == "stream":
            print(out.text, end="", file=getattr(sys, out.name), flush=True)
        return out


def show_heading(cell: Any, **_: Any) -> None:
    """Prints the first line of a text cell that opens with a heading."""
    if cell.cell_type == "markdown" and cell.source.startswith("#"):
        print("\n" + cell.source.partition("\n")[0].lstrip("# "), flush=True)


def execute(path: Path, output: Path, *, store: bool) -> None:
    """Runs the notebook, in its own folder, and writes the executed copy to `output`; over the source with `store`.

    Raises:
        CellExecutionError: A cell failed. The copy, up to that cell, is written all the same.
    """
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # no outputs of an earlier run behind a cell that fails
            cell.outputs, cell.execution_count = [], None
    output.mkdir(parents=True, exist_ok=True)
    os.environ["JAXLOSS_OUTPUT"] = str(output)
    runner = Runner(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # or the kernel warns that it talks to this machine unencrypted
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,  # a stored notebook should not differ by the time of day
        coalesce_streams=True,  # of a progress bar only the last state is stored
        on_cell_start=show_heading,
    )
    try:
        runner.execute()
    finally:
        notebook.metadata = nbformat.from_dict(metadata)  # the kernel adds the version of its Python
        nbformat.write(notebook, output / path.name)
    if store:
        nbformat.write(notebook, path)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--output", type=Path, help="folder for pictures, tables and the executed copy")
    parser.add_argument("--store", action="store_true", help="also write the outputs into the notebook itself")
    arguments = parser.parse_args()
    path = arguments.notebook.resolve()
    output = (arguments.output or PROJECT / "build" / path.stem).resolve()
    try:
        execute(path, output, store=arguments.store)
    except CellExecutionError as error:
        print("\n" + re.sub(r"\x1b\[[0-9;]*m", "", str(error)), file=sys.stderr)
        return 1
    print(f"\nThe pictures, the table and the executed notebook are in {os.path.relpath(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
