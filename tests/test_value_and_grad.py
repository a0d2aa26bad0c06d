"""The cost of a whole batch and its gradient, however the batch is split: micro-batches, devices, steps."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.interpreters import partial_eval
from jax.sharding import AxisType, NamedSharding

import jaxloss
from jaxloss import Tally, value_and_grad

ITEMS, WIDTH, CLASSES = 13, 6, 4
AXIS_TYPES = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}


def example(rng, items=ITEMS, dtype=np.float32):
    params = {
        "hidden": rng.normal(size=(3, WIDTH)).astype(dtype),
        "out": rng.normal(size=(WIDTH, CLASSES)).astype(dtype),
        "gate": rng.normal(size=3).astype(dtype),
    }
    batch = {
        "x": rng.normal(size=(items, 3)).astype(dtype),
        "label": rng.integers(0, CLASSES, items),
        "counts": rng.random(items) < 0.6,
        "weight": rng.random(items).astype(np.float32),
    }
    batch["x"][~batch["counts"]] = np.nan
    return jax.tree.map(jnp.asarray, (params, batch))


def logits(params, batch):
    # What is behind the mask must not reach the model: its own gradient of NaN inputs is its own affair.
    x = jnp.where(batch["counts"][:, None], batch["x"], 0)
    return jnp.tanh(x @ params["hidden"]) @ params["out"], x


def classify(params, batch):
    scores, _ = logits(params, batch)
    return jaxloss.softmax_cross_entropy_with_integer_labels.tally(scores, batch["label"], where=batch["counts"])


def weighed(params, batch):
    scores, _ = logits(params, batch)
    loss = jaxloss.softmax_cross_entropy_with_integer_labels
    return loss.tally(scores, batch["label"], where=batch["counts"], weights=batch["weight"])


def gated(params, batch):
    """The denominator depends on the parameters."""
    scores, x = logits(params, batch)
    weights = jax.nn.sigmoid(x @ params["gate"])
    loss = jaxloss.softmax_cross_entropy_with_integer_labels
    return loss.tally(scores, batch["label"], where=batch["counts"], weights=weights)


def regress(params, batch):
    scores, _ = logits(params, batch)
    return jaxloss.squared_error.tally(scores[:, 0], scores[:, 1] ** 2, where=batch["counts"])


def composed(params, batch):
    penalty = sum(jnp.vdot(p, p) for p in jax.tree.leaves(params))
    confident = {**batch, "counts": batch["counts"] & (batch["label"] > 1)}
    return {"ce": gated(params, batch), "rare": regress(params, confident), "l2": Tally(penalty, 1.0)}


COSTS = {
    "mean": (classify, "mean"),
    "weighted mean": (weighed, "mean"),
    "sum": (weighed, "sum"),
    "perplexity": (classify, lambda t: jnp.exp(t.mean)),
    "rmse": (regress, lambda t: jaxloss.numerics.safe_sqrt(t.mean)),
    "denominator of the parameters": (gated, "mean"),
    "composed": (composed, lambda t: t["ce"].mean + 0.1 * t["rare"].mean + 1e-3 * t["l2"].mean),
    "composed, not linear": (composed, lambda t: t["ce"].mean * t["rare"].mean + jnp.log1p(t["rare"].numerator)),
    "sum of means": (composed, "mean"),
}
costs = pytest.mark.parametrize("name", COSTS)


def whole(name, params, batch):
    """What value_and_grad has to give, written down without it."""
    cost, how = COSTS[name]

    def value(params):
        tallies = cost(params, batch)
        if callable(how):
            return how(tallies)
        each = jax.tree.leaves(tallies, is_leaf=lambda x: isinstance(x, Tally))
        return sum(t.numerator / t.denominator if how == "mean" else t.numerator for t in each)

    return jax.jit(jax.value_and_grad(value))(params)


def assert_same(got, expected, rtol=1e-5):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.max(np.abs(other), initial=1e-6))
    chex.assert_trees_all_equal_shapes_and_dtypes(got, expected)


@costs
@pytest.mark.parametrize("size", [None, 1, 4, *(pytest.param(n, marks=pytest.mark.sweep) for n in (2, 5, 12, 13, 50))])
@pytest.mark.sampled(3)
def test_any_micro_batch_gives_the_whole(name, size, rng):
    params, batch = example(rng)
    step = jax.jit(value_and_grad(*COSTS[name], microbatch_size=size))
    assert_same(step(params, batch), whole(name, params, batch))


@costs
@pytest.mark.sampled(2)
def test_nothing_counts(name, rng):
    params, batch = example(rng)
    batch |= {"counts": jnp.zeros(ITEMS, bool)}
    for size in (None, 5):
        value, gradient = jax.jit(value_and_grad(*COSTS[name], microbatch_size=size))(params, batch)
        chex.assert_tree_all_finite((value, gradient))
        if not name.startswith(("composed", "sum of means")):
            assert value == (1 if name == "perplexity" else 0)
            chex.assert_trees_all_equal(gradient, jax.tree.map(jnp.zeros_like, params))


def test_the_mean_of_means_is_another_number(rng):
    params, batch = example(rng)
    parts = [jax.tree.map(lambda x, k=k: x[k::3], batch) for k in range(3)]
    averaged = np.mean([jax.jit(classify)(params, part).mean for part in parts])
    value, _ = jax.jit(value_and_grad(classify, microbatch_size=5))(params, batch)
    assert abs(averaged - value) > 1e-2 * value


# ------------------------------------------------------------------------------------------------------- counts of work


def live_dots(function, *args):
    """The floating point operations of all products that are used, in units of those of one forward pass."""
    closed = jax.make_jaxpr(function)(*args)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))

    def count(jaxpr):
        total = 0
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == "dot_general":
                (contracted, _), _ = eqn.params["dimension_numbers"]
                total += 2 * eqn.outvars[0].aval.size * np.prod([eqn.invars[0].aval.shape[i] for i in contracted])
            for value in eqn.params.values():
                for part in value if isinstance(value, tuple | list) else (value,):
                    part = getattr(part, "jaxpr", part)
                    if hasattr(part, "eqns"):
                        total += count(part) * (eqn.params["length"] if eqn.primitive.name == "scan" else 1)
        return total

    return count(jaxpr)


def deep(params, batch):
    hidden = jnp.tanh(batch["x"] @ params[0])
    scores = jnp.tanh(hidden @ params[1]) @ params[2]
    return {
        "ce": jaxloss.softmax_cross_entropy_with_integer_labels.tally(scores, batch["label"], where=batch["counts"]),
        "size": jaxloss.squared_error.tally(hidden, jnp.zeros_like(hidden), where=batch["counts"]),
    }


def deep_example(rng, items=64, width=16):
    params = [rng.normal(size=shape).astype(np.float32) for shape in [(8, width), (width, width), (width, CLASSES)]]
    batch = {
        "x": rng.normal(size=(items, 8)).astype(np.float32),
        "label": rng.integers(0, CLASSES, items),
        "counts": rng.random(items) < 0.5,
    }
    return params, batch


@pytest.mark.parametrize(
    "how", ["mean", "sum", lambda t: t["ce"].mean + 0.1 * t["size"].mean], ids=["mean", "sum", "composed"]
)
@pytest.mark.parametrize("size", [16, 24])
def test_a_linear_cost_runs_the_model_once(how, size, rng):
    params, batch = deep_example(rng)
    once = live_dots(value_and_grad(deep, how), params, batch)
    assert once == live_dots(jax.value_and_grad(lambda p: deep(p, batch)["ce"].mean), params)
    assert live_dots(value_and_grad(deep, how, microbatch_size=size), params, batch) == once


def test_a_last_step_that_is_not_linear_runs_the_model_forward_twice(rng):
    params, batch = deep_example(rng)
    how = lambda t: jnp.exp(t["ce"].mean)  # noqa: E731
    once, forward = live_dots(value_and_grad(deep, how), params, batch), live_dots(deep, params, batch)
    assert live_dots(value_and_grad(deep, how, microbatch_size=16), params, batch) == once + forward


def test_the_compiler_removes_the_model_from_the_pass_over_denominators(rng):
    params, batch = deep_example(rng)

    def products(size):
        compiled = jax.jit(value_and_grad(deep, microbatch_size=size)).lower(params, batch).compile()
        return len(re.findall(r" dot\(|custom_call_target=\"__onednn|\$dot", compiled.as_text()))

    assert products(16) == products(None)


def temporaries(size, items, rng, dtype=np.float32):
    params, batch = jax.tree.map(jnp.asarray, deep_example(rng, items, width=64))
    batch["x"] = batch["x"].astype(dtype)
    params = [p.astype(dtype) for p in params]
    compiled = jax.jit(value_and_grad(deep, microbatch_size=size)).lower(params, batch).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
def test_memory_holds_the_activations_of_one_micro_batch(dtype, rng):
    at_small, at_large = (temporaries(64, items, rng, dtype) for items in (512, 8189))
    assert at_large < 1.1 * at_small
    assert temporaries(None, 8189, rng, dtype) > 10 * at_large


def test_low_precision_gradients_add_up_in_float32(rng):
    items = 1024
    x = jnp.asarray(rng.normal(size=(items, 3)), jnp.bfloat16)
    params = jnp.asarray(rng.normal(size=3), jnp.bfloat16)

    def cost(params, x):
        return jaxloss.squared_error.tally(x @ params, jnp.ones(len(x), x.dtype))

    _, whole_gradient = value_and_grad(cost, "sum")(params.astype(jnp.float32), x.astype(jnp.float32))
    _, gradient = jax.jit(value_and_grad(cost, "sum", microbatch_size=4))(params, x)
    assert gradient.dtype == jnp.bfloat16
    # The model rounds to bfloat16 itself; 256 additions in bfloat16 would be off by several percent.
    np.testing.assert_allclose(gradient.astype(jnp.float32), whole_gradient, rtol=2**-7)


# -------------------------------------------------------------------------------------------------------------- devices


def mesh_of(axis_type, devices):
    kind = (AXIS_TYPES[axis_type],)
    return jax.make_mesh((devices,), ("data",), axis_types=kind, devices=jax.devices()[:devices])


def put(batch, mesh):
    return jax.device_put(batch, NamedSharding(mesh, jax.P("data")))


def sampled(*rest):
    """A row for every cost; in the short run one device count and one kind of mesh for each."""
    rows = [(name, kind, *others) for name in COSTS for kind in AXIS_TYPES for others in rest]
    short = {(name, (*AXIS_TYPES,)[k % 2], *rest[k % len(rest)]) for k, name in enumerate(COSTS)}
    return [pytest.param(*row, marks=() if row in short else pytest.mark.sweep) for row in rows]


@pytest.mark.parametrize(
    ("name", "axis_type", "devices", "check_vma"), sampled((1, True), (2, True), (3, True), (8, True), (8, False))
)
@pytest.mark.sampled(3)
def test_shard_map_gives_the_whole(name, axis_type, devices, check_vma, rng):
    params, batch = example(rng, items=24)
    batch["counts"] = batch["counts"].at[:3].set(False)  # a device with nothing that counts
    mesh = mesh_of(axis_type, devices)
    expected = whole(name, params, batch)
    with jax.set_mesh(mesh):
        for size in (None, 2):
            step = value_and_grad(*COSTS[name], microbatch_size=size, axis_name="data")
            split = jax.shard_map(
                step, mesh=mesh, in_specs=(jax.P(), jax.P("data")), out_specs=jax.P(), check_vma=check_vma
            )
            compiled = jax.jit(split).lower(params, put(batch, mesh)).compile()
            assert_same(compiled(params, put(batch, mesh)), expected)
            assert_no_collective_in_a_loop(compiled.as_text())


def assert_no_collective_in_a_loop(hlo):
    computations = dict(re.findall(r"^(?:ENTRY )?(%?[\w.-]+) [^\n]*\{\n(.*?)^\}", hlo, re.MULTILINE | re.DOTALL))
    for body in re.findall(r"body=(%?[\w.-]+)", hlo):
        assert not re.search(r"all-reduce|all-gather|reduce-scatter|all-to-all", computations[body])


@pytest.mark.parametrize(("name", "axis_type", "devices"), sampled((1,), (3,), (8,)))
@pytest.mark.sampled(3)
def test_jit_over_a_sharded_batch_gathers_nothing(name, axis_type, devices, rng):
    params, batch = example(rng, items=48)
    mesh = mesh_of(axis_type, devices)
    expected = whole(name, params, batch)
    with jax.set_mesh(mesh):
        for size in (None, 24):
            step = jax.jit(value_and_grad(*COSTS[name], microbatch_size=size))
            program = step.lower(params, put(batch, mesh)).compile()
            assert_same(program(params, put(batch, mesh)), expected)
            assert "all-gather" not in program.as_text()


def test_a_size_that_does_not_fit_the_shards(rng):
    params, batch = example(rng, items=24)
    mesh = mesh_of("explicit", 8)
    with jax.set_mesh(mesh), pytest.raises(ValueError, match="microbatch_size=5 must be a multiple of the 8 devices"):
        value_and_grad(classify, microbatch_size=5)(params, put(batch, mesh))


@pytest.mark.parametrize("axis_type", AXIS_TYPES)
def test_bfloat16_micro_batches_on_a_mesh(axis_type, rng):
    x, mesh = jnp.asarray(rng.normal(size=(40, 3)), jnp.bfloat16), mesh_of(axis_type, 8)
    params = jnp.asarray(rng.normal(size=3), jnp.bfloat16)

    def cost(params, x):
        return jaxloss.squared_error.tally(x @ params, jnp.ones(len(x), x.dtype))

    expected = value_and_grad(cost)(params, x)
    with jax.set_mesh(mesh):
        step = value_and_grad(cost, microbatch_size=2, axis_name="data")
        split = jax.shard_map(step, mesh=mesh, in_specs=(jax.P(), jax.P("data")), out_specs=jax.P())
        assert_same(jax.jit(split)(params, put(x, mesh)), expected, rtol=2**-7)
        view = jax.jit(value_and_grad(cost, microbatch_size=16))  # does not divide the items
        program = view.lower(params, put(x, mesh)).compile()
        assert_same(program(params, put(x, mesh)), expected, rtol=2**-7)
        assert "all-gather" not in program.as_text()


def test_parameters_that_differ_between_devices_keep_their_own_gradient(rng):
    params, batch = rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(24, 3)).astype(np.float32)

    def cost(params, batch):
        return jaxloss.squared_error.tally(batch @ params[0], jnp.ones(len(batch)))

    def alone(params):
        predicted = jnp.einsum("nd,nd->n", batch, jnp.repeat(params, 3, 0))
        return jaxloss.squared_error(predicted, jnp.ones(24))

    mesh = mesh_of("auto", 8)
    spec = jax.P("data")
    step = value_and_grad(cost, microbatch_size=2, axis_name="data")
    split = jax.shard_map(step, mesh=mesh, in_specs=(spec, spec), out_specs=(jax.P(), spec))
    assert_same(jax.jit(split)(params, batch), jax.value_and_grad(alone)(params))


# ---------------------------------------------------------------------------------------------------------- optimisers


@pytest.fixture
def optax_world():
    """Optax adds integers to floats, which the strict world refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("optax_world")
