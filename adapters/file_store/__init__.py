"""File stores: a directory, or a versioned bucket of an S3-compatible service."""
