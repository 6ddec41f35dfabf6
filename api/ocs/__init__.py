"""The OCS-compatible surface at the host's root (contracts: science archive 2.7)."""
