"""Audio: how far a waveform is from the true one, in its spectra or up to its loudness."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.norms import cosine_distance, safe_norm
from jaxloss.numerics.safe import absolute, largest_like, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input, Positive


def _powers(signals: Array, fft_size: int, hop_size: int, window_size: int) -> Array:
    """Of signals `[2, t]` the powers `[2, frames, frequencies]`, with a Hann window and reflected ends."""
    reflected = np.pad(np.arange(signals.shape[-1]), fft_size // 2, mode="reflect")
    window = np.zeros(fft_size)
    start = (fft_size - window_size) // 2
    window[start : start + window_size] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_size) / window_size)
    starts = hop_size * np.arange(1 + (len(reflected) - fft_size) // hop_size)
    places = reflected[starts[:, None] + np.arange(fft_size)]
    frames = signals[:, places] * jnp.asarray(window[None, None], signals.dtype)
    spectrum = jnp.fft.rfft(frames)
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


@custom_loss(signature="(t),(t)->()", stand_in=0.5)
def multi_resolution_stft(
    prediction: Input,
    target: Input,
    *,
    fft_sizes: Sequence[int] = (1024, 2048, 512),
    hop_sizes: Sequence[int] = (120, 240, 50),
    window_sizes: Sequence[int] = (600, 1200, 240),
    power_floor: Positive = 1e-7,
) -> Array:
    r"""The error of short-time spectra, of magnitudes and of their logarithms, at several resolutions.

    $$ \operatorname{mean}_r \left[ \frac{\lVert Y_r - X_r \rVert}{\lVert Y_r \rVert}
       + \operatorname{mean} |\log Y_r - \log X_r| \right], \qquad
       X_r = \sqrt{\max(|\mathrm{STFT}_r\,x|^2,\, f)} $$

    Args:
        prediction: `[..., t]`, x, samples of a waveform.
        target: `[..., t]`, y, the true one. It divides the first term, which is not symmetric.
        fft_sizes: Of each resolution, the samples of a transform.
        hop_sizes: Of each, the samples from one frame to the next.
        window_sizes: Of each, the samples of the Hann window, in the middle of the transform.
        power_floor: f, the power of silence, > 0. Below it nothing is heard, and the gradient is 0.

    Frames are centred, and the ends of the waveform reflected.

    Corners: 0 with gradient 0 at equal waveforms. Silence against silence costs 0.

    Raises:
        ValueError: The waveform is not longer than half a transform, an option is out of range, or the sizes are not
            one for each resolution.

    Source: Yamamoto et al. (2020), Parallel WaveGAN, equations 6 to 8.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([0.1, 0.9, 0.2, -0.8, 0.1, 0.7, -0.1, -0.6])
    >>> y = jnp.array([0.2, 0.5, 0.4, -1.0, 0.3, 0.9, 0.1, -0.5])
    >>> print(f"{multi_resolution_stft(x, y, fft_sizes=(4,), hop_sizes=(2,), window_sizes=(4,)):.6f}")
    1.214137
    """
    if not len(fft_sizes) == len(hop_sizes) == len(window_sizes) > 0:
        raise ValueError(
            "multi_resolution_stft: fft_sizes, hop_sizes and window_sizes must be one for each resolution, got "
            f"{len(fft_sizes)}, {len(hop_sizes)} and {len(window_sizes)}."
        )
    if prediction.shape[0] <= max(fft_sizes) // 2:
        raise ValueError(
            f"multi_resolution_stft: the waveform must be longer than half a transform of {max(fft_sizes)}, got "
            f"{prediction.shape[0]} samples; pass smaller fft_sizes, hop_sizes and window_sizes."
        )
    total, signals = jnp.zeros((), prediction.dtype), jnp.stack([prediction, target])
    for sizes in zip(fft_sizes, hop_sizes, window_sizes, strict=True):
        x, y = jnp.maximum(_powers(signals, *sizes), power_floor)
        magnitude, true = jnp.sqrt(x).reshape(-1), jnp.sqrt(y).reshape(-1)
        error, size = safe_norm(jnp.stack([true - magnitude, true]))
        total += ratio(error, size) + jnp.mean(absolute(0.5 * jnp.log(y / x)))
    return total / len(fft_sizes)


_DECIBEL = 10 / math.log(10)


@with_slopes(lambda x: jnp.where(x == 0, largest_like(x), _DECIBEL / jnp.where(x == 0, 1, x)))  # an infinite slope
def _decibels(x: Array) -> Array:
    return _DECIBEL * jnp.log(x)


@custom_loss(signature="(t),(t)->()", stand_in=0.5)
def scale_invariant_sdr(prediction: Input, target: Input, *, zero_mean: bool = False) -> Array:
    r"""The distortion of a waveform in decibels, whatever its loudness: the negative SI-SDR.

    $$ -10 \log_{10} \frac{\lVert \alpha y \rVert^2}{\lVert x - \alpha y \rVert^2} = 20 \log_{10} \tan \theta, \qquad
       \alpha = \frac{x \cdot y}{\lVert y \rVert^2} $$

    with theta the angle between the two.

    Args:
        prediction: `[..., t]`, x, samples of a waveform.
        target: `[..., t]`, y, the true one.
        zero_mean: Whether to subtract the mean of each first.

    Corners: right at 100 dB too, by the angle. A perfect prediction costs -inf, and a silent waveform, which is
    orthogonal to everything, inf, with a gradient that is not NaN; mask silence with `where`.

    Source: Le Roux et al. (2019), SDR: half-baked or well done?, equation 2.

    >>> import jax.numpy as jnp
    >>> print(f"{scale_invariant_sdr(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 2.0, 2.0])):.4f}")
    -13.8382
    """
    if zero_mean:
        prediction, target = prediction - jnp.mean(prediction), target - jnp.mean(target)
    less, more = cosine_distance(prediction, target), cosine_distance(-prediction, target)  # 1 -+ cos
    return _decibels(less) + _decibels(more) - _decibels(jnp.square(1 - less))
