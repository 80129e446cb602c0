"""`key=value` on the command line of a run: which stages it changes, and the pipeline that results."""

from collections.abc import Iterable

from fastgen_k8s.config import nearest
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments.keymap import became
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.spec import Pipeline, Stage
from fastgen_k8s.pipeline.words import WORDS
from fastgen_k8s.pipeline.work import reads
from fastgen_k8s.printable import shown

_OWN = frozenset(f"{word.section}.{word.name}" for word in WORDS) | {"retries", "deadline", "progressDeadlineSeconds"}
"""Settings of the stage itself, not of its experiment."""


def apply(pipeline: Pipeline, settings: Iterable[str]) -> Pipeline:
    """The pipeline with every `STAGE.key=value` and `key=value` set; Misdescribed when one fits nowhere."""
    given = list(settings)
    for setting in given:
        key, separator, _ = setting.partition("=")
        if not separator:
            raise Misdescribed(f"a setting is key=value or STAGE.key=value, found {shown(setting)}")
        pipeline = _apply_one(pipeline, key.strip(), setting)
    return Pipeline.parse(pipeline.model_dump(mode="json"), " ".join(given))  # once: some fit each other only


def _apply_one(pipeline: Pipeline, key: str, setting: str) -> Pipeline:
    head, _, rest = key.partition(".")
    named = next((stage for stage in pipeline.stages if stage.name == head), None)
    if named is not None and rest and knows(named, rest):
        chosen, short = [named.name], setting.partition(".")[2]
    else:
        chosen, short = [stage.name for stage in pipeline.stages if _is_for(stage, key)], setting
    if not chosen:
        raise Misdescribed(_unknown(pipeline, named, key, rest))
    stages = [_set(stage, short) if stage.name in chosen else stage for stage in pipeline.stages]
    return pipeline.model_copy(update={"stages": tuple(stages)})


def knows(stage: Stage, key: str) -> bool:
    """Whether a setting of this name changes this stage."""
    return key in _OWN or (key in _settings(stage) and reads(stage.kind, key))


def _settings(stage: Stage) -> frozenset[str]:
    """The settings of a stage's experiment; without the newest overrides while those want others beside them."""
    try:
        return frozenset(stage.resolve().settings())
    except Misdescribed:
        if not stage.overrides:
            raise
        return _settings(stage.model_copy(update={"overrides": stage.overrides[:-1]}))


def _is_for(stage: Stage, key: str) -> bool:
    """Whether a setting without a stage's name is for this one."""
    if key.partition(".")[0] == "placement":
        return key in _OWN and KINDS[stage.kind].shared
    return knows(stage, key)


def _set(stage: Stage, setting: str) -> Stage:
    if setting.partition("=")[0].strip() in _OWN:
        try:
            return stage.override(setting)
        except Misdescribed as error:
            raise Misdescribed(f"stage {stage.name}: {error}") from error
    return stage.model_copy(update={"overrides": (*stage.overrides, setting)})


def _unknown(pipeline: Pipeline, named: Stage | None, key: str, rest: str) -> str:
    """Why a setting reaches nobody, with the nearest name that would."""
    short, stages = (rest, [named]) if named else (key, list(pipeline.stages))
    new = became(short)
    if new is not None:
        return f"unknown setting {key!r}: it became {new}"
    if any(short in _settings(stage) for stage in stages):
        who = f"a {named.kind} stage does not read {rest!r}" if named else "no stage of this pipeline reads it"
        return f"unknown setting {key!r}: {who}"
    known = {stage.name: _known(stage) for stage in stages}
    names = set[str]().union(*known.values())
    if not named:
        names |= {f"{name}.{setting}" for name, settings in known.items() for setting in settings}
    return f"unknown setting {key!r}: {nearest(short, names)}"


def _known(stage: Stage) -> frozenset[str]:
    """Every setting that changes this stage."""
    return frozenset(name for name in _settings(stage) if reads(stage.kind, name)) | _OWN
