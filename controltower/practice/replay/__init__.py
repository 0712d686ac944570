"""Replay: recorded episodes through the real engine, scored against labels nobody saw before.

``reading`` parses files and names bad lines; ``running`` starts runs and plays the reviewer;
``scoring`` compares, purely, what the tower did with the labels.
"""
