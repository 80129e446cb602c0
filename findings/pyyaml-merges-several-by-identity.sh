#!/usr/bin/env bash
# PyYAML 6.0.4: which of several merged mappings wins depends on how long a key is.
#
# YAML's merge type says of `<<: [*a, *b]` that a mapping named earlier overrides one named later. PyYAML 6.0.3 does so. 6.0.4
# tells the merged keys apart by id() of their texts: two equal keys of more than one letter are two objects, both are kept, and
# the later mapping wins; keys of one letter are the same object in CPython, and the earlier one wins. A file of pipelines or
# manifests that merges two sets of defaults means something else after an upgrade of the patch release, without an error.
#
# Seen (CPython 3.11, Linux):
#   6.0.3 {'rate': 1, 'n': 1}
#   6.0.4 {'rate': 2, 'n': 1}
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cat >"$place/merged.py" <<'PY'
import yaml

TEXT = """
a: &a {rate: 1, n: 1}
b: &b {rate: 2, n: 2}
both:
  <<: [*a, *b]
"""
print(yaml.__version__, yaml.safe_load(TEXT)["both"])
PY
for version in 6.0.3 6.0.4; do
    python3 -m venv "$place/$version"
    "$place/$version/bin/python" -m pip install --quiet --disable-pip-version-check "pyyaml==$version"
    "$place/$version/bin/python" "$place/merged.py"
done | tee "$place/seen"
diff "$place/seen" - <<'SEEN'
6.0.3 {'rate': 1, 'n': 1}
6.0.4 {'rate': 2, 'n': 1}
SEEN
