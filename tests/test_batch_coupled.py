"""Losses that couple a batch: over devices, by blocks, and with members that are deleted or only not averaged."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

import jaxloss
from jaxloss import reduce

COUPLED = [name for name, loss in jaxloss.catalogue.items() if "batch_axis_name" in loss._term.options]
OF_ANCHORS = [name for name in COUPLED if jaxloss.catalogue[name].signature.endswith("->(n)")]
N, D = 16, 4
every = pytest.mark.parametrize("name", COUPLED)
every_of_anchors = pytest.mark.parametrize("name", OF_ANCHORS)


def mesh_of(kind, devices):
    types = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
    return jax.make_mesh((devices,), ("data",), axis_types=(types[kind],), devices=jax.devices()[:devices])


def example(name, n=N, d=D):
    """The arrays of a batch by their names, without the mask."""
    rng = np.random.default_rng(5)
    found = {}
    for array in jaxloss.catalogue[name]._term.arrays:
        if array == "labels":
            found[array] = rng.integers(0, 3, n)
        elif array != "item_mask":
            found[array] = rng.normal(size=(3 if array == "proxies" else n, d)).astype(np.float32)
    return found


def real(arrays):
    return [name for name in arrays if name not in ("labels", "item_mask")]


def gradient_of(name, loss, arrays, **options):
    """Value, and gradients in the embeddings, in a layer before them that is shared, and in the temperature."""
    number = "temperature" if "temperature" in jaxloss.catalogue[name]._term.options else None

    def cost(layer, number_, embeddings):
        given = {key: x @ layer for key, x in embeddings.items()}
        return loss(**arrays | given, **options, **({number: number_} if number else {}))

    embeddings = {key: arrays[key] for key in real(arrays)}
    return jax.value_and_grad(cost, (0, 1, 2))(jnp.eye(D), jnp.float32(0.3), embeddings)


def assert_same(got, expected, rtol=1e-5):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        scale = np.max(np.abs(other), initial=1e-6)
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=rtol, atol=rtol * scale)


def ragged(devices):
    mask = np.random.default_rng(devices).random(N) < 0.6
    mask[: N // devices] = devices == 1  # the first device has no member
    mask[-2:] = True
    return mask


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["auto", "explicit"])
@every
@pytest.mark.sampled(21)
def test_over_devices(name, kind, devices):
    """What the mask deletes is poison; the gradient of the layer is taken inside the map."""
    arrays, mask = example(name), ragged(devices)
    arrays |= {key: np.where(mask[:, None], arrays[key], np.nan) for key in real(arrays) if len(arrays[key]) == N}
    loss = jaxloss.catalogue[name]
    expected = jax.jit(lambda: gradient_of(name, loss, arrays | {"item_mask": mask}))()
    cost = reduce(loss, axis_name="data")

    def inside(arrays):
        return gradient_of(name, cost, arrays, batch_axis_name="data")

    along = {key: jax.P() if key == "proxies" else jax.P("data") for key in [*arrays, "item_mask"]}
    slopes = {key: along[key] for key in real(arrays)}
    mesh = mesh_of(kind, devices)
    with jax.set_mesh(mesh):
        call = jax.jit(
            jax.shard_map(inside, mesh=mesh, in_specs=(along,), out_specs=(jax.P(), (jax.P(), jax.P(), slopes)))
        )
        got = call(
            {
                key: jax.device_put(a, NamedSharding(mesh, along[key]))
                for key, a in (arrays | {"item_mask": mask}).items()
            }
        )
    assert_same(got, expected)


@pytest.mark.parametrize("kind", ["auto", "explicit"])
@pytest.mark.parametrize("memory", [None, 1024])
@every
@pytest.mark.sampled(13)
def test_a_batch_that_jit_sees_whole(name, memory, kind):
    """A mesh splits the members, with and without blocks; nothing of their pairs is gathered."""
    options = {"memory": memory} if "memory" in jaxloss.catalogue[name]._term.options else {}
    n = 64
    arrays, mesh = example(name, n), mesh_of(kind, 8)
    loss = jaxloss.catalogue[name]
    expected = jax.jit(lambda arrays: gradient_of(name, loss, arrays))(arrays)
    with jax.set_mesh(mesh):
        split = {
            key: jax.device_put(a, NamedSharding(mesh, jax.P() if key == "proxies" else jax.P("data")))
            for key, a in arrays.items()
        }
        compiled = jax.jit(lambda arrays: gradient_of(name, loss, arrays, **options)).lower(split).compile()
        assert_same(compiled(split), expected)
    gathered = re.findall(r"= \w+\[([\d,]*)\]\S* all-gather", compiled.as_text())
    sizes = [np.prod([int(size) for size in shape.split(",") if size]) for shape in gathered]
    assert max(sizes, default=0) < n * n / 2, gathered


@every_of_anchors
@pytest.mark.sampled(5)
def test_blocks_are_the_same_loss(name):
    arrays = example(name)
    mask = np.random.default_rng(0).random(N) < 0.7
    loss = jaxloss.catalogue[name]
    whole = jax.jit(lambda: gradient_of(name, loss, arrays | {"item_mask": mask}))()
    for memory in (64, 512):  # one anchor at a time, and a number of them that does not divide 16
        assert_same(jax.jit(lambda m=memory: gradient_of(name, loss, arrays | {"item_mask": mask}, memory=m))(), whole)
    values, in_blocks = (reduce(loss, "none")(**arrays, memory=memory) for memory in (None, 512))
    np.testing.assert_allclose(in_blocks, values, rtol=1e-5, atol=1e-6)


@every_of_anchors
@pytest.mark.sampled(3)
def test_where_leaves_members_to_serve_the_others(name):
    arrays, loss = example(name), jaxloss.catalogue[name]
    values = reduce(loss, "none")(**arrays)
    where = np.random.default_rng(0).random(N) < 0.5
    np.testing.assert_allclose(loss(**arrays, where=where), values[where].mean(), rtol=1e-5)
    weights = np.float32(1) + where
    np.testing.assert_allclose(loss(**arrays, weights=weights), values @ weights / weights.sum(), rtol=1e-5)
    assert loss(**arrays, where=np.zeros(N, bool)) == 0


@pytest.mark.parametrize("name", ["batch_hard_triplet", "batch_all_triplet", "multi_similarity", "koleo"])
def test_a_member_that_is_nan_is_missed_by_no_anchor(name):
    # Losses that choose: what is not a number is neither the largest nor the smallest, nor above or below a limit.
    arrays = example(name, 6, 2)
    arrays["embeddings"][4, 1] = np.nan
    assert np.isnan(reduce(jaxloss.catalogue[name], "none")(**arrays)).all()


@pytest.mark.parametrize("how", ["where", "weights"])
def test_a_device_whose_anchors_are_not_averaged_serves_the_others(how):
    arrays, loss = example("clip"), jaxloss.clip
    counts = np.arange(N) >= N // 4
    counts = {how: counts if how == "where" else counts.astype(np.float32)}
    mesh = mesh_of("auto", 4)
    cost = jax.shard_map(
        lambda arrays, counts: reduce(loss, axis_name="data")(**arrays, **counts, batch_axis_name="data"),
        mesh=mesh,
        in_specs=jax.P("data"),
        out_specs=jax.P(),
    )
    np.testing.assert_allclose(jax.jit(cost)(arrays, counts), loss(**arrays, **counts), rtol=1e-6)


def test_without_the_name_each_device_has_negatives_of_its_own():
    arrays = example("clip")
    cost = jax.shard_map(
        lambda a: reduce(jaxloss.clip, axis_name="data")(a["first"], a["second"]),
        mesh=mesh_of("auto", 4),
        in_specs=jax.P("data"),
        out_specs=jax.P(),
    )
    apart = jaxloss.clip(*(arrays[name].reshape(4, 4, D) for name in ("first", "second")))
    np.testing.assert_allclose(jax.jit(cost)(arrays), apart, rtol=1e-6)


def temporaries(loss, *shapes, **options):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    gradient = jax.jit(jax.value_and_grad(functools.partial(loss, **options), tuple(range(len(arrays)))))
    return gradient.lower(*arrays).compile().memory_analysis().temp_size_in_bytes / 2**20


def test_memory_of_clip():
    shape = (4096, 256)
    assert temporaries(jaxloss.clip, shape, shape) < 60  # the matrix of similarities alone has 64 MiB
    assert temporaries(jaxloss.siglip, shape, shape) < 60
    assert temporaries(jaxloss.clip, (4096, 8), (4096, 8), memory=2**20) < 8


def test_an_encoder_in_parts_and_the_loss_whole():
    """GradCache: the same value and gradient, with the activations of a part at a time."""
    rng = np.random.default_rng(0)
    images, other_views = (jnp.asarray(rng.normal(size=(512, 32)), jnp.float32) for _ in range(2))
    layers = (
        jnp.asarray(rng.normal(size=(32, 1024)) / 6, jnp.float32),
        jnp.asarray(rng.normal(size=(1024, 16)) / 32, jnp.float32),
    )

    def encoder(layers, image):
        return jnp.tanh(image @ layers[0]) @ layers[1]

    def cost(layers, embed):
        return jaxloss.nt_xent(embed(layers, images), embed(layers, other_views))

    def in_parts(layers, images):
        return jax.lax.map(jax.checkpoint(functools.partial(encoder, layers)), images, batch_size=64)

    compiled = [
        jax.jit(jax.value_and_grad(functools.partial(cost, embed=f))).lower(layers).compile()
        for f in (encoder, in_parts)
    ]
    assert_same(compiled[1](layers), compiled[0](layers))
    whole, parts = (c.memory_analysis().temp_size_in_bytes for c in compiled)
    assert parts < 0.6 * whole
