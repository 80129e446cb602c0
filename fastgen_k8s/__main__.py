"""`python -m fastgen_k8s` is `fastgen-k8s`."""

from fastgen_k8s.cli import main

main()
