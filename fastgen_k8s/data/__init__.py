"""Data sets with a contract: conditions, pairs and videos as artifacts, and the order in which they are drawn."""
