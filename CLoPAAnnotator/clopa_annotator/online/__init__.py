"""Learning while a case is open and right after it is confirmed: OAIMS, IA+SA and TSCA."""
