"""Aggregates, events, value objects and rules. Pure: no input or output, no clock, no randomness."""
