"""The cluster's side of a pipeline: its API; what reconciles it stands on this."""