@pytest.mark.parametrize("optimiser", [optax.sgd(0.1), optax.adam(0.1)], ids=["sgd", "adam"])
@pytest.mark.parametrize("size", [1, 4, 13])
@pytest.mark.sampled(3)
def test_training_does_not_depend_on_the_micro_batch(optimiser, size, rng):
    def train(step, params, batch):
        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def update(params, state):
            value, gradient = step(params, batch)
            updates, state = optimiser.update(gradient, state)
            return optax.apply_updates(params, updates), state, value

        params, state, values = jax.tree.map(jnp.copy, params), optimiser.init(params), []
        for _ in range(5):
            params, state, value = update(params, state)
            values.append(value)
        return params, values

    params, batch = example(rng)
    unsplit = train(functools.partial(whole, "denominator of the parameters"), params, batch)
    # Adam divides by the size of a gradient, so that of a component near 0 keeps fewer digits.
    assert_same(train(value_and_grad(gated, microbatch_size=size), params, batch), unsplit, rtol=1e-3)
    assert unsplit[1][-1] < unsplit[1][0]


@pytest.mark.usefixtures("optax_world")
def test_steps_that_add_up_gradients_and_denominators(rng):
    """The recipe for separate jitted steps, where the average of optax.MultiSteps is that of means."""
    params, batch = example(rng)
    expected = whole("mean", params, batch)

    @jax.jit
    def accumulate(total, part):
        tally, pull = jax.vjp(lambda p: classify(p, part), params)
        (gradient,) = pull(Tally(1.0, 0.0))
        return total + Tally({"value": tally.numerator, "gradient": gradient}, tally.denominator)

    total = Tally({"value": 0.0, "gradient": jax.tree.map(jnp.zeros_like, params)}, 0.0)
    for start in range(0, ITEMS, 5):  # the last one is shorter
        total = accumulate(total, jax.tree.map(lambda x, s=start: x[s : s + 5], batch))
    assert_same((total.mean["value"], total.mean["gradient"]), expected)

    slope = jax.jit(jax.grad(lambda p, part: classify(p, part).mean))
    multi = optax.MultiSteps(optax.sgd(1.0), every_k_schedule=3)
    state = multi.init(params)
    for start in range(0, ITEMS, 5):
        part = jax.tree.map(lambda x, s=start: x[s : s + 5], batch)
        gradient = slope(params, part)
        updates, state = multi.update(gradient, state, params)
    off = max(
        jnp.max(jnp.abs(u + g)) for u, g in zip(jax.tree.leaves(updates), jax.tree.leaves(expected[1]), strict=True)
    )
    assert off > 1e-3


