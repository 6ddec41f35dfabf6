"""The observation portal over HTTP, and when to ask it again."""
