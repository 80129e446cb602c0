"""What is said where a teacher is guided without a negative prompt."""

from fastgen_k8s import log
from fastgen_k8s.artifacts.facts import ConditionsFacts
from fastgen_k8s.stages.stage import StageJob


def say_if_none(job: StageJob, guidance: float) -> None:
    """Warn where a teacher of a published family is guided against the empty prompt: their own runs have another.

    A closed list of labels has no negative prompt, and without guidance nothing reads one.
    """
    model = job.experiment.model
    if not model.parts or not model.text.parts or guidance == 1.0:
        return
    if job.input("conditions").facts(ConditionsFacts).negative_prompt == "":
        log.warning(
            "the teacher is guided without a negative prompt",
            guidance=guidance,
            conditions=job.work.inputs["conditions"],
            see="docs/key-map.md",
        )
