"""A forest's borders in order: which tests change their answers when a value moves.

Letters in shape comments: F features, R trees, D tests of a tree, A = 2 ** D sets of answers,
L leaves, I borders of all features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Whole = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]

_LOWEST, _MOST = np.finfo(np.float32).min, np.finfo(np.float32).max
_HIGHEST = np.nextafter(_MOST, np.float32(0))  # of values; a border that is not below is not passed


class Tables(NamedTuple):
    """A forest as whole numbers. Answer d of a tree is binary digit d of its set of answers."""

    columns: Places  # (R, D) the feature that a test reads
    borders: Single  # (R, D) passed by values above
    unmeasured: NDArray[np.bool_]  # (R, D) does a value that is not there (NaN) pass?
    reached: Bytes  # (R, A) the leaf
    leaves: Whole  # (R, L) in steps
    shares: Whole  # (R, L, D) what each test adds in each leaf, in steps
    sum_of: Places  # (R,) the sum that a tree counts to
    part_of: Places  # (R, D) the part that a test counts to


class Edges(NamedTuple):
    """All borders in the order of features and values (I,).

    The place of a value is that of the first edge above it. What is not measured lies below all
    values, and a test that it passes has an edge in between. Each feature ends with an edge that
    nothing passes.
    """

    keys: NDArray[np.int64]  # feature and edge as one number
    low: Single  # a place has the values from here on …
    high: Single  # … and below the edge itself
    trees: Places
    up: Bytes  # added to the tree's set of answers where a value passes upwards
    down: Bytes  # … downwards


def edges_of(tables: Tables, n_features: int) -> Edges:
    """Lay out the borders of a forest over `n_features` features."""
    n_trees, depth = tables.columns.shape
    tree, digit = np.divmod(np.arange(n_trees * depth), depth)
    passed = tables.unmeasured.ravel().nonzero()[0]
    # `x > border` is `x >= edge` for numbers of single precision.
    above = np.nextafter(np.minimum(tables.borders.ravel(), _HIGHEST), np.float32(np.inf))
    ends = np.arange(n_features)
    feature = np.concatenate([tables.columns.ravel()[passed], tables.columns.ravel(), ends])
    edge = np.full(len(feature), np.inf, dtype=np.float32)
    edge[: len(passed)] = _LOWEST
    edge[len(passed) : -n_features] = np.maximum(above, _LOWEST)
    flips = np.concatenate([-(1 << digit[passed]), 1 << digit, 0 * ends]).astype(np.int8)
    keys = key(feature, edge)
    order = keys.argsort(kind="stable")
    feature, high, flips = feature[order], edge[order], flips[order]
    low = np.append(np.float32(-np.inf), high[:-1])
    low[1:][feature[1:] != feature[:-1]] = -np.inf
    trees = np.concatenate([tree[passed], tree, 0 * ends])[order]
    return Edges(keys[order], low, high, trees, flips.view(np.uint8), (-flips).view(np.uint8))


def single(x: Array) -> Single:
    """(…) values in single precision, finite, or -inf where not measured (NaN)."""
    values = np.minimum(np.maximum(x, _LOWEST), _HIGHEST).astype(np.float32)
    values[np.isnan(values)] = -np.inf
    return values


def key(features: Places, values: Single) -> NDArray[np.int64]:
    """(…) features and values as whole numbers, in the order of features, then of values."""
    bits = (values + np.float32(0)).view(np.int32)  # -0 becomes the 0 that it equals
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return (features.astype(np.int64) << 32) + ordered


def ranges(starts: Places, counts: Places) -> Places:
    """`counts[i]` numbers from `starts[i]` on, one range after the other."""
    ends = counts.cumsum()
    found: Places = np.arange(counts.sum()) + (starts - ends + counts).repeat(counts)
    return found
