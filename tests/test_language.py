"""The language-model head: equal to its logits by every path, in exact counts of products and of memory."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

import jaxloss
from jaxloss import custom_loss, reduce

head = jaxloss.linear_softmax_cross_entropy
# The same term with no sum of its own: from logits.
dense = custom_loss(head.__wrapped__, signature=head.signature)
ALL = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 3.0}
OPTIONS = {
    "none": {},
    "smoothing": {"label_smoothing": 0.1},
    "z": {"z_loss": 0.01},
    "cap": {"softcap": 3.0},
    "all": ALL,
}
BETWEEN = ("fast", "smoothing"), ("small", "z"), ("fast", "cap")
# Many parts of few rows; one part; many tiles.
WALKS = {"fast": {"strategy": "fast", "memory": 9000}, "whole": {}, "small": {"strategy": "small", "memory": 4}}


def example(rng, n=37, d=6, v=263, dtype=np.float32):
    hidden, kernel, bias = rng.normal(size=(n, d)), rng.normal(size=(d, v)), rng.normal(size=v)
    labels = rng.integers(0, v, n)
    mask = rng.random(v) < 0.8
    mask[labels] = True
    real = (jnp.asarray(x, dtype) for x in (hidden, kernel, bias))
    return *real, jnp.asarray(labels), jnp.asarray(mask)


def call(loss, labels, mask, layout, hidden, kernel, bias, weights, **keywords):
    columns = {"embedding": kernel.T} if layout == "vd" else {"kernel": kernel}
    return loss(hidden, labels, bias=bias, class_mask=mask, weights=weights, **columns, **keywords)


def assert_same(got, expected, relative=2e-5):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        scale = np.max(np.abs(other), initial=1e-6)
        np.testing.assert_allclose(one, other, rtol=relative, atol=relative * scale)


def slopes(loss, example, layout="dv", how="mean", **keywords):
    hidden, kernel, bias, labels, mask = example
    cost = functools.partial(call, reduce(loss, how), labels, mask, layout, **keywords)
    weights = jnp.linspace(0.0, 2.0, len(labels))
    return jax.jit(jax.value_and_grad(cost, (0, 1, 2, 3)))(hidden, kernel, bias, weights)


# ------------------------------------------------------------------------------------------------ equal to its logits


@pytest.mark.parametrize(
    ("walk", "options"), [*((walk, options) for walk in WALKS for options in ("none", "all")), *BETWEEN]
)
@pytest.mark.sampled(8)
def test_value_and_every_gradient_are_those_of_the_logits(walk, options, rng):
    arrays, where = example(rng), rng.random(37) < 0.7
    for layout, given in {"dv": arrays, "vd": (*arrays[:4], None)}.items():
        keywords = {"where": where, **OPTIONS[options]}
        got = slopes(head, given, layout, **keywords, **WALKS[walk])
        assert_same(got, slopes(dense, given, layout, **keywords))


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.sampled(8)
def test_other_dtypes(walk, dtype, rng):
    with jax.enable_x64(dtype == jnp.float64):
        arrays = example(rng, dtype=dtype)
        for layout in ("dv", "vd"):
            got = slopes(head, arrays, layout, how="sum", **ALL, **WALKS[walk])
            assert [x.dtype for x in got[1][:3]] == [dtype] * 3
            expected = slopes(dense, arrays, layout, how="sum", **ALL)
            # That of the value is not that of the narrow dtype; that of a gradient is.
            assert_same(got[0], expected[0], 1e-6)
            assert_same(got[1], expected[1], max(4 * float(jnp.finfo(dtype).eps), 2e-6))


def test_float16_slopes_are_not_lost_before_a_loss_is_scaled(rng):
    arrays = example(rng, dtype=jnp.float16)
    hidden, kernel, bias, labels, mask = arrays

    def scaled(loss, scale):
        return jax.jit(jax.grad(lambda kernel: scale * loss(hidden, labels, kernel, bias, mask, weights=1e-6)))(kernel)

    got = scaled(reduce(head, "sum"), 2.0**20)
    assert_same(got, scaled(reduce(dense, "sum"), 2.0**20), 4e-3)


@pytest.mark.parametrize(("n", "v"), [(1000, 1009), (13, 50257), (3, 128256), (1, 7), (257, 2049)])
@pytest.mark.sampled(8)
def test_ragged_sizes(n, v, rng):
    arrays = example(rng, n, 4, v)
    expected = slopes(dense, arrays)
    for walk in ({"strategy": "fast", "memory": 4 * v * 8}, {"strategy": "small"}, {}):
        assert_same(slopes(head, arrays, **walk), expected)


REDUCTIONS = {
    "sum": lambda loss: reduce(loss, "sum"),
    "rows": lambda loss: reduce(loss, axis=-1),
    "row sums": lambda loss: reduce(reduce(loss, "sum", axis=-1), "mean"),
    "chunks": lambda loss: reduce(loss, chunk_size=5),
    "perplexity": lambda loss: reduce(loss, lambda tally: jnp.exp(tally.mean)),
    "none": lambda loss: lambda *a, **k: jnp.sum(jnp.sin(reduce(loss, "none")(*a, **k))),
    "tallies": lambda loss: (
        lambda hidden, labels, *a, where, **k: loss.finish(
            loss.tally(hidden[:1], labels[:1], *a, where=where[:1], **k)
            + loss.tally(hidden[1:], labels[1:], *a, where=where[1:], **k)
        )
    ),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.sampled(8)
def test_every_reduction(name, rng):
    hidden, kernel, bias, labels, mask = example(rng, 21)
    hidden, labels = hidden.reshape(3, 7, -1), labels.reshape(3, 7)
    where = rng.random((3, 7)) < 0.6
    hidden, labels = jnp.where(where[..., None], hidden, jnp.nan), jnp.where(where, labels, -100)

    def run(loss, **walk):
        cost = REDUCTIONS[name](loss)
        return jax.jit(
            jax.value_and_grad(lambda h, k, b: cost(h, labels, k, b, mask, where=where, **ALL, **walk), (0, 1, 2))
        )(hidden, kernel, bias)

    got = run(head, **WALKS["fast"])
    assert_same(got, run(dense))
    assert np.all(np.asarray(got[1][0])[~where] == 0)


def test_a_label_that_is_no_class_is_nan_and_one_behind_the_class_mask_is_infinite(rng):
    hidden, kernel, bias, labels, mask = example(rng, 9)
    without = np.arange(9) != 4
    for walk in WALKS.values():
        run = jax.jit(functools.partial(head, **walk))
        expected = run(hidden, labels, kernel, bias, mask, where=without)
        for wrong in (-1, -100, 263, 2**31 - 1):
            bad = labels.at[4].set(wrong)
            assert np.isnan(run(hidden, bad, kernel, bias, mask))
            assert run(hidden, bad, kernel, bias, mask, where=without) == expected
        shut = mask.at[labels[4]].set(False)
        gradient = jax.jit(jax.value_and_grad(lambda h, k, m=shut, w=walk: head(h, labels, k, bias, m, **w), (0, 1)))
        value, grads = gradient(hidden, kernel)
        assert value == np.inf
        assert all(np.all(np.isfinite(g)) for g in grads)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("options", [{}, ALL], ids=["none", "all"])
@pytest.mark.sampled(4)
def test_a_masked_class_is_a_deleted_class(walk, options, rng):
    hidden, kernel, bias, labels, mask = example(rng)
    kept = np.flatnonzero(mask)
    poisoned = jnp.where(mask, kernel, jnp.nan), jnp.where(mask, bias, jnp.inf)
    moved = jnp.asarray(np.searchsorted(kept, labels))
    whole = functools.partial(head, class_mask=mask, **options, **WALKS[walk])
    got = jax.jit(jax.value_and_grad(lambda h, k, b: whole(h, labels, k, b), (0, 1, 2)))(hidden, *poisoned)
    less = jax.jit(jax.value_and_grad(lambda h, k, b: dense(h, moved, k, b, **options), (0, 1, 2)))(
        hidden, kernel[:, kept], bias[kept]
    )
    value, (in_hidden, in_kernel, in_bias) = got
    assert np.all(np.asarray(in_kernel)[:, ~np.asarray(mask)] == 0)
    assert_same((value, (in_hidden, in_kernel[:, kept], in_bias[kept])), less)
    if "softcap" not in options:  # which makes a logit of any finite number
        shut = jnp.where(mask, bias, -jnp.inf)
        value = head(hidden, labels, kernel, shut, **options, **WALKS[walk])
        assert_same(value, less[0])


@pytest.mark.parametrize("walk", WALKS)
def test_a_confident_row_costs_the_sum_of_its_others(walk):
    n, v = 64, 300
    kernel = jnp.eye(v, dtype=jnp.float32)
    hidden = 40 * kernel[:n]
    labels = jnp.arange(n)
    value, slope = jax.jit(jax.value_and_grad(lambda h: reduce(head, "sum")(h, labels, kernel, **WALKS[walk])))(hidden)
    others = (v - 1) * math.exp(-40)
    np.testing.assert_allclose(value, n * others, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(slope)[np.arange(n), np.arange(n)], -others, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.uint32, np.int64])
@pytest.mark.sampled(2)
def test_labels_of_every_width(kind, rng):
    hidden, kernel, bias, labels, _ = example(rng, 9)
    labels = labels % 100
    expected = head(hidden, labels, kernel, bias)
    for x64, walk in {False: WALKS["small"], True: WALKS["fast"]}.items():
        with jax.enable_x64(x64):
            given = jnp.asarray(np.asarray(labels).astype(kind))
            value, _ = jax.jit(jax.value_and_grad(lambda h, y=given, w=walk: head(h, y, kernel, bias, **w)))(hidden)
            np.testing.assert_allclose(value, expected, rtol=1e-6)
    with jax.enable_x64(True):
        assert np.isnan(head(hidden, jnp.asarray(labels, jnp.int64) + 2**32, kernel, bias))


# -------------------------------------------------------------------------------------------- every mode of derivative


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("options", [{}, ALL], ids=["none", "all"])
@pytest.mark.sampled(8)
def test_forward_mode_and_second_order(walk, options, rng):
    with jax.enable_x64(True):
        hidden, kernel, bias, labels, mask = example(rng, 11, 3, 40, np.float64)
        point = hidden, kernel, bias
        direction = tuple(jnp.asarray(rng.normal(size=x.shape)) for x in point)

        def modes(loss, **walk):
            def cost(hidden, kernel, bias):
                return loss(hidden, labels, kernel, bias, mask, **options, **walk)

            def along(f):
                return lambda *x: jax.jvp(f, x, direction)[1]

            def dot(f):
                return lambda *x: sum(jnp.vdot(a, b) for a, b in zip(f(*x), direction, strict=True))

            gradient = jax.grad(cost, (0, 1, 2))
            return jax.jit(
                lambda: (
                    along(cost)(*point),
                    along(gradient)(*point),
                    jax.grad(dot(gradient), (0, 1, 2))(*point),
                    jax.grad(along(cost), (0, 1, 2))(*point),
                    along(along(cost))(*point),
                    jax.grad(jax.checkpoint(cost), (0, 1, 2))(*point),
                )
            )()

        assert_same(modes(head, **{**WALKS[walk], "memory": 2000}), modes(dense), 1e-9)


def test_slopes_in_the_options(rng):
    hidden, kernel, bias, labels, mask = example(rng)
    numbers = {name: jnp.float32(x) for name, x in ALL.items()}

    def run(loss, **walk):
        cost = lambda numbers: loss(hidden, labels, kernel, bias, mask, **numbers, **walk)  # noqa: E731
        return jax.jit(jax.value_and_grad(cost))(numbers), jax.jit(jax.jacfwd(cost))(numbers)

    expected = run(dense)
    for walk in ("fast", "small"):
        assert_same(run(head, **WALKS[walk]), expected, 1e-4)


def test_vmap(rng):
    hidden, kernel, bias, labels, _ = example(rng, 12)
    batched = hidden.reshape(3, 4, -1), labels.reshape(3, 4)
    for walk in (WALKS["fast"], WALKS["small"]):

        def cost(hidden, kernel, labels, walk=walk):
            return head(hidden, labels, kernel, bias, **ALL, **walk)

        gradient = jax.jit(jax.value_and_grad(cost, (0, 1)))
        mapped = jax.jit(jax.vmap(gradient, (0, None, 0)))(batched[0], kernel, batched[1])
        loop = [gradient(h, kernel, y) for h, y in zip(*batched, strict=True)]
        assert_same(mapped, jax.tree.map(lambda *x: jnp.stack(x), *loop))
    one = jax.jit(jax.vmap(head, (0, 0, None)))(hidden, labels, kernel)
    assert_same(one, reduce(dense, "none")(hidden, labels, kernel))


def test_a_kernel_of_its_own_for_each_item(rng):
    hidden, kernel, bias, labels, mask = example(rng, 5)
    kernels = kernel[None] + jnp.arange(5.0)[:, None, None]
    got, expected = (jax.jit(jax.grad(loss, 2))(hidden, labels, kernels, None) for loss in (head, dense))
    assert_same(got, expected)
    masks = jnp.broadcast_to(mask, (5, 263)).at[0, 262 - int(labels[0] == 262)].set(False)
    assert_same(head(hidden, labels, kernel, bias, masks), dense(hidden, labels, kernel, bias, masks))


# -------------------------------------------------------------------------------------------------------- exact counts

N, D, V = 1024, 256, 32768
SHAPES = (
    jax.ShapeDtypeStruct((N, D), jnp.float32),
    jax.ShapeDtypeStruct((D, V), jnp.float32),
    jax.ShapeDtypeStruct((N,), jnp.int32),
)


def products(function, *arrays) -> float:
    """How many products of N x D x V a program for a CPU takes: every dot, as often as its loops run."""

    def walk(jaxpr, times):
        total = 0
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                (contracted, _), _ = equation.params["dimension_numbers"]
                depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
                total += times * depth * math.prod(equation.outvars[0].aval.shape)
            inner = times * (equation.params["length"] if equation.primitive.name == "scan" else 1)
            if equation.primitive.name == "cond":  # what depends on the platform: the first is a CPU's
                total += walk(equation.params["branches"][0].jaxpr, inner)
                continue
            for value in equation.params.values():
                for part in value if isinstance(value, tuple | list) else (value,):
                    part = getattr(part, "jaxpr", part)
                    if hasattr(part, "eqns"):
                        total += walk(part, inner)
        return total

    return walk(jax.make_jaxpr(function)(*arrays).jaxpr, 1) / (N * D * V)


def cost(loss, **keywords):
    return lambda hidden, kernel, labels: loss(hidden, labels, kernel, **keywords)


@pytest.mark.parametrize(
    ("strategy", "value", "frozen", "both"), [("auto", 1, 2, 3), ("fast", 1, 2, 3), ("small", 1, 3, 4)]
)
def test_products(strategy, value, frozen, both):
    f = cost(head, strategy=strategy, **ALL)
    assert products(f, *SHAPES) == value
    assert products(jax.value_and_grad(f), *SHAPES) == frozen
    assert products(jax.value_and_grad(f, (0, 1)), *SHAPES) == both
    assert products(jax.value_and_grad(cost(dense), (0, 1)), *SHAPES) == 3


def test_bfloat16_takes_the_small_walk_on_a_cpu():
    narrow = *(jax.ShapeDtypeStruct(x.shape, jnp.bfloat16) for x in SHAPES[:2]), SHAPES[2]
    for arrays, both in ((SHAPES, 3), (narrow, 4), ((narrow[0], *SHAPES[1:]), 3)):
        assert products(jax.value_and_grad(cost(head), (0, 1)), *arrays) == both


@functools.cache
def compiled(loss, **keywords):
    return jax.jit(jax.value_and_grad(cost(loss, **keywords), (0, 1))).lower(*SHAPES).compile()


def sizes(hlo):
    return [math.prod(map(int, shape.split(","))) for shape in re.findall(r"\b[a-z]+\d+\[([\d,]+)\]", hlo)]


@pytest.mark.parametrize(
    ("keywords", "part"),
    [({}, 6), ({"strategy": "small"}, 40), ({**ALL}, 6), ({**ALL, "strategy": "small"}, 40)],
    ids=["auto", "small", "auto-options", "small-options"],
)
def test_memory(keywords, part):
    logits = compiled(dense).memory_analysis().temp_size_in_bytes
    assert logits >= 4 * N * V
    program = compiled(head, **keywords)
    assert program.memory_analysis().temp_size_in_bytes <= 2 * 4 * N * V / part
    assert max(sizes(program.as_text())) < N * V
    assert max(sizes(compiled(dense).as_text())) >= N * V


def test_a_mask_and_a_mean_take_no_more_memory():
    masked = jax.jit(
        jax.value_and_grad(lambda hidden, kernel, labels, where: head(hidden, labels, kernel, where=where), (0, 1))
    )
    program = masked.lower(*SHAPES, jax.ShapeDtypeStruct((N,), jnp.bool_)).compile()
    assert program.memory_analysis().temp_size_in_bytes <= 2 * 4 * N * V / 6


# -------------------------------------------------------------------------------------------------------- over devices

AXIS_TYPES = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
SPLITS = [(8, 1), (4, 2), (2, 4), (1, 8)]
SPECS = {
    "hidden": jax.P("data"),
    "kernel": jax.P(None, "model"),
    "bias": jax.P("model"),
    "labels": jax.P("data"),
    "class_mask": jax.P("model"),
    "where": jax.P("data"),
}


def over(mesh, rng):
    arrays = example(rng, 48, 6, 264)
    where = jnp.asarray(rng.random(48) < 0.6)
    named = dict(zip(SPECS, (*arrays, where), strict=True))
    return named, [jax.device_put(np.asarray(x), NamedSharding(mesh, SPECS[name])) for name, x in named.items()]


def no_large_gather(program, least):
    gathered = re.findall(r"= \w+\[([\d,]*)\]\S* all-gather", program.as_text())
    assert not [shape for shape in gathered if math.prod(map(int, shape.split(","))) >= least], gathered


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("axis_type", AXIS_TYPES)
@pytest.mark.sampled(8)
def test_classes_over_devices_by_hand(axis_type, split, rng):
    mesh = jax.make_mesh(split, ("data", "model"), axis_types=(AXIS_TYPES[axis_type],) * 2)
    named, arrays = over(mesh, rng)
    expected = jax.jit(
        jax.value_and_grad(lambda h, k, b: dense(**{**named, "hidden": h, "kernel": k, "bias": b}, **ALL), (0, 1, 2))
    )(*list(named.values())[:3])
    for walk, how in (("fast", "mean"), ("small", "sum")):
        loss = functools.partial(reduce(head, how, axis_name="data"), class_axis_name="model", **ALL, **WALKS[walk])

        def inside(*arrays, loss=loss):
            return loss(**dict(zip(SPECS, arrays, strict=True)))

        whole = jax.shard_map(inside, mesh=mesh, in_specs=tuple(SPECS.values()), out_specs=jax.P())
        program = jax.jit(jax.value_and_grad(whole, (0, 1, 2))).lower(*arrays).compile()
        got, count = program(*arrays), 1 if how == "mean" else int(np.sum(named["where"]))
        assert_same(jax.tree.map(lambda x, count=count: np.asarray(x) / np.float32(count), got), expected)
        no_large_gather(program, 1)


def test_classes_over_devices_in_other_modes(rng):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    named, arrays = over(mesh, rng)
    del named["where"]
    arrays, specs = arrays[:-1], list(SPECS.values())[:-1]
    direction = jnp.asarray(rng.normal(size=named["kernel"].shape), jnp.float32)

    def costs(loss, **keywords):
        def cost(*arrays):
            return loss(**dict(zip(named, arrays, strict=True)), **ALL, **keywords)

        return cost

    def second(cost):
        def curve(hidden, kernel, *rest):
            return jax.jvp(jax.grad(lambda k: cost(hidden, k, *rest)), (kernel,), (direction,))[1]

        return curve

    whole = jax.shard_map(
        costs(reduce(head, axis_name="data"), class_axis_name="model", **WALKS["fast"]),
        mesh=mesh,
        in_specs=tuple(specs),
        out_specs=jax.P(),
    )
    assert_same(jax.jit(second(whole))(*arrays), jax.jit(second(costs(dense)))(*named.values()), 1e-4)

    # Within the map, by check_vma the gradient in what is shared comes summed.
    def inside(*arrays):
        cost = costs(reduce(head, axis_name="data"), class_axis_name="model")
        return jax.value_and_grad(cost, (0, 1))(*arrays)

    got = jax.jit(jax.shard_map(inside, mesh=mesh, in_specs=tuple(specs), out_specs=(jax.P(), (specs[0], specs[1]))))(
        *arrays
    )
    assert_same(got, jax.jit(jax.value_and_grad(costs(dense), (0, 1)))(*named.values()))

    def values(loss, **keywords):
        return lambda *arrays: reduce(loss, "none")(**dict(zip(named, arrays, strict=True)), **ALL, **keywords)

    each = jax.shard_map(
        values(head, class_axis_name="model"), mesh=mesh, in_specs=tuple(specs), out_specs=jax.P("data")
    )
    assert_same(jax.jit(each)(*arrays), jax.jit(values(dense))(*named.values()))
    total = jax.grad(lambda *a: jnp.sum(jnp.sin(each(*a))), (0, 1))
    expected = jax.grad(lambda *a: jnp.sum(jnp.sin(values(dense)(*a))), (0, 1))
    assert_same(jax.jit(total)(*arrays), jax.jit(expected)(*named.values()))


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("axis_type", AXIS_TYPES)
@pytest.mark.sampled(8)
def test_one_view_of_arrays_over_devices(axis_type, split, rng):
    mesh = jax.make_mesh(split, ("data", "model"), axis_types=(AXIS_TYPES[axis_type],) * 2)
    named, arrays = over(mesh, rng)

    def run(loss, layout, **walk):
        def cost(hidden, kernel, bias, labels, mask, where):
            return call(loss, labels, mask, layout, hidden, kernel, bias, None, where=where, **ALL, **walk)

        return jax.jit(jax.value_and_grad(cost, (0, 1, 2)))

    expected = run(dense, "dv")(*named.values())
    with jax.set_mesh(mesh):
        for layout, walk in (("dv", {}), ("dv", WALKS["fast"]), ("vd", WALKS["fast"])):
            program = run(head, layout, **walk).lower(*arrays).compile()
            assert_same(program(*arrays), expected)
            no_large_gather(program, 6 * 264)


def test_what_is_refused(rng):
    hidden, kernel, bias, labels, _ = example(rng, 4)
    for columns in ({}, {"kernel": kernel, "embedding": kernel.T}):
        for loss in (head, reduce(head, "none")):
            with pytest.raises(TypeError, match="one of kernel"):
                loss(hidden, labels, **columns)
    for loss in (head, reduce(head, "none")):
        with pytest.raises(ValueError, match="strategy must be auto, fast, slope or small"):
            loss(hidden, labels, kernel, strategy="fats")
        with pytest.raises(TypeError, match="memory must be a number of bytes"):
            jax.jit(lambda m, loss=loss: loss(hidden, labels, kernel, memory=m))(1.0)
        with pytest.raises(ValueError, match="memory must be > 0"):
            loss(hidden, labels, kernel, memory=0)
    with pytest.raises(ValueError, match="bias has 262"):
        head(hidden, labels, kernel, bias[:-1])


@pytest.mark.parametrize("shards", [1, 2, 4, 8])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "z_loss": 0.01}], ids=["none", "smoothing-z"])
@pytest.mark.sampled(8)
def test_logits_split_by_classes(shards, options, rng):
    mesh = jax.make_mesh((8 // shards, shards), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    logits = jnp.asarray(3 * rng.normal(size=(16, 24)), jnp.float32).at[:, 5].set(-jnp.inf).at[0, 3].set(60.0)
    labels = jnp.asarray(np.append(rng.integers(6, 24, 14), [3, 30])).at[0].set(3)
    class_mask = jnp.arange(24) != 4
    where = jnp.arange(16) != 15
    loss = functools.partial(jaxloss.softmax_cross_entropy_with_integer_labels, **options)

    def inside(logits, labels, class_mask, where):
        cost = reduce(loss, axis_name="data")
        return cost(logits, labels, class_mask, where=where, class_axis_name="model")

    specs = jax.P("data", "model"), jax.P("data"), jax.P("model"), jax.P("data")
    split = jax.shard_map(inside, mesh=mesh, in_specs=specs, out_specs=jax.P())
    expected = jax.jit(jax.value_and_grad(lambda x: loss(x, labels, class_mask, where=where)))(logits)
    arrays = [
        jax.device_put(a, NamedSharding(mesh, s))
        for a, s in zip((logits, labels, class_mask, where), specs, strict=True)
    ]
    program = jax.jit(jax.value_and_grad(split)).lower(*arrays).compile()
    assert_same(program(*arrays), expected, 2e-6)
    no_large_gather(program, 1)
