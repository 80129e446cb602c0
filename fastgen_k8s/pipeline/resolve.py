"""What a pipeline's stages come to: the digest, the place and the work of each, known before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastgen_k8s.artifacts.single import input_digest
from fastgen_k8s.errors import BadInput
from fastgen_k8s.pipeline.spec import Pipeline, Stage, is_uri
from fastgen_k8s.pipeline.work import Work, work_digest


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
    content: Callable[[str], str] = input_digest,
    frozen: Mapping[str, str] | None = None,
) -> dict[str, Resolved]:
    """Every stage by name; an earlier stage counts by its work's digest, a URI by what `content` finds there.

    Digests that are `frozen` are taken as they are, whatever they would come to now.
    """
    resolved: dict[str, Resolved] = {}
    for stage in pipeline.stages:
        outside = {name: source for name, source in stage.inputs.items() if is_uri(source)}
        inside = {name: resolved[source] for name, source in pipeline.inputs_of(stage).items()}
        digest = (frozen or {}).get(stage.name)
        if digest is None:
            digests = {name: _content(content, stage, name, uri) for name, uri in outside.items()}
            digests |= {name: earlier.digest for name, earlier in inside.items()}
            digest = work_digest(stage.kind, stage.resolve(), digests)
        places = outside | {name: earlier.output for name, earlier in inside.items()}
        work = stage.work(place(root, stage.name, digest), places)
        resolved[stage.name] = Resolved(stage, digest, work.model_copy(update={"expect_digest": digest}))
    return resolved


def _content(content: Callable[[str], str], stage: Stage, name: str, uri: str) -> str:
    try:
        return content(uri)
    except BadInput as error:
        raise BadInput(f"stage {stage.name}, input {name}: {error}") from error


def place(root: str, stage: str, digest: str) -> str:
    """Where a pipeline's stage writes: a changed setting changes it, so nothing is ever overwritten."""
    return f"{root}/{stage}/{digest[:16]}"


def missing(pipeline: Pipeline, chosen: frozenset[str], whole: Callable[[str], bool]) -> list[str]:
    """The stages that are not chosen, that a chosen one waits for, and whose artifact is not there."""
    needed = [name for stage in pipeline.stages if stage.name in chosen for name in pipeline.before(stage)]
    return [name for name in dict.fromkeys(needed) if name not in chosen and not whole(name)]
