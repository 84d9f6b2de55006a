"""Intermediate fusion, for comparison: learned embeddings of each modality, averaged, one head.

Modalities are dropped at random in training, so that an absent one is nothing new.

Letters in shape comments: N patients, C columns, K modalities, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.metrics import Array
from models.training.linear import moments

_WIDTH, _EPOCHS, _DROP = 8, 150, 0.3


class Embeddings(nn.Module):
    """One linear embedding for each modality; the mean of those that are there; a linear head."""

    def __init__(self, places: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self._places = [list(p) for p in places]
        self.embed = nn.ModuleList(nn.Linear(len(p), _WIDTH) for p in self._places)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(_WIDTH, 1))

    def forward(self, z: Tensor, there: Tensor) -> Tensor:
        """(N, C), (N, K) → (N,) log-odds."""
        parts = [e(z[:, p]) for e, p in zip(self.embed, self._places, strict=True)]
        stacked = torch.stack(parts, 1) * there[:, :, None]  # (N, K, D)
        mean = stacked.sum(1) / there.sum(1, keepdim=True).clamp(min=1.0)
        out: Tensor = self.head(mean)[:, 0]
        return out


def fit_embeddings(
    x: Array, labels: Array, places: Sequence[Sequence[int]], seed: int
) -> Callable[[Array], Array]:
    """Train on (N, C); returns a function of (N, C) to log-odds (N,)."""
    torch.manual_seed(seed)
    center, scale = moments(x)
    net = Embeddings(places)

    def tensors(raw: Array) -> tuple[Tensor, Tensor]:
        z = np.nan_to_num((raw - center) / scale)
        there = np.stack([~np.isnan(raw[:, p]).all(1) for p in map(list, places)], 1)
        return torch.from_numpy(z).float(), torch.from_numpy(there).float()

    z, there = tensors(x)
    y = torch.from_numpy(labels).float()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=0.02)
    net.train()
    for _ in range(_EPOCHS):
        kept = there * (torch.rand_like(there) > _DROP)
        kept = torch.where(kept.sum(1, keepdim=True) > 0, kept, there)
        loss = nn.functional.binary_cross_entropy_with_logits(net(z, kept), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    net.eval()

    def predict(raw: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(net(*tensors(raw)).double().numpy(), dtype=np.float64)

    return predict
