"""What can go wrong with the cluster itself, each in one line: it cannot be here, or it does not do what it should."""

from fastgen_k8s.errors import FastgenError


class Unavailable(FastgenError):
    """This machine lacks something that a level needs: the tests of that level are left out."""


class ClusterFailed(FastgenError):
    """A program of the cluster ended, or something that was waited for did not happen in time."""
