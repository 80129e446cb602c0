"""A node's process: it checks a stage's work, meets the other nodes, and runs the workers to their end."""
