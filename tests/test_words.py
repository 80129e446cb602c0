"""A word means one thing: no two modules define a public class of one name."""

import ast
from collections import defaultdict
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent / "fastgen_k8s"


def test_a_public_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in sorted(_PACKAGE.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(file.relative_to(_PACKAGE).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