# ------------------------------------------------------------------------------------------------------ beside the cost


def test_aux_adds_up_tallies_and_stacks_the_rest(rng):
    params, batch = example(rng)
    keys = jax.random.split(jax.random.key(0), ITEMS)

    def cost(params, batch, temperature):
        batch, _ = batch
        scores, _ = logits(params, batch)
        right = (jnp.argmax(scores, -1) == batch["label"]).astype(jnp.float32)
        accuracy = Tally(jnp.sum(jnp.where(batch["counts"], right, 0)), jnp.sum(batch["counts"]).astype(jnp.float32))
        aux = {"accuracy": accuracy, "items": len(right), "largest": jnp.max(scores), "none": None}
        tally = classify(params, batch)
        return Tally(tally.numerator / temperature, tally.denominator), aux

    for size, parts in ((None, 1), (4, 4), (13, 1)):
        step = jax.jit(value_and_grad(cost, microbatch_size=size, has_aux=True))
        (value, aux), gradient = step(params, (batch, keys), jnp.float32(1.0))
        assert_same((value, gradient), whole("mean", params, batch))
        scores, _ = logits(params, batch)
        right = np.asarray(jnp.argmax(scores, -1) == batch["label"])[np.asarray(batch["counts"])]
        np.testing.assert_allclose(aux["accuracy"].mean, right.mean(), rtol=1e-6)
        assert aux["items"].shape == aux["largest"].shape == (parts,)
        assert aux["items"].sum() == ITEMS
        np.testing.assert_allclose(aux["largest"].max(), scores.max(), rtol=1e-6)
        assert aux["none"] is None


