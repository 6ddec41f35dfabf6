"""Every way in: the OCS-compatible surface, our own JSON API, the command line; and the wiring of it all."""
