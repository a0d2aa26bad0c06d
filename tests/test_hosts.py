"""Two hosts, as two processes of this machine, train the model that one trains."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parent.parent / "notebooks" / "several_hosts.py"


def start(output, *arguments, devices):
    world = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_NUM", "XLA_FLAGS"))}
    world |= {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, SCRIPT, "--output", output, *arguments]
    return subprocess.Popen(command, env=world, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*processes):
    said = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-3000:]
        said.append(out)
    return said


def test_two_hosts_train_the_model_of_one(tmp_path):
    finish(start(tmp_path / "one.npz", devices=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    hosts = [
        start(tmp_path / f"{k}.npz", "--coordinator", address, "--hosts", "2", "--host", str(k), devices=2)
        for k in range(2)
    ]
    said = finish(*hosts)
    assert [f"host {k} of 2, 4 devices in all" in text for k, text in enumerate(said)] == [True, True]
    one, first, second = (np.load(tmp_path / f"{name}.npz") for name in ("one", "0", "1"))
    assert one["losses"][-1] < 0.5 * one["losses"][0]
    for name in one.files:
        np.testing.assert_array_equal(first[name], second[name])
        # Another order of additions, through 30 steps of Adam.
        np.testing.assert_allclose(first[name], one[name], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(first["losses"][0], one["losses"][0], rtol=1e-6)
