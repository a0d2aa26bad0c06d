"""The count itself, on programs whose bytes are known."""

import jax
import jax.numpy as jnp
import pytest

ROWS = {"x": jax.ShapeDtypeStruct((4096, 8192), jnp.float32)}
SIZE = 4096 * 8192 * 4


def _loop(x):
    """Eight trips, each over an eighth of the rows."""

    def body(total, part):
        return total + jnp.sum(jnp.exp(jax.lax.dynamic_slice_in_dim(x, part * 512, 512))), None

    return jax.lax.scan(body, jnp.zeros(()), jnp.arange(8))[0]


@pytest.mark.parametrize(
    ("function", "times"),
    [
        (lambda x: jnp.sum(x), 1),
        (lambda x: x + 1, 2),
        (lambda x: jnp.sum(jnp.exp(x - jnp.max(x))), 2),
        (_loop, 1),
    ],
    ids=["sum", "add", "two readings", "loop"],
)
def test_moved(function, times, chip):
    found = chip.program(function, ROWS)
    assert found.moved == pytest.approx(times * SIZE, rel=0.02)
    assert not found.endless


def test_kept(chip):
    """What has to be there whole before it is read the other way."""
    found = chip.program(lambda x: jnp.sort(jnp.exp(x) @ x.T), ROWS)
    assert found.kept >= SIZE // 4


def test_a_barrier_costs_a_pass(chip):
    def apart(x):
        return jnp.sum(jnp.sin(jax.lax.optimization_barrier(jnp.exp(x))))

    assert chip.program(apart, ROWS).counted == pytest.approx(3 * SIZE, rel=0.02)
