"""The rules of the aggregates, one file an aggregate."""
