"""Losses made of the softmax of a linear head: equal to their logits by every path, in exact counts, and true."""

import functools
import inspect
import pickle

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from test_language import SHAPES, WALKS, N, V, assert_same, example, no_large_gather, products, sizes

import jaxloss
from jaxloss import custom_loss, linear_softmax_loss, reduce
from jaxloss.numerics.row import Softmax


@linear_softmax_loss
def clipped_policy(softmax, old_log_probability, advantage, *, clip=0.2):
    ratio = jnp.exp(-softmax.surprisal - old_log_probability)
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)


@linear_softmax_loss
def smoothed(softmax, *, smoothing=0.1):
    return (1 - smoothing) * softmax.surprisal + smoothing * softmax.mean_surprisal


@linear_softmax_loss
def focal(softmax, *, power=2.0):
    return softmax.complement**power * softmax.surprisal


@linear_softmax_loss
def with_entropy_bonus(softmax, *, bonus=0.3):
    return softmax.surprisal - bonus * softmax.entropy


@linear_softmax_loss
def of_everything(softmax, sign, temper, shift=None):
    surprisal, complement, mean, entropy, log_partition = softmax
    value = surprisal * temper + complement**3 + jnp.sin(mean) + entropy**2 + 0.1 * log_partition * jnp.tanh(entropy)
    return sign * value + (0 if shift is None else shift)


def poly(softmax, *, epsilon=1.0):
    return softmax.surprisal + epsilon * softmax.complement


LOSSES = {
    "ppo": (clipped_policy, "clip", ("old_log_probability", "advantage")),
    "smoothing": (smoothed, "smoothing", ()),
    "focal": (focal, "power", ()),
    "entropy": (with_entropy_bonus, "bonus", ()),
    "everything": (of_everything, None, ("sign", "temper")),
}


def from_logits(loss):
    """The same formula of a softmax that is taken from whole logits, and differentiated as it stands."""

    def statistics(hidden, labels, kernel, bias, class_mask, embedding, softcap):
        logits = kernel.T @ hidden if embedding is None else embedding @ hidden
        logits = logits if bias is None else logits + bias
        logits = logits if softcap is None else softcap * jnp.tanh(logits / softcap)
        possible = jnp.ones(logits.shape, bool) if class_mask is None else class_mask
        log_partition = jax.nn.logsumexp(jnp.where(possible, logits, -jnp.inf))
        logs = jnp.where(possible, logits - log_partition, 0)
        chances = jnp.where(possible, jnp.exp(logs), 0)
        own = jnp.arange(len(logits)) == labels
        surprisal = -jnp.sum(jnp.where(own, logs, 0))
        count = jnp.sum(possible).astype(logits.dtype)
        mean = -jnp.sum(logs) / count
        return Softmax(surprisal, 1 - jnp.exp(-surprisal), mean, -jnp.sum(chances * logs), log_partition)

    def term(**given):
        head = [given.pop(n) for n in ("hidden", "labels", "kernel", "bias", "class_mask", "embedding", "softcap")]
        for name in ("class_axis_name", "strategy", "memory"):
            given.pop(name)
        return loss.__wrapped__.__wrapped__(statistics(*head), **given)

    whole = loss.__wrapped__.__signature__

    def by_name(*arrays, **options):
        return term(**dict(zip(whole.parameters, arrays, strict=False)), **options)

    by_name.__signature__ = whole
    by_name.__name__ = loss.__name__
    return custom_loss(by_name, signature=loss.signature)


def given_to(name, rng, n, dtype=np.float32):
    drawn = {
        "old_log_probability": jnp.asarray(-5.5 + 0.3 * rng.normal(size=n), dtype),
        "advantage": jnp.asarray(rng.normal(size=n), dtype),
        "sign": jnp.asarray(np.where(rng.random(n) < 0.5, 1, -1), dtype),
        "temper": jnp.asarray(1 + rng.random(n), dtype),
    }
    return {extra: drawn[extra] for extra in LOSSES[name][2]}


