"""What the policies promise, on an event log in memory."""
