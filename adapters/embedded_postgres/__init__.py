"""A real PostgreSQL from a wheel, in the data directory, for those who don't want to run a database server."""

from adapters.embedded_postgres.cluster import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