def test_differentiates_again(rng):
    params, batch = example(rng)
    batch["x"] = jnp.where(batch["counts"][:, None], batch["x"], 0)
    direction = jax.tree.map(jnp.ones_like, params)

    def curvature(size):
        step = value_and_grad(gated, microbatch_size=size)
        return jax.jit(lambda p: jax.jvp(lambda p: step(p, batch)[1], (p,), (direction,))[1])(params)

    assert_same(curvature(4), curvature(None), rtol=1e-4)


# ------------------------------------------------------------------------------------------------------------ bad input


def test_refusals(rng):
    params, batch = example(rng)
    with pytest.raises(TypeError, match=r"must return a Tally.*got an array of shape \(\), which has lost"):
        value_and_grad(lambda p, b: classify(p, b).mean)(params, batch)
    with pytest.raises(TypeError, match="must return a Tally"):
        value_and_grad(lambda p, b: {"a": classify(p, b), "b": 1.0}, microbatch_size=2)(params, batch)
    for how in ("none", "median", 3, None):
        with pytest.raises(ValueError, match="how must be 'mean', 'sum' or a callable"):
            value_and_grad(classify, how)
    for size in (0, -1, 2.5, True, "all"):
        with pytest.raises(ValueError, match="microbatch_size must be an int of 1 or more"):
            value_and_grad(classify, microbatch_size=size)
    with pytest.raises(ValueError, match=r"as many in each, got .*\['label'\] \(12,\)"):
        value_and_grad(classify, microbatch_size=2)(params, {**batch, "label": batch["label"][:12]})
    with pytest.raises(ValueError, match="what all items share goes into rest"):
        value_and_grad(classify)(params, {**batch, "temperature": 1.0})
    with pytest.raises(ValueError, match="no leaf"):
        value_and_grad(classify)(params, {})
    for gate, came in ((jnp.arange(3), "int32|int64"), (jnp.tanh, "tanh"), (jax.random.key(0), "key<fry>")):
        with pytest.raises(TypeError, match=rf"params\['gate'\] must be real.*({came}).*eqx.partition.*nnx.split"):
            value_and_grad(classify)({**params, "gate": gate}, batch)
    with pytest.raises(TypeError, match=r"no argument microbatches=4.*for k micro-batches of n items pass n // k"):
        value_and_grad(classify, microbatches=4)
    with pytest.raises(Exception, match=r"rest\[0\] has as many items as the batch, 13, and rest goes whole"):
        value_and_grad(lambda p, x, y: jaxloss.huber.tally(x[:, 0] * p, y), microbatch_size=5)(
            1.0, batch["x"], batch["weight"]
        )
    with pytest.raises(ValueError, match=r"axis_name='data' needs a jax.shard_map around the call; where jit alone"):
        value_and_grad(classify, axis_name="data")(params, batch)
    with pytest.raises(ValueError, match=r"the last step must return a scalar, got shape \(13,\)"):
        value_and_grad(lambda p, b: Tally(b["weight"] * p["gate"][0], 1.0))(params, batch)


