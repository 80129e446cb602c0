"""A stage imports what its work needs: diffusers and transformers take longer than most stages' work."""

from pathlib import Path

import pytest

from fastgen_k8s.agent.node import preloaded
from fastgen_k8s.pipeline.kinds import KINDS
from tests.conftest import job_of
from tests.report_artifacts import put_pairs
from tests.stages.imports import imported, imported_by

WAN = "diffusers.models.transformers.transformer_wan"


def test_the_modules_of_stages_import_none_of_them() -> None:
    assert imported("\n".join(f"import fastgen_k8s.stages.{kind}" for kind in KINDS)) == []


def test_an_agent_imports_no_torch() -> None:
    assert imported("import fastgen_k8s.agent.node, sys; assert 'torch' not in sys.modules") == []


def test_prompts_that_are_labels_need_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    assert (
        imported_by(job_of("encode", "closed_form/gaussian_kd", tmp_path / "c", prompts=tmp_path / "prompts.txt")) == []
    )


def test_a_report_needs_none_of_them(tmp_path: Path) -> None:
    pairs = put_pairs(tmp_path / "pairs", "0" * 64)
    assert imported_by(job_of("report", "moving_shapes/sf", tmp_path / "r", pairs=pairs)) == []


@pytest.mark.parametrize(("kind", "large"), [("encode", ()), ("report", ()), ("sample", (WAN,)), ("train", (WAN,))])
def test_what_all_workers_of_a_work_need_is_imported_once(tmp_path: Path, kind: str, large: tuple[str, ...]) -> None:
    job = job_of(kind, "closed_form/gaussian_kd", tmp_path / "out")
    assert preloaded(job) == (f"fastgen_k8s.stages.{kind}", "fastgen_k8s.agent.worker", *large)
