"""The notebooks run from start to end, and what they store is what they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import jaxloss
from jaxloss.cli import form

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_the_quickstart(tmp_path):
    # One test, so that one worker runs the notebook once.
    executed = run("quickstart", tmp_path)
    shows_progress_prints_its_table_and_says_where_the_pictures_are(*executed)
    beats_its_baselines(*executed)
    last = is_stored("quickstart", pictures=6)
    new, old = results((tmp_path / "results.md").read_text()), results(last.outputs[0].text)
    assert old.keys() == new.keys()
    for row, value in new.items():
        # Another machine sums in another order, and a trained model then ends elsewhere within its spread.
        assert value == pytest.approx(old[row], rel=0.1), row


def test_the_gallery_has_every_loss_with_its_formula_and_is_small():
    # Whether each can still be drawn is tested with the command line; here, that what is stored is the catalogue's.
    stored = nbformat.read(NOTEBOOKS / "gallery.ipynb", as_version=4)
    assert (NOTEBOOKS / "gallery.ipynb").stat().st_size < 20_000 * len(jaxloss.catalogue)
    drawn = {cell.source: cell for cell in stored.cells if cell.cell_type == "code"}
    prose = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    for name, loss in jaxloss.catalogue.items():
        cell = drawn.get(f'Image(png(picture("{name}")))')
        assert cell, f"{name} has no picture; run make gallery"
        assert [shown for shown in cell.outputs if "image/png" in shown.get("data", {})]
        assert f"$$ {form.read(loss).formula} $$" in prose, f"{name} has another formula; run make gallery"


def splitting(printed):
    found = dict(re.findall(r"^(.+?)  +(\d\S+)", printed, re.MULTILINE))
    assert float(found["value_and_grad, micro-batches of 60"]) < 1e-5
    assert float(found["mean of 4 means"]) > 1e-3
    one_pass, added, averaged = (float(found[name]) for name in ("one pass", "tallies of 8 batches", "mean of 8 means"))
    assert added == pytest.approx(one_pass, rel=1e-5) != pytest.approx(averaged, rel=1e-2)


def language_model(printed):
    summary = printed.partition("MiB at 131072")[2]
    found = {name: row.split() for name, row in re.findall(r"^(.+?)  +(\d.+)", summary, re.MULTILINE)}
    for name in ("fast, memory=4 MiB", "small, memory=4 MiB"):
        validation, off, *memory = map(float, found[name])
        assert validation == pytest.approx(float(found["dense"][0]), abs=1e-3), name
        assert off < 1e-4, name
        assert max(memory) < float(found["dense"][-1]) / 100, name
    assert max(map(float, found["auto"])) < float(found["dense"][-1]) / 20
    assert float(found["dense"][0]) < float(found["frequencies of words"][0])


def survival(printed):
    found = numbers(printed)
    ours, theirs = found["cox"], found["Cox regression (lifelines)"]
    assert abs(ours[0] - theirs[0]) < 2e-3
    assert abs(ours[-1] - theirs[-1]) < 3e-3
    for name in ("cox", "aft_nll, lognormal", "aft_nll, weibull", "discrete_hazard_nll"):
        assert found[name][0] > found["number of nodes alone"][0] + 0.02, name
        assert abs(found[name][-1]) < 0.06, name
    assert found["gaussian_nll, censored left out"][-1] < found["gaussian_nll, censored as events"][-1] < -0.2


def ranking(printed):
    found = {name: first for name, (first, *_) in numbers(printed).items()}
    pointwise = max(found["squared_error, pointwise"], found["sigmoid, pointwise"])
    assert min(found["listwise_softmax"], found["lambda_rank"]) > pointwise + 0.01
    assert found["list_mle"] > 0.7


def preference(printed):
    rows = re.findall(r"^(\w[^(\n]*) \(.*?\)  +(-?\d\.\d{6})$", printed, re.MULTILINE)
    expected = {"tokens": -0.272910, "answers": 0.071610, "sums of answers": -0.409365, "a constant length": -0.102341}
    expected["questions"] = -0.272910
    assert {name: float(value) for name, value in rows} == pytest.approx(expected, abs=2e-6)
    found = {name: right for name, (right, *_) in numbers(printed).items()}
    before = found["as it learnt to write"]
    assert min(found["dpo and cross entropy"], found["cross entropy"]) > before + 0.1
    assert min(right for name, right in found.items() if name.startswith("grpo")) > before + 0.05


def sequence(printed):
    wrong = {name: first for name, (first, *_) in numbers(printed).items()}
    assert wrong["ctc"] < 0.5 * wrong["cross entropy, equal parts"]
    assert wrong["cross entropy, true places"] < 0.1


def segmentation(printed):
    found = numbers(printed)  # a digit, left empty, both kinds, less than both, cross entropy
    names = "dice, smooth=0", "dice, smooth=1", "cross entropy", "both"
    without, smooth, pixels, both = (found[name] for name in names)
    assert without[0] > max(smooth[0], pixels[0], both[0]) + 0.02
    assert without[1] < 0.3 < 0.75 < min(smooth[1], pixels[1], both[1])
    assert both[2] > pixels[2] + 0.02 > without[2] + 0.2
    assert pixels[-1] < both[-1] < smooth[-1]


def contrastive(printed):
    rows = re.findall(r"^(\w.*?)  +(\d+\.\d\d)  +(\d\.\d{4})  +(\S+)$", printed, re.MULTILINE)
    (memory, cost, _), parts, batches = ([*map(float, row)] for _, *row in rows)
    assert parts[0] < 0.6 * memory
    assert parts[1] == pytest.approx(cost, rel=1e-5) != pytest.approx(batches[1], rel=0.1)
    assert parts[2] < 1e-5 < 1e-2 < batches[2]
    gain = numbers(printed)["gain over the pixels"]
    assert min(gain[:2]) > 0.02
    assert min(gain) > -0.02


def metric(printed):
    learnt, others = map(numbers, printed.split("pictures of the four other digits"))
    losses = "arcface", "batch_hard_triplet"
    assert min(learnt[name][1] for name in losses) > learnt["pixels"][1] + 0.02
    assert learnt["arcface"][1] > learnt["arcface, margin=0"][1]
    assert max(others[name][1] for name in losses) < others["pixels"][1] - 0.05


def choosing(printed):
    rows = numbers(printed)  # a name of several sections keeps its last
    found = {name: first for name, (first, *_) in rows.items()}
    assert max(found["huber"], found["cauchy"]) < 0.7
    assert found["poisson_nll"] < found["squared_error of log(1 + y)"]
    assert found["logit_adjusted_cross_entropy"] > found["softmax_focal"]
    assert found["sigmoid_binary_cross_entropy"] < min(found["hinge"], found["sigmoid_focal, gamma=2"])
    assert abs(found["pinball at 0.1 and 0.9"] - 0.8) < abs(found["squared_error, one width"] - 0.8)
    assert found["generalized_cross_entropy"] > found["symmetric_cross_entropy"] > found["cross entropy"] + 0.1
    orders = ("ordinal_cross_entropy", "squared_error of the grade", "cross entropy of 5 logits")
    assert max(found[name] for name in orders[:2]) < found[orders[2]] < 1.0
    assert found["the teacher"] > found["distillation, temperature=4"] > found["cross entropy of the labels"] + 0.05
    assert found["distillation, temperature=1"] > found["cross entropy of its choice"]
    assert found["flow_matching"] < found["a normal distribution"] < found["diffusion of the noise"]
    overlap = ("dice", "dice and cross entropy", "lovasz_hinge")
    assert min(found[name] for name in overlap) > found["cross entropy of each pixel"] + 0.02
    assert min(found["giou"], found["ciou"]) > 0.6
    far = {name: values[-1] for name, values in rows.items()}
    asked = min(far["supervised_contrastive"], far["batch_hard_triplet"])
    assert asked > far["cross entropy of 10 logits"] + 0.05 > far["pixels"] + 0.1


PICTURES = {
    survival: 1,
    ranking: 1,
    preference: 1,
    sequence: 1,
    segmentation: 1,
    contrastive: 1,
    metric: 1,
    splitting: 3,
    choosing: 12,
    language_model: 3,
}
STORIES = {story.__name__: story for story in PICTURES}


@pytest.mark.parametrize("name", STORIES)
def test_what_is_stored(name):
    is_stored(name, PICTURES[STORIES[name]])
    stored = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    shown = [x.text for cell in stored.cells if cell.cell_type == "code" for x in cell.outputs if "text" in x]
    STORIES[name]("".join(shown))


@pytest.mark.sampled(len(STORIES))
@pytest.mark.parametrize("name", STORIES)
def test_what_runs_again(name, tmp_path):
    if name == "segmentation":
        pytest.importorskip("flax")
    _, printed = run(name, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) >= PICTURES[STORIES[name]]
    STORIES[name](printed)


def numbers(printed):
    """The means of each row of a table."""
    rows = re.findall(r"^(\S.*?)  +(-?\d\S* ±.*)", printed, re.MULTILINE)
    return {name: [float(mean) for mean in re.findall(r"(-?\d\S*) ±", cells)] for name, cells in rows}


def run(name: str, output: Path) -> tuple[Path, str]:
    """A notebook, run as `make demo` runs one: the folder of its results, and what it printed."""
    command = [sys.executable, NOTEBOOKS / "run.py", NOTEBOOKS / f"{name}.ipynb", "--output", output]
    world = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUMPY_")}
    done = subprocess.run(command, capture_output=True, text=True, env=world, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return output, done.stdout


def results(text: str) -> dict[tuple[str, str], float]:
    """The numbers of the table, without their spread."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {(section, method): float(value.split()[0]) for section, method, _, value in rows}