def test_refusals_on_a_mesh(rng):
    params, batch = example(rng, items=24)
    mesh = mesh_of("auto", 8)

    def split(step):
        specs = {"in_specs": (jax.P(), jax.P("data")), "out_specs": (jax.P(), jax.P())}
        jax.eval_shape(jax.shard_map(step, mesh=mesh, **specs), params, batch)

    for size in (None, 2):
        with pytest.raises(
            ValueError, match=r"split over the mesh axis 'data', and params are not: pass axis_name='da"
        ):
            split(value_and_grad(classify, microbatch_size=size))
    with pytest.raises(ValueError, match=r"axis_name='dat' is no axis of the shard_map.*which has 'data'"):
        split(value_and_grad(classify, axis_name="dat"))
    with jax.set_mesh(mesh), pytest.raises(ValueError, match=r"over a mesh, here one with the axes 'data'; where jit"):
        value_and_grad(classify, axis_name="data")(params, put(batch, mesh))


def test_python_numbers_as_params():
    x = jnp.arange(4.0)
    value, gradient = value_and_grad(lambda p, x: jaxloss.squared_error.tally(p * x, x), microbatch_size=3)(2.0, x)
    assert (float(value), float(gradient)) == (3.5, 7.0)


def test_a_tally_for_each_task(rng):
    x, weights = rng.normal(size=(2, 3, 13)).astype(np.float32)

    def cost(params, batch):
        return jax.vmap(lambda p, x, w: jaxloss.squared_error.tally(p * x, x**2, weights=jnp.abs(w)), (0, 1, 1))(
            params, *batch
        )

    def alone(params):
        costs = [
            jaxloss.squared_error(p * x, x**2, weights=jnp.abs(w)) for p, x, w in zip(params, x, weights, strict=True)
        ]
        return sum(costs)

    params, batch = jnp.ones(3), (x.T, weights.T)
    got = jax.jit(value_and_grad(cost, lambda tallies: jnp.sum(tallies.mean), microbatch_size=5))(params, batch)
    assert_same(got, jax.jit(jax.value_and_grad(alone))(params))
    with pytest.raises(ValueError, match=r"must return a scalar, got shape \(3,\).*jax.tree.map\(jnp.sum, tallies\)"):
        value_and_grad(cost, lambda tallies: tallies.mean)(params, batch)
