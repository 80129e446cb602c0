"""What the map, the glossary and the page on tests name exists, so that a reader who follows them arrives."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("architecture", "glossary", "testing")
TEXT = "".join((ROOT / f"docs/{page}.md").read_text() for page in PAGES)
NAMED = sorted(set(re.findall(r"`([\w./-]+(?:\.py(?::[\w.]+)?|/))`", TEXT)))
HERE = (ROOT / "fastgen_k8s", ROOT, ROOT / "tests/cluster", ROOT / "tests/processes")


@pytest.mark.parametrize("named", NAMED)
def test_what_the_map_names_is_there(named: str) -> None:
    path, _, name = named.partition(":")
    found = next((folder / path for folder in HERE if (folder / path).exists()), None)
    assert found is not None, f"no {path}"
    body: list[ast.stmt] = ast.parse(found.read_text()).body if name else []
    for part in name.split(".") if name else ():
        [body] = [defined.body for defined in _definitions(body) if defined.name == part] or [_values(body, part)]


def _definitions(body: list[ast.stmt]) -> list[ast.FunctionDef | ast.ClassDef]:
    return [each for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef)]


def _values(body: list[ast.stmt], name: str) -> list[ast.stmt]:
    """Nothing more below a constant of that name; ValueError for none, or for two."""
    targets = [each.target if isinstance(each, ast.AnnAssign) else None for each in body]
    targets += [target for each in body if isinstance(each, ast.Assign) for target in each.targets]
    [_] = [target for target in targets if isinstance(target, ast.Name) and target.id == name]
    return []
