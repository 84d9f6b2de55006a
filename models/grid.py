"""Numbers that add up without rounding: whole multiples of a small step.

As long as sums stay below 64, single precision adds them exactly, and so do whole numbers of steps:
neither the order of adding nor the size of a batch can change a sum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

STEP = 2.0**-18


def on_grid(values: Tensor) -> Tensor:
    """The nearest multiples of `STEP`, in single precision."""
    return ((values.double() / STEP).round() * STEP).float()


def in_steps(values: Tensor) -> NDArray[np.int32]:
    """Multiples of `STEP` as whole numbers of it."""
    steps: NDArray[np.int32] = (values.double() / STEP).round().int().numpy()
    return steps