def slopes(loss, arrays, extra, *, how="mean", layout="dv", options=(), **keywords):
    """Value, and the slopes in all that is real: also in weights, options and what the link takes of each token."""
    hidden, kernel, bias, labels, mask = arrays
    real = {n: x for n, x in extra.items() if jnp.issubdtype(x.dtype, jnp.floating)}
    still = {n: x for n, x in extra.items() if n not in real}
    moving = {
        "hidden": hidden,
        "kernel": kernel,
        "bias": bias,
        "weights": jnp.linspace(0.0, 2.0, len(labels)),
        **real,
        **dict(options),
    }

    def cost(moving):
        moving = dict(moving)
        kernel = moving.pop("kernel")
        columns = {"embedding": kernel.T} if layout == "vd" else {"kernel": kernel}
        return reduce(loss, how)(labels=labels, class_mask=mask, **columns, **moving, **still, **keywords)

    return jax.jit(jax.value_and_grad(cost))(moving)


# ------------------------------------------------------------------------------------------------ equal to its logits


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.sampled(8)
def test_value_and_every_gradient_are_those_of_the_logits(name, rng):
    loss, option, _ = LOSSES[name]
    arrays, where = example(rng), rng.random(37) < 0.7
    extra = given_to(name, rng, 37)
    options = {"softcap": jnp.float32(3.0)} | ({option: jnp.float32(0.25)} if option else {})
    expected = slopes(from_logits(loss), arrays, extra, options=options, where=where)
    for walk in WALKS.values():
        assert_same(slopes(loss, arrays, extra, options=options, where=where, **walk), expected)
    plain = (*arrays[:4], None)
    expected = slopes(from_logits(loss), plain, extra, how="sum", layout="vd")
    for walk in ("fast", "small"):
        assert_same(slopes(loss, plain, extra, how="sum", layout="vd", **WALKS[walk]), expected)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", ["ppo", "entropy"])
@pytest.mark.sampled(8)
def test_other_dtypes(name, dtype, rng):
    with jax.enable_x64(dtype == jnp.float64):
        arrays, extra = example(rng, dtype=dtype), given_to(name, rng, 37, dtype)
        expected = slopes(from_logits(LOSSES[name][0]), arrays, extra, how="sum")
        for walk in ("fast", "small"):
            got = slopes(LOSSES[name][0], arrays, extra, how="sum", **WALKS[walk])
            assert [x.dtype for x in jax.tree.leaves(got)] == [x.dtype for x in jax.tree.leaves(expected)]
            assert got[1]["kernel"].dtype == dtype
            assert_same(got[0], expected[0], 1e-6)
            assert_same(got[1], expected[1], max(4 * float(jnp.finfo(dtype).eps), 4e-6))


@pytest.mark.parametrize(("n", "v"), [(1, 1), (1, 7), (3, 1), (13, 5001), (257, 2049)])
@pytest.mark.sampled(8)
def test_ragged_sizes(n, v, rng):
    for name in ("ppo", "everything"):
        arrays, extra = (*example(rng, n, 4, v)[:4], None), given_to(name, rng, n)
        expected = slopes(from_logits(LOSSES[name][0]), arrays, extra)
        for walk in ({"strategy": "fast", "memory": 4 * v * 8}, {"strategy": "small"}):
            assert_same(slopes(LOSSES[name][0], arrays, extra, **walk), expected)


