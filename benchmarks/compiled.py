"""A chip that is not there: XLA compiles for it all the same, and the program says what it will move."""

import functools
import glob
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from hlo import Module
from jax.experimental import topologies
from jax.stages import Lowered

# The figures of an H100 that XLA's compiler asks for.
H100 = """gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000
l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84942979072
shared_memory_per_block_optin: 232448 cuda_compute_capability { major: 9 } registers_per_core_limit: 65536
registers_per_block_limit: 65536 }
platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 patch: 0 } device_description_str: "NVIDIA H100 80GB HBM3"
"""
CHIPS = ("tpu", "h100")


class Program(NamedTuple):
    """What a compiled program does: bytes moved and counted (see `hlo`), temporaries, kernels, seconds to compile.

    `text` is a digest of what was compiled: as long as it stays, so does the rest.
    """

    moved: float
    counted: float
    kept: float
    kernels: int
    seconds: float
    endless: int
    text: str = ""


@functools.cache
def _prepare() -> None:
    """Set what the compilers read."""
    toolkit = glob.glob(f"{sys.prefix}/lib/python3*/site-packages/nvidia/cuda_nvcc")[0]
    jax.config.update("jax_platforms", "cpu")
    os.environ.update(
        TPU_SKIP_MDS_QUERY="1",
        TPU_ACCELERATOR_TYPE="v5litepod-4",
        TPU_WORKER_HOSTNAMES="localhost",
        ALLOW_MULTIPLE_LIBTPU_LOAD="1",  # else a second process is refused, by a lock in /tmp
        TPU_LOG_DIR="disabled",  # else it writes into /tmp
        JAX_SKIP_CUDA_CONSTRAINTS_CHECK="1",
        PATH=f"{toolkit}/bin:{os.environ['PATH']}",
        XLA_FLAGS=f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_cuda_data_dir={toolkit}",
    )


class Chip:
    """One of CHIPS, which programs are compiled for. Make it before JAX runs anything: the compilers start once."""

    def __init__(self, name: str) -> None:
        _prepare()
        self.name = name
        if name == "tpu":
            topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
        else:
            topology = topologies.get_topology_desc(
                platform="cuda", topology_name="h100", topology="1x1x1", target_config=H100
            )
        self.sharding = jax.sharding.SingleDeviceSharding(topology.devices[0])

    def lower(self, function: Callable[..., Any], arrays: Mapping[str, Any]) -> Lowered:
        """The program before it is compiled."""
        given = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=self.sharding) for a in arrays.values()]
        return jax.jit(function).lower(*given)

    def program(self, function: Callable[..., Any], arrays: Mapping[str, Any], known: Program | None = None) -> Program:
        """What the compiled function moves, keeps and launches; `known`, if that was found of the same text."""
        start = time.perf_counter()
        lowered = self.lower(function, arrays)
        text = hashlib.sha256(lowered.as_text().encode()).hexdigest()[:16]
        if known and known.text == text:
            return known
        compiled = lowered.compile()
        seconds = time.perf_counter() - start
        module = Module(compiled.as_text())
        moved, counted, kernels, endless = module.counts()
        if self.name == "tpu":  # XLA counts itself, the body of a loop once
            counted = compiled.cost_analysis()["bytes accessed"]
            counted += sum((trips - 1) * one.counted for trips, one in module.loops() if trips)
        return Program(moved, counted, compiled.memory_analysis().temp_size_in_bytes, kernels, seconds, endless, text)
