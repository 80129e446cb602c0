"""What becomes of a stage and of its pipeline, the same for a laptop and a cluster: status, fold, decide. Pure."""