REDUCTIONS = {
    "sum": lambda loss: reduce(loss, "sum"),
    "rows": lambda loss: reduce(loss, axis=-1),
    "chunks": lambda loss: reduce(loss, chunk_size=5),
    "none": lambda loss: lambda *a, **k: jnp.sum(jnp.sin(reduce(loss, "none")(*a, **k))),
    "tallies": lambda loss: (
        lambda hidden, labels, old, advantage, *a, where, **k: loss.finish(
            loss.tally(hidden[:1], labels[:1], old[:1], advantage[:1], *a, where=where[:1], **k)
            + loss.tally(hidden[1:], labels[1:], old[1:], advantage[1:], *a, where=where[1:], **k)
        )
    ),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.sampled(8)
def test_every_reduction_and_poison_behind_a_mask(name, rng):
    hidden, kernel, bias, labels, mask = example(rng, 21)
    old, advantage = given_to("ppo", rng, 21).values()
    hidden, labels, old, advantage = (x.reshape(3, 7, *x.shape[1:]) for x in (hidden, labels, old, advantage))
    where = rng.random((3, 7)) < 0.6
    hidden, labels = jnp.where(where[..., None], hidden, jnp.nan), jnp.where(where, labels, -100)
    old, advantage = jnp.where(where, old, jnp.inf), jnp.where(where, advantage, jnp.nan)

    def run(loss, **walk):
        def cost(hidden, old, advantage, kernel, bias):
            return REDUCTIONS[name](loss)(hidden, labels, old, advantage, kernel, bias, mask, where=where, **walk)

        return jax.jit(jax.value_and_grad(cost, (0, 1, 2, 3, 4)))(hidden, old, advantage, kernel, bias)

    got = run(clipped_policy, **WALKS["fast"])
    assert_same(got, run(from_logits(clipped_policy)))
    assert all(np.all(np.asarray(slope)[~where] == 0) for slope in got[1][:3])


def test_a_part_that_is_filled_up_stays_in_the_domain_of_the_link(rng):
    logarithmic = linear_softmax_loss(lambda softmax, temper: jnp.log(temper) * jnp.sqrt(temper) * softmax.surprisal)
    hidden, kernel, bias, labels, _ = example(rng, 13)
    temper = given_to("everything", rng, 13)["temper"]
    cost = functools.partial(logarithmic, **WALKS["fast"])
    for slope in jax.jit(jax.grad(lambda *x: cost(x[0], labels, x[1], x[2], bias), (0, 1, 2)))(hidden, temper, kernel):
        assert np.all(np.isfinite(slope))


def test_labels_that_are_no_class_or_may_not_be_chosen(rng):
    hidden, kernel, bias, labels, mask = example(rng, 9)
    for walk in WALKS.values():
        run = jax.jit(functools.partial(with_entropy_bonus, **walk))
        for wrong in (-1, 263):
            assert np.isnan(run(hidden, labels.at[4].set(wrong), kernel, bias, mask))
        shut = mask.at[labels[4]].set(False)
        run = jax.jit(jax.value_and_grad(lambda h, k, m=shut, w=walk: focal(h, labels, k, bias, m, **w), (0, 1)))
        value, grads = run(hidden, kernel)
        assert value == np.inf
        assert all(np.all(np.isfinite(g)) for g in grads)


def test_what_all_tokens_share_may_be_given_once(rng):
    hidden, kernel, _, labels, _ = example(rng, 9)
    advantage = jnp.float32(2.0)

    def cost(advantage):
        return clipped_policy(hidden, labels, jnp.full(9, -5.0), advantage, kernel)

    run = jax.jit(jax.value_and_grad(cost))
    got, expected = run(advantage), run(jnp.full(9, 2.0))
    assert_same(got, (expected[0], jnp.sum(expected[1])))
    assert_same(clipped_policy(hidden[0], labels[0], jnp.float32(-5.0), advantage, kernel), cost(2.0), 10)


def test_the_surprisal_is_the_cross_entropy(rng):
    hidden, kernel, bias, labels, mask = example(rng)
    plain = linear_softmax_loss(lambda softmax: softmax.surprisal)
    for walk in WALKS.values():
        for how in ("mean", "none"):
            got, expected = (
                jax.jit(functools.partial(reduce(loss, how), **walk))(hidden, labels, kernel, bias, mask)
                for loss in (plain, jaxloss.linear_softmax_cross_entropy)
            )
            np.testing.assert_allclose(got, expected, rtol=0 if how == "mean" else 3e-7)


# --------------------------------------------------------------------------------------------------- true where small


def truth(logits, label):
    """The five numbers, and their slopes in the logits, in 60 digits."""
    with mpmath.workdps(60):
        x = [mpmath.mpf(float(z)) for z in logits]
        log_partition = mpmath.log(mpmath.fsum(mpmath.exp(z) for z in x))
        logs = [z - log_partition for z in x]
        p = [mpmath.exp(z) for z in logs]
        entropy = -mpmath.fsum(a * b for a, b in zip(p, logs, strict=True))
        complement = mpmath.fsum(a for j, a in enumerate(p) if j != label)
        values = -logs[label], complement, -mpmath.fsum(logs) / len(x), entropy, log_partition
        away = [-complement if j == label else a for j, a in enumerate(p)]
        gradients = (
            away,
            [p[label] * a for a in away],
            [a - mpmath.mpf(1) / len(x) for a in p],
            [-a * (b + entropy) for a, b in zip(p, logs, strict=True)],
            p,
        )
        return [float(x) for x in values], [[float(x) for x in row] for row in gradients]


ROWS = {
    "confident": ([40.0, 0.0, 1.0, -3.0], 0),
    "confident and wrong": ([0.0, 40.0, 1.0, -3.0], 0),
    "one of two": ([20.0, 0.5, 20.0, 1.0], 2),
    "both": ([-20.0, 30.0, 30.0, 1.0], 0),
    "level": ([0.1, 0.2, 0.3, 0.4], 1),
    "rising": ([-50.0, -20.0, 10.0, 40.0], 3),
    "shifted": ([1000.25, 1000.0, 999.0, 998.5], 1),
    "far": ([90.0, -100.0, 3.0, 88.5], 1),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("statistic", Softmax._fields)
@pytest.mark.sampled(3)
def test_every_statistic_is_true(name, statistic):
    logits, label = ROWS[name]
    number = Softmax._fields.index(statistic)
    value, gradient = (part[number] for part in truth(logits, label))
    loss = linear_softmax_loss(lambda softmax: softmax[number])
    # The slope of the mean surprisal is p - 1/k, as good as its terms.
    scale = max(np.max(np.abs(gradient)), 0.25 if statistic == "mean_surprisal" else 0)
    # Half a last digit of a logit moves a probability by as much, relative to it.
    digits = 2**-24 * max(8, np.max(np.abs(logits)))
    for walk in ({"strategy": "fast"}, {"strategy": "small", "memory": 4}):
        # The bias is the whole of each logit.
        run = jax.value_and_grad(
            lambda bias, w=walk: loss(jnp.zeros((1, 2)), jnp.array([label]), jnp.zeros((2, 4)), bias, **w)
        )
        got, slope = jax.jit(run)(jnp.array(logits, jnp.float32))
        np.testing.assert_allclose(got, value, rtol=4 * 2**-24, atol=1e-37)
        np.testing.assert_allclose(slope, gradient, rtol=digits, atol=digits * scale + 1e-37)


def test_tiles_that_rise_and_fall_keep_a_small_entropy():
    # 600 classes in tiles of 128: the largest of each tile comes after, or before, that of the last.
    for order in (1, -1):
        bias = np.linspace(-60.0, 40.0, 600)[::order].astype(np.float32)
        value, _ = truth(bias, 17)
        loss = linear_softmax_loss(lambda softmax: softmax.entropy)
        got = loss(jnp.zeros((1, 2)), jnp.array([17]), jnp.zeros((2, 600)), bias, strategy="small", memory=4)
        np.testing.assert_allclose(got, value[3], rtol=8 * 2**-24)


# -------------------------------------------------------------------------------------------- every mode of derivative


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("walk", ["fast", "small"])
@pytest.mark.sampled(16)
def test_forward_mode_and_second_order(walk, name, rng):
    with jax.enable_x64(True):
        hidden, kernel, bias, labels, mask = example(rng, 11, 3, 40, np.float64)
        extra = given_to(name, rng, 11, np.float64)
        point = hidden, kernel, bias
        direction = tuple(jnp.asarray(rng.normal(size=x.shape)) for x in point)

        def modes(loss, **walk):
            def cost(hidden, kernel, bias):
                return loss(hidden, labels, kernel=kernel, bias=bias, class_mask=mask, **extra, **walk)

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
                    along(along(cost))(*point),
                    jax.grad(jax.checkpoint(cost), (0, 1, 2))(*point),
                )
            )()

        loss = LOSSES[name][0]
        assert_same(modes(loss, **{**WALKS[walk], "memory": 2000}), modes(from_logits(loss)), 1e-9)


