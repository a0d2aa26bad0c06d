"""The head inside a training step: rematerialised layers, donated parameters, micro-batches, a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from test_language import assert_same, dense, head, no_large_gather

import jaxloss


def test_a_step_on_a_mesh_is_that_of_one_device_from_logits(rng):
    d, v, batch, time = 16, 264, 16, 6
    shapes = {"embedding": (v, d), "inner": (d, d)}
    params = {name: jnp.asarray(rng.normal(size=shape) / 4, jnp.float32) for name, shape in shapes.items()}
    tokens = jnp.asarray(rng.integers(0, v, (batch, time + 1)), jnp.int32)
    where = jnp.asarray(rng.random((batch, time)) < 0.7)

    @jax.checkpoint
    def layer(params, hidden):
        return hidden + jnp.tanh(hidden @ params["inner"])

    def step(loss, size):
        def cost(params, batch):
            tokens, where = batch
            hidden = layer(params, jnp.take(params["embedding"], tokens[:, :-1], axis=0))
            return loss.tally(hidden, tokens[:, 1:], embedding=params["embedding"], where=where)

        def update(params, batch):
            value, slopes = jaxloss.value_and_grad(cost, microbatch_size=size)(params, batch)
            return value, jax.tree.map(lambda p, slope: p - 0.1 * slope, params, slopes)

        return jax.jit(update, donate_argnums=0)

    expected = step(dense, None)(jax.tree.map(jnp.copy, params), (tokens, where))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(params, NamedSharding(mesh, jax.P()))
    split = jax.device_put((tokens, where), NamedSharding(mesh, jax.P("data")))
    with jax.set_mesh(mesh):
        program = step(head, 8).lower(placed, split).compile()
        value, updated = program(placed, split)
    assert all(x.is_deleted() for x in placed.values())
    assert_same((value, updated), expected)
    no_large_gather(program, batch * time * d)
    assert np.isfinite(value)
