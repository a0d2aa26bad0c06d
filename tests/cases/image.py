"""Images and sounds: structural similarity, variation, style, spectra, distortion."""

import itertools
import math

import numpy as np
from mpmath import cos, exp, inf, log, mpf, pi, sin, sqrt

from cases.table import Case

SHAPE, LARGE = (3, 4, 1), (4, 4, 1)
WINDOW = {"window_size": 3}
_OTHER = {"sigma": 1.0, "max_value": 2.0, "k1": 0.02, "k2": 0.05}


def _window(size, sigma):
    middle = mpf(size - 1) / 2
    weights = [exp(-(((k - middle) / mpf(sigma)) ** 2) / 2) for k in range(size)]
    return [w / sum(weights) for w in weights]


def _plane(image, channel):
    return [[mpf(pixel[channel]) for pixel in row] for row in image]


def _windows(x, y, size, sigma, c1, c2):
    """The two factors in each window."""
    window = _window(size, sigma)
    for i, j in itertools.product(range(len(x) - size + 1), range(len(x[0]) - size + 1)):
        cells = [
            (window[a] * window[b], x[i + a][j + b], y[i + a][j + b])
            for a, b in itertools.product(range(size), repeat=2)
        ]
        mx, my = (sum(cell[0] * cell[k] for cell in cells) for k in (1, 2))
        vx, vy = (sum(cell[0] * (cell[k] - m) ** 2 for cell in cells) for k, m in ((1, mx), (2, my)))
        both = sum(w * (a - mx) * (b - my) for w, a, b in cells)
        yield (2 * mx * my + c1) / (mx**2 + my**2 + c1), (2 * both + c2) / (vx + vy + c2)


def _mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def ssim(x, y, max_value=1.0, window_size=11, sigma=1.5, k1=0.01, k2=0.03):
    c1, c2 = ((mpf(k) * mpf(max_value)) ** 2 for k in (k1, k2))
    planes = ((_plane(x, c), _plane(y, c)) for c in range(len(x[0][0])))
    return 1 - _mean(_mean(a * b for a, b in _windows(*pair, window_size, sigma, c1, c2)) for pair in planes)


def _halved(plane):
    rows, columns = len(plane) // 2, len(plane[0]) // 2
    cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
    return [[sum(plane[2 * i + a][2 * j + b] for a, b in cells) / 4 for j in range(columns)] for i in range(rows)]


def ms_ssim(x, y, max_value=1.0, window_size=11, sigma=1.5, k1=0.01, k2=0.03, scale_weights=(0.5, 0.5)):
    c1, c2 = ((mpf(k) * mpf(max_value)) ** 2 for k in (k1, k2))
    weights = [mpf(float(w)) for w in scale_weights]

    def of_channel(a, b):
        product = mpf(1)
        for scale, weight in enumerate(weights):
            factors = list(_windows(a, b, window_size, sigma, c1, c2))
            last = scale == len(weights) - 1
            product *= max(_mean(m * s if last else s for m, s in factors), mpf(0)) ** weight
            a, b = _halved(a), _halved(b)
        return product

    return 1 - _mean(of_channel(_plane(x, c), _plane(y, c)) for c in range(len(x[0][0])))


def total_variation(x, isotropic=False):
    total = mpf(0)
    for c in range(len(x[0][0])):
        plane = _plane(x, c)
        for i, j in itertools.product(range(len(plane)), range(len(plane[0]))):
            dx = plane[i][j + 1] - plane[i][j] if j + 1 < len(plane[0]) else mpf(0)
            dy = plane[i + 1][j] - plane[i][j] if i + 1 < len(plane) else mpf(0)
            total += sqrt(dx**2 + dy**2) if isotropic else abs(dx) + abs(dy)
    return total


def style(features, target):
    grams = [np.array(x, object).T.dot(np.array(x, object) * mpf(1)) / len(x) for x in (features, target)]
    return _mean(((grams[0] - grams[1]) ** 2).ravel())


def _wave(size):
    return [(cos(2 * pi * k / size), sin(2 * pi * k / size)) for k in range(size)]


def _magnitudes(x, fft, hop, window, floor):
    x = [mpf(number) for number in x]
    half = fft // 2
    padded = x[half:0:-1] + x + x[-2 : -half - 2 : -1]
    start = (fft - window) // 2
    weights = [mpf(0)] * start + [(1 - cos(2 * pi * k / window)) / 2 for k in range(window)]
    weights += [mpf(0)] * (fft - len(weights))
    turns = _wave(fft)
    for first in range(0, len(padded) - fft + 1, hop):
        frame = [w * s for w, s in zip(weights, padded[first : first + fft], strict=True)]
        for k in range(half + 1):
            parts = [sum(s * turns[k * n % fft][part] for n, s in enumerate(frame)) for part in (0, 1)]
            yield sqrt(max(parts[0] ** 2 + parts[1] ** 2, mpf(floor)))


def multi_resolution_stft(x, y, fft_sizes=(), hop_sizes=(), window_sizes=(), power_floor=1e-7):
    costs = []
    for sizes in zip(fft_sizes, hop_sizes, window_sizes, strict=True):
        a, b = (list(_magnitudes(signal, *sizes, power_floor)) for signal in (x, y))
        off = sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / sum(q**2 for q in b))
        costs.append(off + _mean(abs(log(q / p)) for p, q in zip(a, b, strict=True)))
    return _mean(costs)


