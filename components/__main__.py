"""The components as files, from the rows of kinds: TorchX reads a component's source, so each is written out.

python -m components
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fastgen_k8s.pipeline.kinds import KINDS, StageKind
from fastgen_k8s.pipeline.words import WORDS, Word


class Component(NamedTuple):
    """What a component says beside what follows from its kind."""

    name: str
    says: str
    experiment: str  # by default
    inputs: Mapping[str, str]  # name -> the component that makes it, or the place that it has, by default


TEACHER = "examples/moving_shapes/teacher"
ROWS = (
    Component(
        "encode",
        "Encode: prompts become a conditions artifact.",
        "moving_shapes/kd_causal",
        {"prompts": "examples/moving_shapes/prompts.txt", "teacher": TEACHER},
    ),
    Component(
        "stage1",
        "Stage 1: ODE pairs, the teacher's trajectories at the student's times.",
        "moving_shapes/kd_causal",
        {"conditions": "encode", "teacher": TEACHER},
    ),
    Component(
        "stage2",
        "Stage 2: KD and CausalKD, a student learns from the teacher's trajectories.",
        "moving_shapes/kd_causal",
        {"pairs": "stage1", "conditions": "encode", "teacher": TEACHER, "student": "bridge"},
    ),
    Component(
        "bridge",
        "Bridge: from stage 2's checkpoint to the weights that stage 3 starts from.",
        "moving_shapes/kd_causal",
        {"checkpoint": "stage2"},
    ),
    Component(
        "stage3",
        "Stage 3: Self-Forcing, the student learns on its own rollouts.",
        "moving_shapes/sf",
        {"student": "bridge", "conditions": "encode", "teacher": TEACHER, "pairs": "stage1"},
    ),
    Component(
        "sample",
        "Sample: draw clips from a student, chunk by chunk.",
        "moving_shapes/sf",
        {"student": "stage3", "conditions": "encode", "teacher": TEACHER},
    ),
    Component(
        "report",
        "Report: a self-contained page of what the stages made, and the same numbers as JSON.",
        "moving_shapes/sf",
        {name: name for name in ("stage1", "stage2", "stage3", "sample")},
    ),
)
NAMES = tuple(row.name for row in ROWS)
HERE = Path(__file__).parent
_SIZES = ("nodes", "processes", "micro_batch")
_IMPORTS = """from typing import Annotated

from torchx import specs

from fastgen_k8s.launch.component import default, default_count, made, stage_app
"""


def files() -> dict[Path, str]:
    """What each file holds."""
    return {HERE / f"{row.name}.py": _file(_kind(row), row) for row in ROWS}


def _kind(row: Component) -> StageKind:
    return next(kind for kind in KINDS.values() if row.name in kind.components)


def _file(kind: StageKind, row: Component) -> str:
    doc = "".join(f"        {name}: {says}\n" for name, says in _documented(kind, row))
    arguments = "".join(f"    {line},\n" for line in _arguments(kind, row))
    return f'''"""{row.says}

torchx run -s local_cwd components/{row.name}.py {_example(kind, row)} --output runs/{row.name}
"""
# Made by `make components`, from fastgen_k8s/pipeline/kinds.py; a test keeps the two in step.
# pyright: reportMissingTypeStubs=false

{_IMPORTS}

def {row.name}(
{arguments}) -> specs.AppDef:
    """{row.says}

    Args:
{doc}    """
    return stage_app(
        "{kind.name}",
        experiment,
        {_varargs(kind)},
        output,
        image,
        {_mapping("flags", {word.name: word.name for word in WORDS})},
        {_mapping("inputs", {name: _input(kind, name, source) for name, source in row.inputs.items()})},
{_negative(kind)}    )
'''


def _example(kind: StageKind, row: Component) -> str:
    """An input as it is given."""
    name, source = next(iter(row.inputs.items()))
    place = f"runs/{source}" if source in NAMES else source
    return f"{name}={place}" if kind.shows else f"--{name} {place}"


def _varargs(kind: StageKind) -> str:
    return "inputs" if kind.shows else "overrides"


def _arguments(kind: StageKind, row: Component) -> Iterator[str]:
    """The parameters, each with its type and default."""
    yield f"*{_varargs(kind)}: str"
    for name in () if kind.shows else row.inputs:
        yield f'{name}: str = default("{row.name}", "{name}")'
    yield f'experiment: str = default("{row.name}", "experiment", "{row.experiment}")'
    if "prompts" in kind.inputs:
        dashed = _dashed("negative_prompt_file", "str")
        yield f'negative_prompt_file: {dashed} = default("{row.name}", "negative_prompt_file")'
    yield f'output: str = default("{row.name}", "output", made("{row.name}"))'
    for word in WORDS:
        yield f"{word.name}: {_type(word)} = {_default(word, kind, row.name)}"
    yield f'image: str = default("{row.name}", "image")'


def _type(word: Word) -> str:
    return _dashed(word.name, "int" if word.of is int else "str")


def _dashed(name: str, plain: str) -> str:
    """The type of a parameter that is also a flag with dashes."""
    return f'Annotated[{plain}, "--{name.replace("_", "-")}"]' if "_" in name else plain


def _default(word: Word, kind: StageKind, component: str) -> str:
    """From the environment, but that no variable for all stages makes many workers of a kind that is one worker's."""
    fallback = word.default or ("0" if word.of is int else "")
    if word.name in _SIZES and not kind.shared:
        return fallback if word.of is int else f'"{fallback}"'
    reader = "default_count" if word.of is int else "default"
    return f'{reader}("{component}", "{word.name}"' + (f', "{fallback}")' if fallback else ")")


def _documented(kind: StageKind, row: Component) -> Iterator[tuple[str, str]]:
    if kind.shows:
        yield "inputs", "name=uri of what is shown, else what the other components made; and settings, as of any stage"
    else:
        yield "overrides", "settings of the experiment, of placement and of execution, key=value"
        yield from ((name, _of(kind, name, source)) for name, source in row.inputs.items())
    yield "experiment", "a name from `fastgen-k8s experiments`"
    if "prompts" in kind.inputs:
        yield "negative_prompt_file", "a file with the negative prompt"
    yield "output", "where the artifact goes"
    yield from ((word.name, word.says[0].lower() + word.says[1:].rstrip(".")) for word in WORDS)
    yield "image", "what its containers run; clusters and local_docker"


def _of(kind: StageKind, name: str, source: str) -> str:
    what = f"an artifact of kind {' or '.join(kind.inputs[name])}" if kind.inputs[name] else "a file"
    return f"{what}; else {f'what {source} made' if source in NAMES else source}, if the experiment asks for it"


def _mapping(name: str, values: Mapping[str, str]) -> str:
    return f"{name}={{\n" + "".join(f'            "{key}": {value},\n' for key, value in values.items()) + "        }"


def _input(kind: StageKind, name: str, source: str) -> str:
    """What is given, and where it is looked for otherwise."""
    given, place = '""' if kind.shows else name, f'"{source}"'
    return f"({given}, {f'made({place})' if source in NAMES else place})"


def _negative(kind: StageKind) -> str:
    return "        negative_prompt_file=negative_prompt_file,\n" if "prompts" in kind.inputs else ""


if __name__ == "__main__":
    for _path, _text in files().items():
        _path.write_text(_text)
