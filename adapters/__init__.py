"""Implementations of the ports. An adapter knows the domain and its port, never another room above."""