def test_vmap(rng):
    hidden, kernel, bias, labels, _ = example(rng, 12)
    batch = tuple(x.reshape(3, 4, *x.shape[1:]) for x in (hidden, labels, *given_to("ppo", rng, 12).values()))

    def cost(hidden, kernel, labels, old, advantage):
        return clipped_policy(hidden, labels, old, advantage, kernel, bias, **WALKS["fast"])

    gradient = jax.jit(jax.value_and_grad(cost, (0, 1, 3, 4)))
    mapped = jax.jit(jax.vmap(gradient, (0, None, 0, 0, 0)))(batch[0], kernel, *batch[1:])
    loop = [gradient(h, kernel, *rest) for h, *rest in zip(*batch, strict=True)]
    assert_same(mapped, jax.tree.map(lambda *x: jnp.stack(x), *loop))
    one = jax.jit(jax.vmap(clipped_policy, (0, 0, 0, 0, None)))(
        hidden, labels, *(x.reshape(12) for x in batch[2:]), kernel
    )
    assert_same(one, reduce(clipped_policy, "none")(hidden, labels, *(x.reshape(12) for x in batch[2:]), kernel))


@pytest.mark.sweep
def test_the_laws(rng):
    hidden, kernel, _, labels, _ = example(rng, 8, 3, 5)
    jaxloss.testing.check_loss(clipped_policy, hidden, labels, *given_to("ppo", rng, 8).values(), kernel)
    jaxloss.testing.check_loss(with_entropy_bonus, hidden, labels, kernel)


