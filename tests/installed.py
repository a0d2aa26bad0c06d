"""The wheel and the source archive, in an empty environment outside the tree: python installed.py dist."""

import importlib.metadata
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxloss


def main(folder: Path) -> None:
    """Look into the archives, then use what is installed."""
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "jaxloss/py.typed" in names
    assert all(name.startswith(("jaxloss/", "jaxloss-")) for name in names), names
    with tarfile.open(source) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "jaxloss/__init__.py"} <= set(names)
    assert not [name for name in names if name.startswith((".venv", ".cache", "build", "dist"))]

    assert Path(jaxloss.__file__).is_relative_to(sys.prefix), jaxloss.__file__
    assert jaxloss.__version__ == importlib.metadata.version("jaxloss") == wheel.name.split("-")[1]
    logits, labels = jnp.array([[2.0, 0.5], [0.1, 3.0], [jnp.nan, jnp.nan]]), jnp.array([0, 1, -100])
    cost = jax.jit(jax.value_and_grad(jaxloss.softmax_cross_entropy_with_integer_labels))
    value, gradient = cost(logits, labels, where=labels != -100)
    assert abs(value - (jnp.log1p(jnp.exp(-1.5)) + jnp.log1p(jnp.exp(-2.9))) / 2) < 1e-6
    assert jnp.isfinite(gradient).all()
    listed = subprocess.run([Path(sys.prefix, "bin", "jaxloss")], capture_output=True, text=True, check=True).stdout
    assert all(name in listed for name in jaxloss.catalogue)
    sys.stdout.write(f"jaxloss {jaxloss.__version__}: {len(jaxloss.catalogue)} losses, installed from {wheel.name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
