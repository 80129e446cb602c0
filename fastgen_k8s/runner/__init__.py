"""A pipeline on one machine: the plan of a cluster's controller, carried out by TorchX's local scheduler."""
