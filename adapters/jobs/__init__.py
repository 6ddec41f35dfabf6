"""Jobs on procrastinate, in the same PostgreSQL, and the workers that carry them (docs/adr/0003)."""
