"""Who may import whom, and what is public. Read off the source, so that a wrong import fails where it is written."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxloss

PACKAGE = Path(jaxloss.__file__).parent
MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
FAMILIES = [name for name in MODULES if name.startswith("jaxloss.losses.") and not name.endswith("__init__")]
COMMANDS = [name for name in MODULES if name.startswith(("jaxloss.cli", "jaxloss.__main__"))]
MECHANISM = [name for name in MODULES if name.startswith("jaxloss.core.")]


def imported(module: str) -> set[str]:
    """The modules of this package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name in MODULES or f"{name}.__init__" in MODULES}


def third_party(module: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    return names - {"jaxloss"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_imports_the_decorator_the_types_and_the_numerics(family):
    mechanism = {"jaxloss", "jaxloss.core", "jaxloss.core.loss", "jaxloss.types"}
    assert not {name for name in imported(family) - mechanism if not name.startswith("jaxloss.numerics")}


@pytest.mark.parametrize("module", MECHANISM)
def test_the_mechanism_names_no_loss(module):
    assert not {name for name in imported(module) if name.startswith(("jaxloss.losses", "jaxloss.testing"))}
    code = ast.parse(MODULES[module].read_text())
    docstrings = {
        ast.get_docstring(n, clean=False)
        for n in ast.walk(code)
        if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module)
    }
    texts = [
        n.value
        for n in ast.walk(code)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value not in docstrings
    ]
    names = [n.id for n in ast.walk(code) if isinstance(n, ast.Name)] + [
        n.attr for n in ast.walk(code) if isinstance(n, ast.Attribute)
    ]
    options = {option for loss in jaxloss.catalogue.values() for option in loss._term.options}  # `clip` is both
    losses = set(jaxloss.catalogue) - options
    assert not losses & set(names)
    assert not [loss for loss in losses for text in texts if loss in text]


def test_numerics_know_arrays_not_losses():
    for module in MODULES:
        if module.startswith("jaxloss.numerics"):
            known = {name for name in imported(module) if not name.startswith("jaxloss.numerics")}
            assert known <= {"jaxloss", "jaxloss.types"}


def test_the_law_kit_works_without_the_families():
    for module in MODULES:
        if module.startswith("jaxloss.testing"):
            assert not {name for name in imported(module) if name.startswith("jaxloss.losses")}


@pytest.mark.parametrize("module", MODULES)
def test_only_jax_and_numpy_are_needed(module):
    allowed = {"jax", "numpy"} | ({"matplotlib", "PIL"} if module in COMMANDS else set())
    if module == "jaxloss.testing.__init__":
        allowed |= {"tqdm"}  # shows progress where it happens to be installed
    assert third_party(module) - set(sys.stdlib_module_names) <= allowed
    assert "jax._src" not in MODULES[module].read_text()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_the_commands(module):
    if module not in COMMANDS:
        assert not imported(module) & set(COMMANDS)


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_imports_what_is_heavy_when_it_draws(module):
    for statement in ast.parse(MODULES[module].read_text()).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            assert not re.search("matplotlib|PIL", ast.unparse(statement))


def test_the_library_alone_imports_neither_the_commands_nor_anything_heavy():
    code = "import sys, jaxloss; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "jaxloss.core.loss" in loaded
    heavy = ("jaxloss.cli", "matplotlib", "numpy.polynomial", "optax", "rich", "sklearn")
    assert not [name for name in loaded if name.startswith(heavy)]


@pytest.mark.parametrize("module", MODULES)
def test_a_file_stays_on_a_few_screens(module):
    assert len(MODULES[module].read_text().splitlines()) <= 400


def test_the_public_list_is_the_catalogue_and_the_concepts():
    concepts = {"Loss", "Tally", "custom_loss", "reduce", "value_and_grad", "numerics", "testing", "catalogue"}
    makers_and_penalties = {
        "fenchel_young",
        "linear_softmax_loss",
        "r1_penalty",
        "r2_penalty",
        "wgan_gradient_penalty",
        "dragan_penalty",
    }
    tree = ast.parse(MODULES["jaxloss.__init__"].read_text())
    statements = [node for node in tree.body if not isinstance(node, ast.Expr)]
    typing, *statements, hidden = statements
    assert ast.unparse(typing) == "from typing import TYPE_CHECKING"
    assert "import __getattr__" in ast.unparse(hidden)
    assert all(isinstance(node, ast.ImportFrom) for node in statements)
    public = {alias.asname for node in statements for alias in node.names}
    assert public == concepts | makers_and_penalties | set(jaxloss.catalogue) | {"__version__"}
    assert all(alias.asname == alias.name for node in statements for alias in node.names)


def test_the_catalogue_is_read_off_the_families():
    defined = {
        node.name
        for family in FAMILIES
        for node in ast.parse(MODULES[family].read_text()).body
        if isinstance(node, ast.FunctionDef) and any("custom_loss" in ast.unparse(d) for d in node.decorator_list)
    }
    assert set(jaxloss.catalogue) == defined
    assert all(getattr(jaxloss, name) is loss for name, loss in jaxloss.catalogue.items())
    assert all(loss.__name__ == name for name, loss in jaxloss.catalogue.items())
