"""Mail to users: a server that takes it, and the book that gathers what there is to tell."""