# -------------------------------------------------------------------------------------------------------- exact counts

EXTRA = {name: [jax.ShapeDtypeStruct((N,), jnp.float32)] * len(LOSSES[name][2]) for name in LOSSES}


def cost(loss, **keywords):
    return lambda hidden, kernel, labels, *extra: loss(hidden, labels, *extra, kernel, **keywords)


@pytest.mark.parametrize("name", ["ppo", "smoothing", "focal", "entropy"])
@pytest.mark.parametrize(("strategy", "both", "part"), [("fast", 3, 6), ("small", 4, 40)])
def test_products_and_memory(strategy, both, part, name):
    f = cost(LOSSES[name][0], strategy=strategy)
    arrays = *SHAPES, *EXTRA[name]
    assert products(f, *arrays) == 1
    assert products(jax.value_and_grad(f, (0, 1)), *arrays) == both
    program = jax.jit(jax.value_and_grad(f, (0, 1))).lower(*arrays).compile()
    # An entropy needs a few more tiles of the same size.
    part = 24 if (strategy, name) == ("small", "entropy") else part
    assert program.memory_analysis().temp_size_in_bytes <= 2 * 4 * N * V / part
    assert max(sizes(program.as_text())) < N * V


def test_what_is_not_read_is_not_computed():
    def text(link):
        f = cost(linear_softmax_loss(link), strategy="fast")
        return str(jax.make_jaxpr(jax.value_and_grad(f, (0, 1)))(*SHAPES))

    plain = text(lambda softmax: softmax.surprisal)
    assert plain.count("reduce_sum") < text(lambda softmax: softmax.mean_surprisal).count("reduce_sum")
    assert plain.count("reduce_sum") < text(lambda softmax: softmax.entropy).count("reduce_sum")


# -------------------------------------------------------------------------------------------------------- over devices


