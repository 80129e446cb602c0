"""A pipeline as people see it, the same for a laptop and a cluster: rows, a table of them, and a place to show it."""
