"""Trees of any shape that nobody trained."""

from __future__ import annotations

import numpy as np
import torch

from models.leafwise import LEAVES, TESTS, LeafwiseTrees

BORDERS = np.array([-1.5, -0.5, 0.0, 0.5, 0.5, 2.0], np.float32)


def made_trees(seed: int, members: int, trees: int, features: int) -> LeafwiseTrees:
    """Each tree grown by splitting leaves at random; borders are some of `BORDERS`."""
    g = torch.Generator().manual_seed(seed)
    tests, leaves = (members, trees, TESTS), (members, trees, LEAVES)
    children = torch.stack([_grown(g) for _ in range(members * trees)])
    return LeafwiseTrees(
        columns=torch.randint(0, features, tests, generator=g),
        borders=torch.from_numpy(BORDERS)[torch.randint(0, len(BORDERS), tests, generator=g)],
        unmeasured=torch.rand(tests, generator=g) < 0.5,
        children=children.reshape(*tests, 2).to(torch.int8),
        leaves=0.2 * torch.randn(leaves, generator=g),
        covers=torch.randint(0, 50, leaves, generator=g).float(),
        levels=torch.randn(members, generator=g),
    )


def _grown(g: torch.Generator) -> torch.Tensor:
    """(D, 2) children: each test takes the place of a leaf."""
    children = torch.full((TESTS, 2), ~0)
    children[0, 1] = ~1
    for test in range(1, TESTS):
        split = int(torch.randint(0, test + 1, (), generator=g))
        children[children == ~split] = test
        children[test, 0], children[test, 1] = ~split, ~(test + 1)
    return children
