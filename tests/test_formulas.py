"""The way from equation to function is complete and leads somewhere."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENTRIES = re.findall(r"`(\w+(?:\.\w+)+(?::[\w.]+)?)`", (ROOT / "docs/formulas.md").read_text())
FORMULAS = {
    f"fastgen_k8s.diffusion.{name}:{node.name}"
    for name in ("schedule", "losses", "solvers", "unipc")
    for node in ast.parse((ROOT / f"fastgen_k8s/diffusion/{name}.py").read_text()).body
    if isinstance(node, ast.FunctionDef)
}
PLUMBING = {
    "fastgen_k8s.diffusion.schedule:over_clip",
    "fastgen_k8s.diffusion.losses:per_sample",
    "fastgen_k8s.diffusion.solvers:solve",
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_a_documented_function(entry: str) -> None:
    assert pkgutil.resolve_name(entry).__doc__


def test_no_formula_of_the_diffusion_package_is_missing() -> None:
    assert not FORMULAS - PLUMBING - set(ENTRIES)
