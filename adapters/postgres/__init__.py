"""PostgreSQL: connection settings and numbered migrations of everything that is not a read model."""
