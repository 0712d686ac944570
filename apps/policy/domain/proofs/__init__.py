"""Proofs over a policy: what it says of every request there could be, as formulas for a solver."""
