"""One module an aggregate: plain functions that turn a request into events."""
