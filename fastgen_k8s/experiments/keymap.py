"""The names that other distillation programs use, and what each became here."""

from collections.abc import Collection, Iterable, Mapping

from fastgen_k8s.errors import Misdescribed

BECAME: Mapping[str, str] = {
    "student_sample_steps": "the length of model.t_list (its times above 0)",
    "sample_t_cfg.t_list": "model.t_list",
    "sample_t_cfg.min_t": "method.times (of Self-Forcing: the range of t)",
    "sample_t_cfg.max_t": "model.max_t",
    "sample_t_cfg.shift": "model.shift",
    "input_shape": "model.latent",
    "net.chunk_size": "model.chunk_size",
    "net": "model.network",
    "precision": "train.precision",
    "student_sample_type": "method.renoise while training, sample.renoise afterwards",
    "context_noise": "method.context_noise while training, sample.context_noise afterwards",
    "student_update_freq": "method.student_update_freq",
    "fake_score_pred_type": "method.critic_loss",
    "gan_loss_weight_gen": "method.gan.weight",
    "guidance_scale": "pairs.guidance for the teacher's pairs, method.guidance for Self-Forcing",
    "num_steps": "pairs.solver_steps",
    "net_optimizer.lr": "optimisation.student.lr",
    "fake_score_optimizer.lr": "optimisation.fake_score.lr",
    "discriminator_optimizer.lr": "optimisation.discriminator.lr",
    "net_optimizer.weight_decay": "optimisation.student.weight_decay",
    "pretrained_model_path": "the input `teacher` (a `model` artifact: fastgen-k8s models add DIR --to URI)",
    "pretrained_student_net_path": "the input `student` (what the bridge writes)",
    "prompt_file": "the input `prompts` of the encode stage",
    "output_dir": "the stage's output",
    "max_iter": "train.steps",
    "save_ckpt_iter": "execution.save_every (flag --save-every)",
    "logging_iter": "execution.log_every (flag --log-every)",
    "validation_iter": "train.validation.every",
    "seed": "train.seed, pairs.seed or sample.seed",
    "grad_accum_rounds": "placement.micro_batch (accumulation follows from train.global_batch)",
    "ddp": "nothing: FSDP2 is the only data parallelism, and one process runs unsharded",
    "fsdp": "nothing: more than one process is always sharded with FSDP2",
    "dataloader_train.data_dir": "the input `pairs`",
    "dataloader_train.batch_size": "train.global_batch (over all processes) and placement.micro_batch (per process)",
    "nproc_per_node": "placement.processes (flag --processes)",
    "nnodes": "placement.nodes (flag --nodes)",
}
"""Seed's name, without its section (`model.`, `trainer.`, `config.`) -> our name."""

_SECTIONS = ("config.", "model.", "trainer.")


def became(key: str) -> str | None:
    """What the seed's setting of that name became; None for a name that the seed does not have."""
    for _ in range(2):  # config.model.guidance_scale
        if key in BECAME:
            return BECAME[key]
        key = next((key.removeprefix(section) for section in _SECTIONS if key.startswith(section)), key)
    return BECAME.get(key)


def refuse_seed_names(settings: Iterable[str], known: Collection[str]) -> None:
    """Raise Misdescribed for the first `key=value` whose key is the seed's and not one of ours."""
    for setting in settings:
        key = setting.partition("=")[0].strip()
        new = None if key in known else became(key)
        if new is not None:
            raise Misdescribed(f"unknown setting {key!r}: it became {new}")
