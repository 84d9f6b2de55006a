"""Faults under load, drawn by a seed, on real servers and processes; checked by an oracle.

`python -m tests.chaos --runs 20 --seed 1` runs it, `docs/reliability.md` says what came of it.
"""
