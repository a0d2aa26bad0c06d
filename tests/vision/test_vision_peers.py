"""On random arrays our values and gradients are those of the peers.

Ours are computed in float32, theirs in float64 from the same rounded numbers. Where a peer means something else by its
arguments, the row says what is done about it.
"""

import jax
import numpy as np
import pytest
import torch

from vision.embeddings import EMBEDDINGS
from vision.images import IMAGES
from vision.segmentation import SEGMENTATION
from vision.transport import TRANSPORT

pytestmark = pytest.mark.filterwarnings("ignore")  # of the peers

CLOSE = 1e-4
ROWS = (*SEGMENTATION, *IMAGES, *EMBEDDINGS, *TRANSPORT)


def _theirs(row, arrays):
    tensors = [torch.tensor(x, dtype=torch.float64 if x.dtype.kind == "f" else torch.int64) for x in arrays]
    for k in row.slopes:
        tensors[k].requires_grad_()
    value = row.theirs(*tensors)
    value.backward()
    return value.item(), [tensors[k].grad.numpy() for k in row.slopes]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_ours_is_theirs(row):
    ours = jax.jit(jax.value_and_grad(row.ours, row.slopes))
    for seed in range(3):
        drawn = row.draw(np.random.default_rng(seed))
        arrays = [x.astype(np.float32 if x.dtype.kind == "f" else np.int32) for x in drawn]
        value, gradients = ours(*arrays)
        true, slopes = _theirs(row, arrays)
        np.testing.assert_allclose(value, true, rtol=CLOSE)
        for got, slope in zip(gradients, slopes, strict=True):
            assert np.any(slope)
            np.testing.assert_allclose(got, slope, rtol=CLOSE, atol=0.1 * CLOSE * np.max(np.abs(slope)))
