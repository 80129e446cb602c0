"""Works, placements and pipelines as data."""
