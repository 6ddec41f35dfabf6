"""Ways in to an archive of the OCS (science-archive 2.x) that is to be taken over: its database, its dump, its API."""
