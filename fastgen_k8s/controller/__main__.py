"""`python -m fastgen_k8s.controller`: reconciles the DistillationPipelines of a cluster."""

import sys

from fastgen_k8s.controller.serve import main

if __name__ == "__main__":
    sys.exit(main())
