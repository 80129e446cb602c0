"""The words for where and how a stage runs: `placement.nodes=2` and `--nodes 2` mean what they mean in the YAML."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, cast

from fastgen_k8s.pipeline.work import Execution, Placement


class Word(NamedTuple):
    """A setting of a stage itself, which is also a flag."""

    section: Literal["placement", "execution"]
    name: str
    of: type[int] | type[str] | type[list[str]]
    says: str

    @property
    def flag(self) -> str:
        """As it is given on a command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def default(self) -> str:
        """What it is where nobody says it; nothing for none."""
        value = SECTIONS[self.section].model_fields[self.name].default
        return "" if value is None else ",".join(cast("tuple[str, ...]", value)) if self.of == list[str] else str(value)


SECTIONS: Mapping[str, type[Placement] | type[Execution]] = {"placement": Placement, "execution": Execution}
WORDS = (
    Word("placement", "nodes", str, "How many agents work together: a number, or MIN:MAX."),
    Word("placement", "processes", int, "Worker processes of each agent."),
    Word("placement", "micro_batch", int, "Samples that a process computes at once; else its whole share."),
    Word("placement", "resource", str, "What a node offers, by name."),
    Word("placement", "pool", str, "The nodes that it runs on, by their label; of a cluster."),
    Word("placement", "grace", int, "Seconds for a step and a checkpoint when asked to stop."),
    Word("execution", "log_every", int, "Steps between two logged losses."),
    Word("execution", "save_every", int, "Steps between two checkpoints; 0: at the end only."),
    Word("execution", "keep", int, "Checkpoints that are kept."),
    Word("execution", "trackers", list[str], "tensorboard, wandb or both."),
    Word("execution", "collective_timeout", int, "Seconds after which a silent peer counts as lost."),
)


def placed(words: Iterable[str], flags: Mapping[str, object], where: str) -> tuple[list[str], Placement, Execution]:
    """Overrides of the experiment among some words, and where and how the stage runs by the other words and by flags.

    A word counts more than a flag; a flag that is None was not given. Misdescribed for what does not fit.
    """
    own: dict[str, list[str]] = {"": [], **{section: [] for section in SECTIONS}}
    for word in words:
        section, _, rest = word.strip().partition(".")
        own[section if section in SECTIONS else ""].append(rest if section in SECTIONS else word)
    placement = Placement.parse(told("placement", flags), where).override(*own["placement"])
    return own[""], placement, Execution.parse(told("execution", flags), where).override(*own["execution"])


def told(section: str, flags: Mapping[str, object]) -> dict[str, object]:
    """The flags of a section that were given; a list word by word, with commas, or both."""
    given = {word: flags[word.name] for word in WORDS if word.section == section and flags.get(word.name) is not None}
    return {word.name: _listed(value) if word.of == list[str] else value for word, value in given.items()}


def _listed(value: object) -> list[str]:
    words = [value] if isinstance(value, str) else cast("list[str]", value)
    return [part for word in words for part in word.split(",") if part]
