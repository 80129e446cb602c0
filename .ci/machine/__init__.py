"""What the build machine adds to `images`: an engine and a base where there is no Docker."""
