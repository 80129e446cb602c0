"""What people ask of pipelines, in a cluster or below a root: how they stand, what they say, and three requests."""
