"""Commands, handlers, policies, permissions, and the ports through which they reach the world."""