def scale_invariant_sdr(x, y, zero_mean=False):
    x, y = ([mpf(number) for number in signal] for signal in (x, y))
    if zero_mean:
        x, y = ([number - _mean(signal) for number in signal] for signal in (x, y))
    along = sum(a * b for a, b in zip(x, y, strict=True))
    energy = sum(a**2 for a in x) * sum(b**2 for b in y)
    if not along:
        return inf
    # Of the squared sine the cross products, which do not cancel.
    pairs = itertools.combinations(zip(x, y, strict=True), 2)
    across = sum((a * d - b * c) ** 2 for (a, b), (c, d) in pairs)
    return 10 * log(across / along**2) / log(10) if across and energy else -inf


def _alike(rng, shape):
    one, other = rng.uniform(0.1, 0.9, (2, *shape))
    return one, 0.6 * one + 0.4 * other


def _images(rng, n):
    return _alike(rng, (n, *SHAPE))


def _large_images(rng, n):
    return _alike(rng, (n, *LARGE))


def _one_image(rng, n):
    return (rng.uniform(0.1, 0.9, (n, *SHAPE)),)


def _hard_images(shape):
    def draw(_):
        rng = np.random.default_rng(8)
        smooth = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None] / 8
        noise = rng.normal(size=smooth.shape)
        flat, dark = np.full_like(smooth, 0.75), np.full_like(smooth, 1e-3)
        pairs = ((smooth, smooth + 0.1 * noise), (smooth, smooth + 1e-4 * noise), (flat, flat + 1e-3 * noise))
        more = ((flat, dark), (dark, dark + 1e-4 * abs(noise)), (smooth, 1 - smooth), (flat + 1e-5 * noise, flat))
        yield from ((x.tolist(), y.tolist()) for x, y in pairs + more)

    return draw


def _hard_variations(_):
    image = np.array(next(_hard_images(SHAPE)(None))[1])
    yield from (((image * unit).tolist(),) for unit in (1.0, 1e-30, 1e30))


def _features(rng, n):
    return rng.normal(size=(n, 3, 2)), rng.normal(size=(n, 4, 2))


def _hard_features(ulp):
    some = [[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]]
    near = [[1.0 + 4 * ulp, 2.0], [1e-3, 1.0], [3.0, -1.0], [0.0, 0.0]]
    yield from ((some, target) for target in (near, [[0.0, 0.0]] * 4, [[1.0, 1.0]] * 4, [[1e6, 1.0]] * 4))


def _waves(rng, n):
    return rng.normal(size=(2, n, 8))


_STFT = {"fft_sizes": (4, 8), "hop_sizes": (2, 3), "window_sizes": (4, 6)}


def _hard_waves(_):
    wave = [math.sin(0.7 * k) for k in range(8)]
    other = [math.cos(1.9 * k) for k in range(8)]
    for size in (1e-4, 1e-2, 1.0):
        yield wave, [w + size * o for w, o in zip(wave, other, strict=True)]
    yield [2.0**-10 * w for w in wave], wave
    yield [100 * w for w in wave], other


def _hard_distortions(ulp):
    yield from _hard_waves(ulp)
    wave = [1.0, -2.0, 0.5, 3.0, 1.0, 0.0, 0.25, -1.0]
    yield wave, [w * (1 - 8 * ulp * (k % 3)) for k, w in enumerate(wave)]
    yield [-w for w in wave], [w + 1e-3 * (k % 2) for k, w in enumerate(wave)]
    yield [1e20 * w for w in wave], [1e-20 * w + 1e-22 for w in wave]


_EQUAL = np.random.default_rng(5).uniform(0.1, 0.9, SHAPE).tolist()
_FLAT = np.full(SHAPE, 0.5).tolist()

CASES = (
    Case(
        "ssim",
        _images,
        ssim,
        options=(WINDOW, {"window_size": 2, **_OTHER}),
        corners=((_EQUAL, _EQUAL), (_FLAT, _FLAT)),
        hard=_hard_images(SHAPE),
    ),
    Case(
        "ms_ssim",
        _large_images,
        ms_ssim,
        options=(
            {"window_size": 2, "scale_weights": (0.5, 0.5)},
            {"window_size": 2, "scale_weights": (0.3, 0.7), **_OTHER},
        ),
        hard=_hard_images(LARGE),
    ),
    Case(
        "total_variation",
        _one_image,
        total_variation,
        options=({}, {"isotropic": True}),
        corners=((_FLAT,), (_EQUAL,)),
        differentiable=(0,),
        hard=_hard_variations,
    ),
    Case("style", _features, style, hard=_hard_features),
    Case(
        "multi_resolution_stft",
        _waves,
        multi_resolution_stft,
        options=(_STFT, {**_STFT, "power_floor": 0.1}),
        hard=_hard_waves,
    ),
    Case(
        "scale_invariant_sdr",
        _waves,
        scale_invariant_sdr,
        options=({}, {"zero_mean": True}),
        hard=_hard_distortions,
    ),
)
