"""What torch computes of boxes and spectra, where it has no function that is called like ours."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jaxloss


def _ciou_of_torchvision(p, t):
    """Its arithmetic, with the trade-off held."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = p.unbind(-1), t.unbind(-1)
    both = (torch.min(x2, u2) - torch.max(x1, u1)).clamp(0) * (torch.min(y2, v2) - torch.max(y1, v1)).clamp(0)
    iou = both / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - both)
    diagonal = (torch.max(x2, u2) - torch.min(x1, u1)) ** 2 + (torch.max(y2, v2) - torch.min(y1, v1)) ** 2
    apart = ((x1 + x2 - u1 - u2) / 2) ** 2 + ((y1 + y2 - v1 - v2) / 2) ** 2
    v = 4 / torch.pi**2 * (torch.atan((u2 - u1) / (v2 - v1)) - torch.atan((x2 - x1) / (y2 - y1))) ** 2
    return 1 - iou + apart / diagonal + (v / (1 - iou + v)).detach() * v


def test_a_trade_off_that_is_held_has_the_gradient_of_torchvision():
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 1, (2, 20, 2))
    p, t = np.concatenate([low, low + rng.uniform(0.5, 2, low.shape)], -1)
    theirs = torch.tensor(p, requires_grad=True)
    _ciou_of_torchvision(theirs, torch.tensor(t)).mean().backward()
    held = functools.partial(jaxloss.ciou, hold_trade_off=True)
    np.testing.assert_allclose(held(p, t), jaxloss.ciou(p, t), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(held)(jnp.float32(p), t), theirs.grad, atol=1e-6)
    assert not np.allclose(jax.grad(jaxloss.ciou)(jnp.float32(p), t), theirs.grad, atol=1e-3)


def test_the_spectra_are_those_of_torch():
    x, y = np.random.default_rng(0).normal(size=(2, 300)).astype(np.float32)
    costs = []
    for fft, hop, size in ((64, 12, 40), (32, 7, 20)):
        spectra = [
            torch.stft(torch.tensor(s), fft, hop, size, torch.hann_window(size), return_complex=True).abs()
            for s in (x, y)
        ]
        a, b = (s.square().clamp(min=1e-7).sqrt() for s in spectra)
        costs.append(torch.norm(b - a) / torch.norm(b) + (b.log() - a.log()).abs().mean())
    found = jaxloss.multi_resolution_stft(x, y, fft_sizes=(64, 32), hop_sizes=(12, 7), window_sizes=(40, 20))
    np.testing.assert_allclose(found, np.mean(costs), rtol=1e-5)
