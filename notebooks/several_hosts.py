"""Data-parallel training over several hosts: the same losses and parameters as on one, to rounding.

Start it once on each host, with the address of the first:

    python notebooks/several_hosts.py --coordinator 10.0.0.1:9876 --hosts 2 --host 0   # on the first
    python notebooks/several_hosts.py --coordinator 10.0.0.1:9876 --hosts 2 --host 1   # on the second

On a TPU pod, on Slurm or under Open MPI, `jax.distributed.initialize()` finds all of that out by itself. Without
arguments it trains on this host alone. Part of the digits are padding, more on one host than on the other: the mean
over hosts of the mean on each would be another cost.
"""

import argparse
from typing import Any

import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxloss

BATCH, STEPS, WIDTH = 192, 30, 32


def cost(params: Any, batch: Any) -> jaxloss.Tally:
    """What the items of one device, or of one micro-batch on it, add to the cost."""
    hidden = jax.nn.relu(batch["image"] @ params["in"])
    logits = hidden @ params["out"]
    return jaxloss.softmax_cross_entropy_with_integer_labels.tally(logits, batch["label"], where=batch["counts"])


def batches() -> Any:
    """The same batches on every host, of which each then takes its own rows."""
    digits = load_digits()
    rng = np.random.default_rng(0)
    # The lower the digit, the more of it is padding; sorted, so that the hosts differ.
    counts = rng.random(len(digits.target)) < 0.1 + 0.1 * digits.target
    for _ in range(STEPS):
        rows = np.sort(rng.choice(len(digits.target), BATCH, replace=False))
        rows = rows[np.argsort(digits.target[rows], kind="stable")]
        image = (digits.data[rows] / 16).astype(np.float32)
        yield {"image": image, "label": digits.target[rows].astype(np.int32), "counts": counts[rows]}


def train() -> tuple[list[float], Any]:
    """The cost at each step, and the parameters after the last."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    everywhere = jax.NamedSharding(mesh, jax.P())
    by_rows = jax.NamedSharding(mesh, jax.P("data"))
    optimiser = optax.adam(1e-2)

    # One cost over all devices of all hosts, a few rows of each at a time.
    cost_and_gradient = jax.shard_map(
        jaxloss.value_and_grad(cost, microbatch_size=20, axis_name="data"),
        mesh=mesh,
        in_specs=(jax.P(), jax.P("data")),
        out_specs=jax.P(),
    )

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        value, gradient = cost_and_gradient(params, batch)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    rng = np.random.default_rng(1)
    start = {"in": rng.normal(size=(64, WIDTH)) / 8, "out": rng.normal(size=(WIDTH, 10)) / 6}
    losses = []
    with jax.set_mesh(mesh):
        params = jax.tree.map(lambda x: jax.device_put(x.astype(np.float32), everywhere), start)
        state = jax.jit(optimiser.init)(params)
        for batch in batches():
            share = BATCH // jax.process_count()
            rows = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
            own = jax.tree.map(lambda x, rows=rows: jax.make_array_from_process_local_data(by_rows, x[rows]), batch)
            params, state, value = step(params, state, own)
            losses.append(float(value))
    return losses, jax.tree.map(np.asarray, params)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinator", help="address and port of the first host")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--host", type=int, default=0, help="the number of this one")
    parser.add_argument("--output", help="a file for losses and parameters (.npz)")
    arguments = parser.parse_args()
    if arguments.coordinator:
        jax.distributed.initialize(arguments.coordinator, arguments.hosts, arguments.host)
    losses, params = train()
    print(f"host {jax.process_index()} of {jax.process_count()}, {jax.device_count()} devices in all")
    print(f"cost at the first step {losses[0]:.4f}, at the last {losses[-1]:.4f}")
    if arguments.output:
        np.savez(arguments.output, losses=losses, **params)


if __name__ == "__main__":
    main()
