#!/bin/sh
# Put nodes into a pool, on a cluster without a node provisioner: the label that placement.pool selects, and the taint
# that keeps everything else off GPUs.
#   manifests/nodepools/generic/join.sh training|spot|cpu NODE...
set -eu
pool=${1:?wanted a pool (training, spot or cpu) and nodes}
shift
[ "$#" -gt 0 ] || { echo "wanted at least one node, found none" >&2; exit 64; }
case $pool in
training | spot) kubectl taint node "$@" nvidia.com/gpu=present:NoSchedule --overwrite ;;
cpu) ;;
*) echo "wanted the pool training, spot or cpu, found $pool" >&2; exit 64 ;;
esac
kubectl label node "$@" "fastgen-k8s.github.io/pool=$pool" --overwrite
