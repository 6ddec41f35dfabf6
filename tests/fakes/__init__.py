"""Stand-ins for ports, and the samples that unit tests start from."""
