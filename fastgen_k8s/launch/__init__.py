"""From a work and a placement to what a TorchX scheduler runs."""
