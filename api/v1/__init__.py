"""Our own JSON API below /api/v1: problem details for errors, cursors for lists."""
