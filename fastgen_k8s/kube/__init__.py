"""A client of Kubernetes and what a controller stands on; nothing here knows a pipeline."""
