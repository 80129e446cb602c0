"""Where in a checkpoint the weights of networks lie: found by the names that a family's transformer has at its top.

A checkpoint is looked at as one flat list of names, whatever was nested in what. What stands before a transformer's own
names says whose weights they are; what stands beside them is no weight of theirs.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.by_kind import weighted_families

Role = Literal["student", "fake_score"]
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_OPTIMISERS = {"optim", "optimizer", "optimiser", "opt"}  # words of a name
_MOMENTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"}  # what torch's optimisers keep of a weight
_STATE_DICT = ("state", "param_groups")  # the two entries of every torch optimiser's
_FRAMEWORK = {"teacher", "real", "discriminator"}  # words of networks that are neither student nor fake score
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ENOUGH = 2  # of a family's names: one alone may be another network's
_SHOWN = 12
_DEEPEST = 32  # parts of a prefix


@dataclass(frozen=True)
class Entry:
    """What a checkpoint has under a name, before it is read."""

    kind: str  # the name of its type
    shape: tuple[int, ...] | None = None  # of a tensor
    floating: bool = False


@dataclass(frozen=True)
class WeightGroup:
    """The weights of one network in a checkpoint."""

    prefix: str  # before each of its names: nothing, or parts that each end with a dot
    names: Mapping[str, str]  # the network's own names -> the checkpoint's

    @property
    def label(self) -> str:
        """The prefix as people say it."""
        return self.prefix.removesuffix(".") or "weights under no name"

    @property
    def averaged(self) -> bool:
        """Whether its name says that it is an average."""
        return "ema" in _words(self.prefix)

    @property
    def role(self) -> Role | None:
        """Whose weights its name says that they are: the student's, unless it names another network."""
        words = _words(self.prefix)
        if "critic" in words or "fake" in words:
            return "fake_score"
        return None if words & _FRAMEWORK else "student"


def find_groups(entries: Mapping[str, Entry], where: str) -> list[WeightGroup]:
    """Every network's weights in a checkpoint, in its order; BadInput where two names become one in them."""
    short = _by_short_name(entries)
    prefixes = _prefixes(short)
    members: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
    for name in short:
        owner = next((prefix for prefix in _inner_first(name) if prefix in members), None)
        if owner is not None:
            members[owner].append(name.removeprefix(owner))
    found: list[WeightGroup] = []
    for prefix in prefixes:
        about = {name: entries[short[prefix + name][0]] for name in members[prefix]}
        if _is_moment(prefix) or all(entry.shape is None for entry in about.values()):  # the second: a table of shapes
            continue
        beside = set(_beside(about))
        own = [name for name in members[prefix] if name.partition(".")[0] not in beside]
        found.append(WeightGroup(prefix, {name: _one(short[prefix + name], where) for name in own}))
    return found


def everything(entries: Mapping[str, Entry], where: str) -> WeightGroup:
    """A checkpoint as one group, of a network that we do not know: all but what is no weight of any network."""
    short = _by_short_name(entries)
    beside = set(_beside({name: entries[names[0]] for name, names in short.items()}))
    own = [name for name in short if name.partition(".")[0] not in beside] or list(short)
    return WeightGroup("", {name: _one(short[name], where) for name in own})


def choose(
    groups: Sequence[WeightGroup], role: Role, average: bool, fits: Mapping[str, bool], where: str
) -> WeightGroup:
    """The one group of a role, averaged or not; of several the one that fits the architecture. BadInput lists all."""
    named = [group for group in groups if group.role == role and group.averaged == average]
    best = [group for group in named if fits.get(group.prefix)] if len(named) > 1 else named
    if len(best) != 1:
        wanted = f"{'averaged' if average else 'raw'} weights of one {role}"
        raise BadInput(f"{where}: wanted {wanted}, found {some(sorted(group.label for group in groups))}")
    return best[0]


def tops(entries: Mapping[str, Entry]) -> list[str]:
    """What a checkpoint has at its top, each once."""
    return list(dict.fromkeys(name.partition(".")[0] for name in entries))


def some(names: Sequence[str]) -> str:
    """Names for a message, not too many."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _by_short_name(entries: Mapping[str, Entry]) -> dict[str, list[str]]:
    """The names of a checkpoint, without what wraps modules, and which names each was."""
    found: dict[str, list[str]] = {}
    for name in entries:
        found.setdefault(".".join(part for part in name.split(".") if part not in _WRAPPERS), []).append(name)
    return found


def _prefixes(names: Collection[str]) -> list[str]:
    """What stands before a transformer's own names, in their order, nothing twice."""
    seen: dict[tuple[str, str], int] = {}
    for kind, top in ((kind, top) for kind, family in weighted_families().items() for top in family.top):
        for name in names:
            if name == top or name.endswith(f".{top}"):
                key = kind, name.removesuffix(top)
                seen[key] = seen.get(key, 0) + 1
    return list(dict.fromkeys(prefix for (_, prefix), count in seen.items() if count >= _ENOUGH))


def _inner_first(name: str) -> Iterator[str]:
    """The prefixes of a name that end with a dot, the longest first, and nothing as the last."""
    parts = name.split(".", _DEEPEST)
    for count in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:count]) + "."
    yield ""


def _beside(about: Mapping[str, Entry]) -> Iterator[str]:
    """First parts of names that stand at a network's top and are none of its: optimisers, counts, random states."""
    weights = {top for family in weighted_families().values() for top in family.top}
    below: dict[str, list[str]] = {}
    for name in about:
        below.setdefault(name.partition(".")[0], []).append(name)
    for first in below.keys() - {top.partition(".")[0] for top in weights}:
        inner = below[first]
        kept_of_weights = any(f".{top}." in f".{name}." for name in inner for top in weights)
        optimiser = any(name.partition(".")[2].partition(".")[0] in _STATE_DICT for name in inner)
        weighs = any(about[name].floating or name.endswith((".weight", ".bias")) for name in inner)
        if kept_of_weights or optimiser or not weighs or _words(first) & _OPTIMISERS:
            yield first


def _is_moment(prefix: str) -> bool:
    return bool(_words(prefix) & _OPTIMISERS or set(prefix.split(".")) & _MOMENTS)


def _words(text: str) -> set[str]:
    """The words of a name in small letters: `netEMA`, `net_ema` and `ema2` all say that they are averages."""
    return {word.lower() for word in _WORD.findall(text)}


def _one(names: Sequence[str], where: str) -> str:
    if len(names) > 1:
        raise BadInput(f"{where}: wanted each weight once, found {names[0]!r} and {names[1]!r}, which name the same")
    return names[0]
