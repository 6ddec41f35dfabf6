"""The audit read model: which event is whose, and of which request."""
