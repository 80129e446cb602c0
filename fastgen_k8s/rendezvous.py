"""`python -m fastgen_k8s.rendezvous`: the command of the pod in which the agents of a job meet."""

import sys

from fastgen_k8s.agent.rendezvous import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
