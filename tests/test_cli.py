"""The command line, run as its user runs it."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxloss
from jaxloss.cli import form, pictures, views
from jaxloss.cli.commands import main
from jaxloss.cli.plain import plain
from jaxloss.testing.laws import LAWS

MINE = """
import jax.numpy as jnp
import jaxloss

@jaxloss.custom_loss
def log_squared(prediction, target, *, scale=1.0):
    return jnp.log1p(((prediction - target) / scale) ** 2)

def careless(prediction, target):
    return jnp.sqrt((prediction - target) ** 2)

def mixed(prediction, target):
    return (prediction > target) * prediction**2

number = 3
"""
EXAMPLE = "jnp.array([1.0, 2.0, 3.0]), jnp.array([1.5, 1.0, 5.0])"


def run(*arguments, cwd=None, before=""):
    """Exit status, output and errors of `python -m jaxloss`."""
    code = (
        f"import runpy, sys; {before}; sys.argv[1:] = {arguments!r}; runpy.run_module('jaxloss', run_name='__main__')"
    )
    command = [sys.executable, "-c", code] if before else [sys.executable, "-m", "jaxloss", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, encoding="utf-8")
    return done.returncode, done.stdout, done.stderr


def test_without_arguments_it_lists_the_catalogue_a_line_a_loss():
    status, text, _ = run()
    assert status == 0
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(jaxloss.catalogue)
    assert "regression / errors" in text.splitlines()


def test_show_draws_as_well(tmp_path):
    status, text, _ = run("show", "huber", "--plot", str(tmp_path / "huber.png"))
    assert status == 0
    assert "{ ½ e² if |e| ≤ δ; δ |e| - ½ δ² if |e| > δ }" in text
    assert re.search(r"delta=1\.0 +Where .* Checked: \(0, inf\)\.", text)
    assert "Huber (1964)" in text
    assert "absolute_error" in text.split("Relatives")[1]
    assert (tmp_path / "huber.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", jaxloss.catalogue)
@pytest.mark.sampled(8)
def test_show_has_every_part_of_every_loss(name, capsys):
    assert main(["show", name]) == 0
    text = capsys.readouterr().out
    loss = jaxloss.catalogue[name]
    known = form.read(loss)
    for part in ("Formula", "Arguments", "Corners", "Source", "Example"):
        assert f"\n{part}\n" in text
    assert set(known.arguments) == set(loss._term.parameters)
    # The example is run, and prints what the docstring says.
    assert form.run_example(loss) == known.example


@pytest.mark.parametrize("name", jaxloss.catalogue)
def test_a_formula_is_plain_or_as_it_stands(name):
    formula = form.read(jaxloss.catalogue[name]).formula
    text = plain(formula)
    assert text == formula or not re.search(r"[\\\0]|\{\}", text)
    assert text.count("(") == text.count(")") or "[" in text


def test_a_name_that_is_not_known_gets_the_nearest():
    status, text, errors = run("show", "SmoothHuberLoss")
    assert (status, text) == (2, "")
    assert "there is no loss named 'SmoothHuberLoss'" in errors
    status, _, errors = run("show", "hubert")
    assert status == 2
    assert "did you mean huber?" in errors


def test_search_by_words(capsys):
    assert main(["search", "integer", "label"]) == 0
    text = capsys.readouterr().out
    assert "softmax_cross_entropy_with_integer_labels" in text
    assert "huber" not in text
    assert main(["search", "nothing has this word"]) == 1
    assert capsys.readouterr().out == ""


def test_check_of_a_loss_that_holds_is_quick_and_says_how_to_run_all(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    status, text, errors = run("check", "mine:log_squared", "--example", f"{EXAMPLE}, scale=2.0", cwd=tmp_path)
    assert status == 0, text + errors
    assert text.startswith("log_squared: 13 of 18 laws\n")
    assert "11 held, 0 broken, 0 warning, 0 not run, 2 does not apply\n" in text
    assert text.endswith("5 laws were not asked for; all of them: --laws all. What they say: jaxloss laws.\n")
    assert "running" not in text + errors  # on a terminal alone


def in_folder_of(path, monkeypatch):
    (path / "mine.py").write_text(MINE)
    monkeypatch.chdir(path)
    monkeypatch.setattr(sys, "path", [str(path), *sys.path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)


def test_the_exit_status_tells_a_broken_law_from_one_that_was_not_run(tmp_path, capsys, monkeypatch):
    in_folder_of(tmp_path, monkeypatch)
    assert main(["check", "mine:careless", "--laws", "corners,labels", "--example", EXAMPLE]) == 1
    text = capsys.readouterr().out
    assert text.startswith("careless: 3 of 18 laws\n")
    assert re.search(r"BROKEN +corners +with prediction = target", text)
    assert "To mend it: Replace the input" in text
    assert re.search(r"does not apply +labels +the loss takes no labels", text)

    two_items = ["--example", "jnp.array([1.0, 2.0]), jnp.array([1.5, 1.0])"]
    assert main(["check", "mine:log_squared", "--laws", "order,split,shapes", *two_items]) == 3
    text = capsys.readouterr().out
    assert re.search(r"not run +split +the example has 2 items", text)
    assert "2 held, 0 broken, 0 warning, 2 not run" in text
    assert "The example left split, order unrun" in text
    assert main(["check", "mine:careless", "--laws", "order,corners", *two_items]) == 1


def test_strict_promotion_is_a_warning_unless_named(tmp_path, capsys, monkeypatch):
    in_folder_of(tmp_path, monkeypatch)
    with jax.numpy_dtype_promotion("standard"):
        assert main(["check", "mine:mixed", "--laws", "quick", "--example", EXAMPLE]) == 0
        assert re.search(r"warning +strict_world +it raises TypePromotionError", capsys.readouterr().out)
        assert main(["check", "mine:mixed", "--laws", "strict_world", "--example", EXAMPLE]) == 1


def test_laws_are_listed_with_what_mends_them(capsys):
    assert main(["laws"]) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^(\w+)", text, re.MULTILINE) == list(LAWS)
    assert text.count("To mend it: ") == len(LAWS)
    assert "split  (not among the quick ones)\n  Law 8: however the items are split" in text


def test_a_terminal_shows_the_law_that_runs(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["check", "huber", "--laws", "shapes", "--example", EXAMPLE]) == 0
    assert re.search(r"running +shapes\r +held +shapes", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "mine:log_squarred", "--example", EXAMPLE], "did you mean log_squared?"),
        (["check", "mine:number", "--example", EXAMPLE], "not a loss but a int"),
        (["check", "mine.py:log_squared", "--example", EXAMPLE], "found by its module: mine:log_squared"),
        (["check", "./src/mine.py:log_squared", "--example", EXAMPLE], "found by its module: src.mine:log_squared"),
        (["check", "mine.py", "--example", EXAMPLE], "found by its module: mine:my_loss"),
        (
            ["check", "pkg.mine.log_squared", "--example", EXAMPLE],
            "between the module and the loss: pkg.mine:log_squared",
        ),
        (["check", "huber", "--laws", "order,corner", "--example", EXAMPLE], "did you mean corners?"),
        (["check", "nowhere:loss", "--example", EXAMPLE], "cannot be imported: ModuleNotFoundError"),
        (["check", "mine:log_squared", "--example", "jnp.array([1.0"], "cannot be evaluated: SyntaxError"),
        (["check", "mine:log_squared", "--example", "jnp.ones(3)"], "cannot be called on the example"),
        (["check", "mine:log_squared", "--example", f"{EXAMPLE}, sclae=1.0"], "cannot be called on the example"),
        (["show", "huber", "--plot", "no/such/folder.png"], "cannot be written"),
        (["show", "huber", "--plot", "huber.unknown"], "cannot be written"),
    ],
)
def test_a_misuse_is_told_apart_from_a_broken_law(arguments, says, tmp_path, capsys, monkeypatch):
    in_folder_of(tmp_path, monkeypatch)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert "Traceback" not in errors


def test_an_example_is_asked_for():
    status, _, errors = run("check", "mine:loss")
    assert status == 2
    assert "--example" in errors


def test_without_matplotlib_all_but_the_picture(tmp_path):
    without = "sys.modules['matplotlib'] = None"
    status, text, errors = run("show", "huber", "--plot", str(tmp_path / "x.png"), before=without)
    assert status == 2
    assert "Formula" in text
    assert "a picture needs matplotlib" in errors
    assert "Traceback" not in errors


def seen(name):
    """The axes beside the curves of a loss, its first view, and what is written at the points of its curves."""
    figure = pictures.picture(name, points=9)
    (view, *_) = (view for view in views.views_of(jaxloss.catalogue[name]) if view.scene)
    band = figure.subfigs[0].subfigs
    return band[0].axes, view, {note.get_text(): note.xy for note in band[1].axes[0].texts}


def test_two_boxes_are_shown_beside_the_curve():
    shown, view, points = seen("iou")
    assert len(shown) == len(points) == 3
    for axes, (letter, (x, value)), (item, place) in zip(shown, points.items(), view.scene.at, strict=True):
        boxes = view.items[item](jnp.float32(place))
        drawn = [[*patch.get_xy(), *patch.get_corners()[2]] for patch in axes.patches]
        np.testing.assert_allclose(drawn, boxes)
        assert axes.get_ylabel().startswith(f"{letter}  at {place:g}")
        assert x == place
        assert value == pytest.approx(float(jaxloss.iou(*boxes)), abs=0.1)  # between the points of the curve


def test_two_regions_are_shown_as_the_loss_has_them():
    shown, view, _ = seen("dice")
    for axes, (item, place) in zip(shown, view.scene.at, strict=True):
        probabilities, truth = view.items[item](jnp.float32(place))
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array().ravel(), probabilities)
        outline = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
        rows, columns = np.nonzero(truth.reshape(image.get_array().shape))
        ends = [columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([outline.min(0), outline.max(0)], ends, atol=0.1)


def test_what_can_be_seen_is_shown():
    from matplotlib.figure import Figure

    with_scenes = set()
    for name, loss in jaxloss.catalogue.items():
        for view in views.views_of(loss):
            for item, place in view.scene.at if view.scene else ():
                axes = Figure().subplots()
                view.scene.draw(axes, *map(np.asarray, view.items[item](jnp.float32(place))))
                assert [*axes.images, *axes.lines, *axes.patches]
                assert view.low <= place <= view.high
                with_scenes.add(name)
    families = {name: str(loss.__module__).split(".")[2] for name, loss in jaxloss.catalogue.items()}
    scores = {"quality_focal", "varifocal", "gaussian_focal"}  # of a number
    assert (
        with_scenes
        == {name for name in families if families[name] in ("segmentation", "detection", "image", "audio")} - scores
    )


@pytest.mark.parametrize("name", jaxloss.catalogue)
@pytest.mark.sampled(20)
def test_every_loss_has_a_picture(name):
    # The curves of it; a loss that cannot be drawn says in which file to say how.
    for view in views.views_of(jaxloss.catalogue[name]):
        for line in pictures.lines(jaxloss.catalogue[name], view, with_options=False, points=9):
            assert np.isfinite(line.value).sum() >= 5
            assert np.isfinite(line.slope).sum() >= 5
            assert view.along
