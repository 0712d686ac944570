"""Reads of runs that the engine and its services stand on."""
