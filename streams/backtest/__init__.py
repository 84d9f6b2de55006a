"""A policy tried on what has been: which alerts it would have raised, and what they are worth."""
