"""Train: stage 2 (KD, CausalKD), stage 3 (Self-Forcing) and flow matching, on any number of processes."""

from collections.abc import Callable, Iterator

from fastgen_k8s import log
from fastgen_k8s.artifacts import Manifest, Writer, open_artifact
from fastgen_k8s.artifacts.facts import TrainingFacts
from fastgen_k8s.artifacts.metrics import merged_file, read_metrics, to_lines
from fastgen_k8s.config import digest
from fastgen_k8s.data.ahead import Ahead, Turn
from fastgen_k8s.methods.method import Method
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.load import recompute_activations
from fastgen_k8s.networks.pth import to_pth
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.stages.assembly import Data, build, check_inputs, moved, validation_samples
from fastgen_k8s.stages.stage import StageJob, student_origin
from fastgen_k8s.stages.student import made_for, rollout_facts
from fastgen_k8s.training.checkpoint import Checkpoints, resume
from fastgen_k8s.training.committed import committed, group_prefix
from fastgen_k8s.training.habits import Habits, Logbook
from fastgen_k8s.training.loop import shares, train
from fastgen_k8s.training.metrics import check_trackers
from fastgen_k8s.training.parallel import World, first, join, shard
from fastgen_k8s.training.progress import Reporter
from fastgen_k8s.training.state import TrainingState, start
from fastgen_k8s.training.stop import StopSignal


def check(job: StageJob) -> None:
    """Refuse inputs that are missing or do not fit the experiment, before any process starts."""
    check_trackers(job.execution.trackers)
    check_inputs(job)


def run(job: StageJob) -> Manifest:
    """Train from the newest checkpoint to the last step, and commit that as the artifact."""
    device, settings = local_device(), job.experiment.train
    with StopSignal() as stop, join(device, settings.precision, job.execution.collective_timeout) as world:
        shares(settings.global_batch, job.micro_batch, world)  # refuses a world that is too large
        data = Data(job)
        method = build(job, data, device)
        for network in (*method.roles.values(), *method.frozen):
            if settings.checkpointing:
                recompute_activations(network)
            shard(network, world, settings.precision)
        state = start(method, settings, job.experiment.optimisation)
        _train(job, world, stop, data, method, state)
    return open_artifact(job.work.output, KINDS[job.work.kind].makes).manifest


def _train(job: StageJob, world: World, stop: StopSignal, data: Data, method: Method, state: TrainingState) -> None:
    settings, writer = job.experiment.train, job.begin()
    prefix = first(world, lambda: group_prefix(writer.store))
    checkpoints = Checkpoints(writer.store, world, prefix, job.execution.keep, _facts(job, method).said())
    resumed = resume(writer.store, state, world)
    checkpoints.last = state.step if resumed else None
    logbook = _logbook(job, writer, prefix, state.step + 1, checkpoints) if world.rank == 0 else None
    if logbook is not None:
        begun = {"processes": world.size, "after": state.step, "resumed": resumed, "student_from": student_origin(job)}
        log.info("training", experiment=job.experiment.name, **begun)
    habits = Habits(
        job.execution, settings.steps, stop, checkpoints, logbook, _validation(job, writer, data, method, world)
    )
    try:
        with Ahead(data.batch, _order(job, state.step + 1, world)) as ahead:
            train(
                method,
                state,
                settings,
                lambda step, slots: moved(ahead.batch(step, slots), world.device),
                world=world,
                micro_batch=job.micro_batch,
                watch=habits,
            )
    finally:
        if logbook is not None:
            logbook.close()
    checkpoints.save(state)
    checkpoints.wait()
    first(world, lambda: _commit(writer, state, prefix, _facts(job, method)))


def _order(job: StageJob, first_step: int, world: World) -> Iterator[Turn]:
    """Every micro-batch of this process to the end of the training, in order."""
    settings = job.experiment.train
    parts = shares(settings.global_batch, job.micro_batch, world)
    return ((step, part.slots) for step in range(first_step, settings.steps + 1) for part in parts)


def _commit(writer: Writer, state: TrainingState, prefix: str, facts: TrainingFacts) -> None:
    """The checkpoint of the last step becomes the artifact, together with the metrics of all groups."""
    writer.add(committed(writer.store, state.step).files)
    writer.put(merged_file(prefix), to_lines(read_metrics(writer.store)))
    writer.commit({**facts.said(), "step": state.step})


def _facts(job: StageJob, method: Method) -> TrainingFacts:
    """What later stages rely on and compare."""
    settings = job.experiment.train
    made = {
        **made_for(job.experiment.model).said(),
        **rollout_facts(job.experiment.method),
        "method": job.experiment.method.name,
        "roles": list(method.roles),
        "steps": settings.steps,
        "seed": settings.seed,
        "ema": "student" in method.targets,
    }
    return TrainingFacts.parse(made, job.work.output)


def _logbook(job: StageJob, writer: Writer, prefix: str, first_step: int, checkpoints: Checkpoints) -> Logbook:
    steps = job.experiment.train.steps
    progress = Reporter(job.experiment.name, first_step, steps, lambda: checkpoints.last)
    work = digest([job.digest, job.work.output])  # the same work elsewhere is another run
    return Logbook(writer.store, prefix, job.execution, progress, work)


def _validation(
    job: StageJob, writer: Writer, data: Data, method: Method, world: World
) -> Callable[[int], None] | None:
    """Every process runs the same samples, for a sharded network needs them all; rank 0 keeps them."""
    every = job.experiment.train.validation.every
    if every == 0:
        return None
    samples = validation_samples(job.experiment, data, method, world.device)

    def validate(step: int) -> None:
        if step > 0 and step % every == 0:
            latent = samples()
            if world.rank == 0:
                writer.store.put(f"validation/{step:08d}.pth", to_pth(latent))

    return validate
