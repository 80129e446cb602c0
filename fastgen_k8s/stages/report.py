"""Report: one page that shows clips side by side, what the metric says of them, curves, times and provenance."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version

from fastgen_k8s.artifacts import Artifact, FileEntry, Manifest, read
from fastgen_k8s.artifacts.facts import SamplesFacts
from fastgen_k8s.artifacts.metrics import read_metrics
from fastgen_k8s.data.conditions import Conditions
from fastgen_k8s.data.pairs import PairSet
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.schema import Experiment, Pairs
from fastgen_k8s.report.clips import Clips, read_clips, spread_out
from fastgen_k8s.report.curves import curves
from fastgen_k8s.report.history import stage_times
from fastgen_k8s.report.metric import MetricRow, load_metric, measured
from fastgen_k8s.report.page import Column, Curve, Page, render, summary_in
from fastgen_k8s.report.speed import BATCHES, Speed, speeds
from fastgen_k8s.stages.stage import StageJob

CLIPS = ("pairs", "samples")
PACKAGES = ("fastgen-k8s", "torch", "diffusers", "transformers", "numpy")


def check(job: StageJob) -> None:
    """Refuse a metric that is not there, inputs of other kinds, and a report of nothing."""
    if job.experiment.report.metric is not None:
        load_metric(job.experiment.report.metric)
    if not any(artifact.manifest.kind in (*CLIPS, "training") for artifact in _inputs(job).values()):
        raise BadInput(
            f"a report wants pairs, samples or training runs to show, found {', '.join(job.inputs) or 'none'}"
        )


def run(job: StageJob) -> Manifest:
    """Measure, draw, and write `index.html` and `summary.json` with the same numbers.

    Times differ from one writer to the next, so the first page put here counts, and the summary is the one inside it.
    """
    page = _page(job)
    writer = job.begin()
    html = render(page, json.dumps(summary(page), indent=1)).encode()
    if not writer.store.put_new("index.html", html):
        html = read(writer.store, "index.html")
    writer.add({"index.html": FileEntry.of(html)})
    writer.put("summary.json", (summary_in(html.decode()) + "\n").encode())
    return writer.commit({f"{row.name}.{name}": value for row in page.rows for name, value in row.values.items()})


def summary(page: Page) -> dict[str, object]:
    """The page's numbers as plain data."""
    return {
        "metrics": {row.name: {"clips": row.clips, **row.values} for row in page.rows},
        "standard_errors": {row.name: dict(row.errors) for row in page.rows},
        "seconds_per_clip": [
            {"batch": speed.batch, "teacher": speed.teacher, "student": speed.student, "ratio": speed.ratio}
            for speed in page.speeds
        ],
        "stage_seconds": dict(page.times),
        "inputs": {name: {"kind": source.kind, "digest": source.digest} for name, source in page.sources.items()},
        "seeds": {name: source.facts["seed"] for name, source in page.sources.items() if "seed" in source.facts},
        "versions": dict(page.versions),
    }


def _inputs(job: StageJob) -> dict[str, Artifact]:
    """Every input, those that have a title first."""
    uris = job.work.inputs
    names = [name for name, _ in job.experiment.report.titles if name in uris]
    return {name: job.input(name) for name in dict.fromkeys([*names, *uris])}


def _page(job: StageJob) -> Page:
    experiment, inputs = job.experiment, _inputs(job)
    sets = [read_clips(name, artifact) for name, artifact in inputs.items() if artifact.manifest.kind in CLIPS]
    shown = spread_out(sets[0].prompts, experiment.report.videos) if sets else []
    return Page(
        title=experiment.report.title or experiment.name,
        titles=dict(experiment.report.titles),
        note=experiment.report.note,
        prompts=shown,
        columns=[column for clips in sets if (column := _column(clips, shown, experiment)).videos],
        rows=_rows(sets, experiment),
        speeds=_speeds(job, inputs),
        curves=_curves(job, inputs),
        times=stage_times(job.work.output),
        sources={name: artifact.manifest for name, artifact in inputs.items()},
        versions={"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    )


def _rows(sets: Sequence[Clips], experiment: Experiment) -> list[MetricRow]:
    if experiment.report.metric is None:
        return []
    metric = load_metric(experiment.report.metric)
    return [measured(metric, experiment, clips) for clips in sets]


def _column(clips: Clips, prompts: Sequence[str], experiment: Experiment) -> Column:
    firsts = {prompt: clips.first(prompt) for prompt in prompts}
    videos = {prompt: clips.video(number) for prompt, number in firsts.items() if number is not None}
    return Column(
        _title(experiment, clips.name), _how(clips.artifact, experiment), {p: v for p, v in videos.items() if v}
    )


def _how(artifact: Artifact, experiment: Experiment) -> str:
    """In a few words, how clips were made."""
    if artifact.manifest.kind == "pairs":
        index = PairSet(artifact).index
        return f"{index.solver_steps} steps, guidance {index.guidance:g}, seed {index.seed}"
    model = experiment.model
    chunks = "whole clips" if model.chunk_size is None else f"{model.chunk_size} frames at a time"
    return f"{model.steps} steps, {chunks}, seed {artifact.facts(SamplesFacts).seed}"


def _speeds(job: StageJob, inputs: dict[str, Artifact]) -> list[Speed]:
    """Measured where the report is given the teacher's folder, its conditions and its pairs."""
    kinds = {artifact.manifest.kind: artifact for artifact in inputs.values()}
    if not {"model", "conditions", "pairs"} <= kinds.keys():
        return []
    index, conditions = PairSet(kinds["pairs"]).index, Conditions(kinds["conditions"])
    made = {"solver": index.solver, "solver_steps": index.solver_steps, "guidance": index.guidance}
    pairs = Pairs.parse({**made, "teacher": index.teacher}, "pairs")
    condition = conditions.batch([number % len(conditions) for number in range(max(BATCHES))])
    return speeds(job.experiment.model, pairs, condition, conditions.negative, kinds["model"].folder())


def _curves(job: StageJob, inputs: dict[str, Artifact]) -> list[Curve]:
    runs = [(name, artifact) for name, artifact in inputs.items() if artifact.manifest.kind == "training"]
    return [Curve(_title(job.experiment, name), curves(name, read_metrics(artifact.store))) for name, artifact in runs]


def _title(experiment: Experiment, name: str) -> str:
    return dict(experiment.report.titles).get(name, name)
