"""Process managers: each reacts to events by giving commands, in the log's order, exactly once in effect."""
