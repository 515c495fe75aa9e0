"""A library of deltas, the ridge router that proposes one, and the ridge head (after EvoSAM)."""
