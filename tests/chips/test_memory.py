"""Chunks and micro-batches on a chip: beside one of them nothing grows with the items."""

import jax
import jax.numpy as jnp
import pytest

import jaxloss


def _chunks(hidden, labels, where):
    rows = jaxloss.softmax_cross_entropy_with_integer_labels
    return jax.value_and_grad(jaxloss.reduce(rows, chunk_size=256))(hidden, labels, where=where)


def _microbatches(hidden, labels, where):
    def cost(kernel, batch):
        hidden, labels, where = batch
        loss = jaxloss.softmax_cross_entropy_with_integer_labels
        return loss.tally(hidden @ kernel, labels, where=where)

    kernel = jnp.ones((128, 128), hidden.dtype)
    return jaxloss.value_and_grad(cost, microbatch_size=256)(kernel, (hidden, labels, where))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("work", [_chunks, _microbatches])
def test_keeps_no_copy_of_the_items(work, dtype, chip):
    def kept(items):
        kinds = {"hidden": ((items, 128), dtype), "labels": ((items,), jnp.int32), "where": ((items,), bool)}
        arrays = {name: jax.ShapeDtypeStruct(*kind) for name, kind in kinds.items()}
        return chip.lower(work, arrays).compile().memory_analysis().temp_size_in_bytes

    assert kept(32768) - kept(8192) < 32768  # bytes; a copy of the labels alone would take four times that
    assert kept(32773) - kept(8192) < 256 * 128 * 8  # those of the rest, which is shorter than a part
