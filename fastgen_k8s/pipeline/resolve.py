"""What a pipeline's stages come to: the digest, the place and the work of each, known before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fastgen_k8s.artifacts.address import expanded
from fastgen_k8s.artifacts.single import Input, find_input
from fastgen_k8s.errors import BadInput
from fastgen_k8s.pipeline.reading import as_read
from fastgen_k8s.pipeline.spec import Pipeline, Stage, is_uri
from fastgen_k8s.pipeline.work import Work, work_digest


@dataclass(frozen=True)
class Frozen:
    """What a stage came to when its generation was accepted."""

    digest: str
    inputs: Mapping[str, str]  # sha256 of those inputs that no stage makes; none where it was not written down


@dataclass(frozen=True)
class Resolved:
    """A stage with its digest, its place and its work; it stays so for one generation of the pipeline."""

    stage: Stage
    digest: str
    work: Work

    @property
    def output(self) -> str:
        """Where its artifact goes."""
        return self.work.output


def resolve(
    pipeline: Pipeline,
    root: str,
    content: Callable[[str], Input] = find_input,
    frozen: Mapping[str, Frozen] | None = None,
) -> dict[str, Resolved]:
    """Every stage by name; an earlier stage counts by its work's digest, a URI by what `content` finds there.

    What is `frozen` is taken as it is, whatever it would come to now.
    """
    resolved: dict[str, Resolved] = {}
    for stage in pipeline.stages:
        outside = {name: expanded(source) for name, source in stage.inputs.items() if is_uri(source)}
        inside = {name: resolved[source] for name, source in pipeline.inputs_of(stage).items()}
        known = (frozen or {}).get(stage.name)
        if known is None:
            seen = {name: _content(content, stage, name, uri) for name, uri in outside.items()}
            digests = {name: one.digest for name, one in seen.items()}
            digests |= {name: earlier.digest for name, earlier in inside.items()}
            sha256s = {name: one.sha256 for name, one in seen.items()}
            known = Frozen(work_digest(stage.kind, stage.resolve(), digests), sha256s)
        places = outside | {name: earlier.output for name, earlier in inside.items()}
        work = stage.work(place(root, stage.name, known.digest), places)
        expected = {"expect_digest": known.digest, "expect_inputs": dict(known.inputs)}
        resolved[stage.name] = Resolved(stage, known.digest, work.model_copy(update=expected))
    return resolved


def bound(pipeline: Pipeline, stage: Resolved, made: Mapping[str, str | None]) -> Resolved:
    """A stage that takes from earlier ones what was seen of them: `made` has the sha256 of each one's artifact.json."""
    earlier = {name: made.get(source) for name, source in pipeline.inputs_of(stage.stage).items()}
    seen = {name: sha256 for name, sha256 in earlier.items() if sha256 is not None}
    return replace(stage, work=stage.work.model_copy(update={"expect_inputs": {**stage.work.expect_inputs, **seen}}))


def _content(content: Callable[[str], Input], stage: Stage, name: str, uri: str) -> Input:
    try:
        return as_read(stage.kind, stage.resolve(), name, uri, content(uri))
    except BadInput as error:
        raise BadInput(f"stage {stage.name}, input {name}: {error}") from error


def place(root: str, stage: str, digest: str) -> str:
    """Where a pipeline's stage writes: a changed setting changes it, so nothing is ever overwritten."""
    return f"{root}/{stage}/{digest[:16]}"


def missing(pipeline: Pipeline, chosen: frozenset[str], whole: Callable[[str], bool]) -> list[str]:
    """The stages that are not chosen, that a chosen one waits for, and whose artifact is not there."""
    needed = [name for stage in pipeline.stages if stage.name in chosen for name in pipeline.before(stage)]
    return [name for name in dict.fromkeys(needed) if name not in chosen and not whole(name)]
