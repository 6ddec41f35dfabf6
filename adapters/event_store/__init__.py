"""The event log on PostgreSQL, built on the eventsourcing library's recorder, mapper and compressor."""
