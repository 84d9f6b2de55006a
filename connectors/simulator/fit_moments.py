"""Moments of irregular series: what `fit` estimates, without knowing of hospitals."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Series = tuple[Array, Array]  # hours, values

_LAGS_H = (0.0, 1.5, 4.0, 8.0, 16.0, 32.0)  # bounds of the variogram's bins
_TIMES_H = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # correlation times tried
_PAIRS = 60  # measurements of one patient that are paired with each other, at most
_ENOUGH = 100  # patients or steps; a correlation from fewer counts as zero


def normal_scores(values: Array, quantiles: Array, probabilities: Array) -> Array:
    """The inverse of reading a value off its quantiles: middle of the ranks that share a value."""
    below = np.searchsorted(quantiles, values, side="left")
    upto = np.searchsorted(quantiles, values, side="right")
    inside = (below + upto) / 2.0
    # Between two quantiles, linearly.
    last = len(quantiles) - 1
    left, right = np.clip(below - 1, 0, last), np.clip(below, 0, last)
    width = quantiles[right] - quantiles[left]
    part = np.divide(
        values - quantiles[left], width, out=np.full(len(values), 0.5), where=width > 0
    )
    rank = np.where(below == upto, below - 1 + np.clip(part, 0.0, 1.0), inside - 0.5)
    chance = np.interp(np.clip(rank, 0.0, last), np.arange(last + 1), probabilities)
    return np.asarray([_normal.inv_cdf(float(p)) for p in chance])


_normal = NormalDist()


def ridge(rows: Array, target: Array) -> Array:
    """Weights of a linear index of the target; [rows, features] without gaps."""
    centred = rows - rows.mean(axis=0)
    penalty = 0.01 * len(rows) * np.eye(rows.shape[1])
    weights: Array = np.linalg.solve(
        centred.T @ centred + penalty, centred.T @ (target - target.mean())
    )
    return weights


def movement(residuals: list[Series]) -> dict[str, float]:
    """Standard deviations between patients, of the slow movement and of the noise, and its time.

    The variogram within patients is modelled as noise² + slow² (1 - exp(-lag / time)).
    """
    lags, values, weights = _variogram(residuals)
    best: tuple[float, float, float, float] | None = None
    for time in _TIMES_H:
        rise = 1.0 - np.exp(-lags / time)
        noise, slow = _two_positive(np.ones_like(rise), rise, values, weights)
        error = float(np.sum(weights * (noise + slow * rise - values) ** 2))
        if best is None or error < best[0]:
            best = (error, noise, slow, time)
    assert best is not None  # noqa: S101 - there is always a time to try
    _, noise, slow, time = best
    total = float(np.mean([np.mean(z**2) for _, z in residuals]))
    between = max(total - noise - slow, 0.02)
    return {
        "between": float(np.sqrt(between)),
        "slow": float(np.sqrt(slow)),
        "noise": float(np.sqrt(noise)),
        "time_h": time,
    }


def _variogram(residuals: list[Series]) -> tuple[Array, Array, Array]:
    """Mean lag, half mean square difference and number of pairs, by bin."""
    sums = np.zeros((3, len(_LAGS_H) - 1))
    for times, values in residuals:
        thin = slice(None, None, 1 + len(times) // _PAIRS)
        t, z = times[thin], values[thin]
        i, j = np.triu_indices(len(t), 1)
        lag, half = np.abs(t[j] - t[i]), (z[j] - z[i]) ** 2 / 2.0
        bins = np.digitize(lag, _LAGS_H) - 1
        inside = (lag > 0) & (bins < sums.shape[1])
        for row, what in enumerate((lag, half, np.ones_like(lag))):
            np.add.at(sums[row], bins[inside], what[inside])
    used = sums[2] > _ENOUGH
    return sums[0][used] / sums[2][used], sums[1][used] / sums[2][used], np.sqrt(sums[2][used])


def _two_positive(a: Array, b: Array, y: Array, w: Array) -> tuple[float, float]:
    """Weighted least squares y = p a + q b with p, q >= 0."""
    design = np.stack([a, b], axis=1) * w[:, None]
    p, q = np.linalg.lstsq(design, y * w, rcond=None)[0]
    if p < 0:
        return 0.0, max(0.0, float(np.sum(w * w * b * y) / np.sum(w * w * b * b)))
    if q < 0:
        return max(0.0, float(np.sum(w * w * a * y) / np.sum(w * w * a * a))), 0.0
    return float(p), float(q)


def correlation_between(residuals: list[dict[str, Series]], names: list[str]) -> Array:
    """Correlation of the patients' mean deviations, made positive definite."""
    means = np.full((len(residuals), len(names)), np.nan)
    for i, series in enumerate(residuals):
        for j, name in enumerate(names):
            if name in series:
                means[i, j] = series[name][1].mean()
    return _correlation(means)


def correlation_of_steps(residuals: list[dict[str, Series]], names: list[str]) -> Array:
    """Correlation of simultaneous steps from one charting to the next within two hours."""
    rows: list[Array] = []
    for series in residuals:
        grid = np.unique(
            np.concatenate([np.zeros(0), *(series[n][0] for n in names if n in series)])
        )
        table = np.full((len(grid), len(names)), np.nan)
        for j, name in enumerate(names):
            if name in series:
                times, values = series[name]
                table[np.searchsorted(grid, times), j] = values
        close = np.diff(grid) <= 2.0
        rows.append(np.diff(table, axis=0)[close])
    return _correlation(np.concatenate(rows))


def _correlation(rows: Array) -> Array:
    """Pairwise correlation of columns with gaps."""
    size = rows.shape[1]
    found = np.eye(size)
    for i in range(size):
        for j in range(i):
            both = ~np.isnan(rows[:, i]) & ~np.isnan(rows[:, j])
            if both.sum() >= _ENOUGH:
                found[i, j] = found[j, i] = np.corrcoef(rows[both, i], rows[both, j])[0, 1]
    values, vectors = np.linalg.eigh(found)
    mended = (vectors * np.clip(values, 0.02, None)) @ vectors.T
    scale = np.sqrt(np.diag(mended))
    definite: Array = mended / np.outer(scale, scale)
    return definite
