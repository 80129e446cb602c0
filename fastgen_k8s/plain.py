"""Plain data from YAML, as JSON has it; length, depth and aliases are bounded before an alias stands for anything."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import yaml

from fastgen_k8s.printable import shown

LONGEST = 1 << 20  # characters of a text; an object of Kubernetes is hardly larger
MOST_ADDED = 1 << 16  # values and characters that the aliases of a text may add to it
DEEPEST = 32  # values within each other

_TOO_DEEP = f"values more than {DEEPEST} deep"
_INT, _FLOAT, _TIME = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_MERGE = "tag:yaml.org,2002:merge"
_NOT_IN_JSON = frozenset(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "binary", "set", "omap", "pairs"))
_WRONG_FOR_ITS_TAG = (ValueError, AttributeError, LookupError, ArithmeticError)


class Loader(yaml.SafeLoader):
    """YAML with the scalars of 1.2: `1:2` is a range of nodes and not 62, `1e-4` is a number, a date is text."""

    yaml_implicit_resolvers = {  # pyright: ignore[reportIncompatibleVariableOverride]  # noqa: RUF012
        letter: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT, _TIME)]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # pyright: ignore[reportIncompatibleVariableOverride]  # noqa: RUF012
        tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag not in _NOT_IN_JSON
    }

    def __init__(self, text: str, aliases: bool = True) -> None:
        if len(text) > LONGEST:
            raise yaml.YAMLError(f"{len(text)} characters where {LONGEST} are the most")
        super().__init__(text)
        self._aliases = aliases
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("yaml.Event", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        if not self._aliases and isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise _refused("an anchor or an alias, where every value is written out", event)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refused(_TOO_DEEP, event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge (`<<`) as kubectl does: a mapping's own keys count, then those of the first mapping that has one.

        PyYAML 6.0.4 tells keys apart by the identity of their texts.
        """
        pairs = [pair for pair in node.value if pair[0].tag != _MERGE]
        known = {key.value for key, _ in pairs}
        for source in (source for key, value in node.value if key.tag == _MERGE for source in _sources(value)):
            self.flatten_mapping(source)
            pairs += [pair for pair in source.value if pair[0].value not in known]
            known |= {key.value for key, _ in source.value}
        node.value = pairs

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        """A letter that JSON writes as two numbers is one; PyYAML 6.0.4 makes two of it, which no text can hold."""
        return _PAIR.sub(_joined, super().construct_scalar(node))

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if not -(2**63) <= number < 2**63:
            raise _refused("a whole number of more than 64 bits", node)
        return number


for _tag, _number in {
    _INT: r"[-+]?(?:0|[1-9][0-9]*)",
    _FLOAT: r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
}.items():
    Loader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType]
        _tag, re.compile(f"^(?:{_number})$"), list("-+.0123456789")
    )
Loader.add_constructor(_INT, Loader.construct_yaml_int)  # pyright: ignore[reportUnknownMemberType]


def read_yaml(text: str, *, aliases: bool = True) -> object:
    """Plain data from YAML; raises yaml.YAMLError, also for what is beyond the bounds, or has aliases and may not."""
    with _reading(Loader(text, aliases)) as loader:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, MOST_ADDED)
        return loader.construct_document(node)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def read_documents(given: Loader) -> list[object]:
    """The plain data of each document of a text; raises as `read_yaml` does. The bounds are those of the whole text."""
    found, left = list[object](), MOST_ADDED
    with _reading(given) as loader:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                left -= _check(node, left)
                found.append(loader.construct_document(node))  # pyright: ignore[reportUnknownMemberType]
    return found


@contextmanager
def _reading(loader: Loader) -> Generator[Loader]:
    try:
        yield loader
    except _WRONG_FOR_ITS_TAG as error:  # of a scalar that is not what its tag says
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType]


def quoted(text: str) -> str | None:
    """The string that a text as a whole is in YAML's quotes; None for every other text."""
    if text[:1] not in ("'", '"') or len(text) > LONGEST:
        return None
    try:
        loader = Loader(text, aliases=False)
        node = loader.get_single_node()
    except yaml.YAMLError:
        return None
    if not isinstance(node, yaml.ScalarNode) or node.end_mark.index != len(text):
        return None
    return loader.construct_scalar(node)


class _Extent(NamedTuple):
    """What a node comes to with its aliases written out."""

    size: int  # values, and characters of scalars
    depth: int


def _check(root: yaml.Node, most: int) -> int:
    """What aliases add; raises for what is too deep, holds itself, repeats a key, or grows too much by its aliases."""
    known: dict[yaml.Node, _Extent | None] = {}
    whole, written = _extent(root, known), sum(_own(node) for node in known)
    added = whole.size - written
    if added > most:
        raise _refused(f"aliases that add {added} values and characters, {most} at most", root)
    return added


def _extent(node: yaml.Node, known: dict[yaml.Node, _Extent | None]) -> _Extent:
    if node in known:
        extent = known[node]
        if extent is None:
            raise _refused("an alias inside of what it names", node)
        return extent
    known[node] = None
    inner = [_extent(each, known) for each in _inner(node)]
    extent = _Extent(_own(node) + sum(each.size for each in inner), 1 + max((each.depth for each in inner), default=0))
    if extent.depth > DEEPEST:
        raise _refused(_TOO_DEEP, node)
    known[node] = extent
    return extent


def _sources(merged: yaml.Node) -> Iterator[yaml.MappingNode]:
    nodes: list[yaml.Node] = merged.value if isinstance(merged, yaml.SequenceNode) else [merged]
    for node in nodes:
        if not isinstance(node, yaml.MappingNode):
            raise _refused("a merge of what is no mapping", node)
        yield node


def _inner(node: yaml.Node) -> list[yaml.Node]:
    """The nodes in a collection; raises for a key that is given twice (one of the two would be lost) or no scalar."""
    if isinstance(node, yaml.SequenceNode):
        return node.value
    if not isinstance(node, yaml.MappingNode):
        return []
    seen = set[str]()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refused("a key that is no scalar", key)
        if key.value in seen:
            raise _refused(f"the key {shown(key.value)} is given twice", key)
        seen.add(key.value)
    return [each for pair in node.value for each in pair]


def _own(node: yaml.Node) -> int:
    return 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _refused(why: str, where: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=where.start_mark)
