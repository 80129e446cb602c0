"""What a job is made with that no digest knows of, and how that differs from what its pipeline says now. Pure.

An image that the controller gives is no part of it: an upgrade makes no job anew.
"""

from pydantic import ValidationError

from fastgen_k8s.config import Config
from fastgen_k8s.pipeline.spec import Pipeline, Stage
from fastgen_k8s.pipeline.work import Placement


class Form(Config):
    """Where a job runs, and what."""

    image: str | None = None  # None: the controller's
    backend: str = "jobset"
    queue: str | None = None
    placement: Placement = Placement()

    def text(self) -> str:
        """As a job carries it: what a later version adds changes no job of an earlier one."""
        return self.model_dump_json(exclude_defaults=True)

    def parts(self) -> dict[str, object]:
        """Every part by its name in a pipeline."""
        said = self.model_dump(mode="json", exclude={"placement"})
        return said | {f"placement.{name}": value for name, value in self.placement.model_dump(mode="json").items()}


def form_of(pipeline: Pipeline, stage: Stage) -> Form:
    """What a job of the stage is made with now."""
    return Form(
        image=stage.image or pipeline.image, backend=pipeline.backend, queue=pipeline.queue, placement=stage.placement
    )


def read_form(text: str | None) -> Form | None:
    """What a job says that it was made with; None where it says nothing that this version knows."""
    try:
        return None if text is None else Form.model_validate_json(text)
    except ValidationError:
        return None


def difference(then: Form | None, now: Form) -> str | None:
    """Every part that is not as it is wanted; None when all are, or nobody can tell."""
    if then is None or then == now:
        return None
    was, wanted = then.parts(), now.parts()
    return ", ".join(
        f"{name} {_shown(was[name])} instead of {_shown(wanted[name])}" for name in wanted if was[name] != wanted[name]
    )


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
