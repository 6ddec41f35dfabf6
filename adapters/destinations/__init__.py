"""Where copies go: one module a provider, each behind application.ports.destination.Destination."""
