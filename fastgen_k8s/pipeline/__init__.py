"""Works, placements and pipelines as data, and the plan as a pure function."""
