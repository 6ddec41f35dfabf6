"""Posts to addresses that users chose, without letting them reach into our own network (docs/adr/0028)."""
