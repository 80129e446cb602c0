"""The container images, and the program that builds them."""