@pytest.mark.parametrize("split", [(4, 2), (1, 8)], ids=str)
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
@pytest.mark.sampled(4)
def test_classes_over_devices(axis_type, split, rng):
    mesh = jax.make_mesh(split, ("data", "model"), axis_types=(axis_type,) * 2)
    hidden, kernel, bias, labels, mask = example(rng, 48, 6, 264)
    sign, temper = given_to("everything", rng, 48).values()
    shift = jnp.float32(0.5)
    arrays = hidden, kernel, bias, temper, shift, labels, mask, sign
    data, model = jax.P("data"), jax.P("model")
    specs = data, jax.P(None, "model"), model, data, jax.P(), data, model, data

    def run(loss, **keywords):
        def inside(hidden, kernel, bias, temper, shift, labels, mask, sign):
            return loss(hidden, labels, sign, temper, shift, kernel, bias, mask, **keywords)

        return inside

    wanted = tuple(range(5))
    expected = jax.jit(jax.value_and_grad(run(from_logits(of_everything)), wanted))(*arrays)
    placed = [jax.device_put(np.asarray(x), NamedSharding(mesh, s)) for x, s in zip(arrays, specs, strict=True)]
    for walk in ("fast", "small"):
        by_hand = run(reduce(of_everything, axis_name="data"), class_axis_name="model", **WALKS[walk])
        whole = jax.shard_map(by_hand, mesh=mesh, in_specs=specs, out_specs=jax.P())
        program = jax.jit(jax.value_and_grad(whole, wanted)).lower(*placed).compile()
        assert_same(program(*placed), expected)
        no_large_gather(program, 1)
        # Within the map, by check_vma the gradient in what is shared comes summed.
        within = jax.shard_map(
            jax.value_and_grad(by_hand, wanted), mesh=mesh, in_specs=specs, out_specs=(jax.P(), specs[:5])
        )
        assert_same(jax.jit(within)(*placed), expected)
    with jax.set_mesh(mesh):
        program = jax.jit(jax.value_and_grad(run(of_everything, **WALKS["fast"]), wanted)).lower(*placed).compile()
        assert_same(program(*placed), expected)
        no_large_gather(program, 6 * 264)

    def values(loss, **keywords):
        return run(reduce(loss, "none"), **keywords)

    each = jax.shard_map(
        values(of_everything, class_axis_name="model"), mesh=mesh, in_specs=specs, out_specs=jax.P("data")
    )
    assert_same(jax.jit(each)(*placed), jax.jit(values(from_logits(of_everything)))(*arrays))


# ------------------------------------------------------------------------------------------------------ what it is made


def test_a_loss_like_any_other():
    assert repr(clipped_policy) == "clipped_policy"
    assert clipped_policy.signature == "(d),(),(),(),(d,v),(v),(v),(v,d)->()"
    assert list(inspect.signature(clipped_policy).parameters)[:6] == [
        *("hidden", "labels", "old_log_probability", "advantage", "kernel", "bias")
    ]
    assert pickle.loads(pickle.dumps(reduce(clipped_policy, "sum"))) == reduce(clipped_policy, "sum")
    one, same = linear_softmax_loss(poly), linear_softmax_loss(poly)
    assert one == same
    assert hash(one) == hash(same)
    assert one != clipped_policy
    assert pickle.loads(pickle.dumps(one)) == one


def test_what_is_refused(rng):
    hidden, kernel, _, labels, _ = example(rng, 4)
    for link, sentence in {
        3: "takes a function of a softmax, got int",
        clipped_policy: "takes a function of a softmax, got Loss",
        (lambda: 0.0): "must take the softmax of a token",
        (lambda softmax, *rest: softmax.entropy + sum(rest)): r"it takes \(softmax, \*rest\)",
        (lambda softmax, kernel: softmax.entropy * kernel): "declares 'kernel'",
        (lambda softmax, where: softmax.entropy * where): "declares 'where'",
    }.items():
        with pytest.raises(TypeError, match=sentence):
            linear_softmax_loss(link)
    for link, sentence in {
        (lambda _: 1.0): "must use its first argument",
        (lambda softmax: softmax.surprisal * jnp.ones(3)): r"one number for one token, got shape \(3,\)",
        (lambda softmax: tuple(softmax[:2])): r"one number for one token, got shape \(\), \(\)",
    }.items():
        for loss in (linear_softmax_loss(link), reduce(linear_softmax_loss(link), "none")):
            with pytest.raises(ValueError, match=sentence):
                loss(hidden, labels, kernel)
    with pytest.raises(TypeError, match="focal: give one of kernel"):
        focal(hidden, labels)
    with pytest.raises(TypeError, match="did you mean 'power'"):
        focal(hidden, labels, kernel, powre=1.0)