def shows_progress_prints_its_table_and_says_where_the_pictures_are(output, printed):
    assert "epochs" in printed
    assert (output / "results.md").read_text() in printed
    assert "The pictures, the table and the executed notebook are in" in printed
    assert len(list(output.glob("*.png"))) >= 6


def beats_its_baselines(output, _):
    found = results((output / "results.md").read_text())
    classifier = found["1 digits", "perceptron, softmax cross entropy"]
    assert classifier > found["1 digits", "class frequencies (scikit-learn)"] + 0.5
    robust = found["3 outliers", "linear model, huber"], found["3 outliers", "linear model, log_squared"]
    assert max(robust) < found["3 outliers", "median (scikit-learn)"]
    assert max(robust) < 0.5 * found["3 outliers", "LinearRegression (scikit-learn)"]
    assert found["4 embedding", "2-D by triplets, mined"] > found["4 embedding", "2-D by PCA (scikit-learn)"] + 0.2
    ragged = found["5 ragged sets", "perceptron on the pixels so far"]
    assert ragged < found["5 ragged sets", "counts of pixel pairs"]
    assert found["6 batches", "tallies of 8 batches, finished once"] == found["6 batches", "all 450 at once"]


def is_stored(name, pictures):
    """The last code cell of a notebook, which is stored as it was executed."""
    stored = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    code = [cell for cell in stored.cells if cell.cell_type == "code" and cell.source]
    assert all(cell.execution_count for cell in code)
    kinds = [shown.output_type for cell in code for shown in cell.outputs]
    assert "error" not in kinds
    assert sum("image/png" in shown.get("data", {}) for cell in code for shown in cell.outputs) >= pictures
    return code[-1]
