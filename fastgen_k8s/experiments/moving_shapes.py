"""The demo: a tiny real Wan teacher of moving shapes, and the students distilled from it."""

from fastgen_k8s.experiments.codecs import PatchPca
from fastgen_k8s.experiments.encoders import Umt5
from fastgen_k8s.experiments.families.wan import Wan
from fastgen_k8s.experiments.method import DistributionMatchingSettings, FlowMatchingSettings, RegressionSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Ema, Experiment, Optimisation, Optimiser, Pairs, Report, Sample, Train

SHAPES = Model(
    network=Wan(
        kind="wan",
        num_layers=4,
        num_attention_heads=4,
        attention_head_dim=24,
        ffn_dim=192,
        text_dim=32,
        freq_dim=64,
        patch_size=(1, 1, 1),
        rope_max_seq_len=64,
    ),
    text=Umt5(kind="umt5", length=8),
    codec=PatchPca(kind="patch_pca"),
    latent=(24, 9, 3, 3),
    fps=8,
    shift=4.0,
)

PAGE = Report(
    metric="examples.moving_shapes.metric:measure",
    shares=("colour", "shape", "direction", "all"),
    titles=(
        ("teacher-samples", "Teacher"),
        ("untrained", "Untrained student"),
        ("kd-samples", "CausalKD student"),
        ("sf-samples", "Self-Forcing student"),
        ("kd", "CausalKD"),
        ("sf", "Self-Forcing"),
    ),
    title="Moving shapes: a four-step causal student beside its teacher",
    note=(
        "A teacher that makes whole clips is distilled into a causal student that makes them three frames at a time, "
        "in four steps each. CausalKD does nearly all of it; Self-Forcing sharpens the edges and narrows the spread of "
        "positions, at about the same distance to true clips. Each clip is compared with the nearest one that could "
        "have been drawn: what that one shows, the distance to it, how sharp the edges are against its own (through "
        "the codec alone about .73), and how much the clips of one prompt differ in place (1: as drawn ones)."
    ),
)

# Trained by examples/moving_shapes/train_teacher.py, which draws the clips; the pipeline starts from its folder.
teacher = Experiment(
    name="moving_shapes/teacher",
    model=SHAPES.model_copy(update={"chunk_size": None}),
    method=FlowMatchingSettings(kind="flow_matching", drop_prompt=0.15),
    optimisation=Optimisation(
        student=Optimiser(lr=3e-3, betas=(0.9, 0.97), clip=1.0, warmup=100, decay="cosine", hold=0.4)
    ),
    train=Train(steps=3500, global_batch=32, ema=Ema(decay=0.999, start=0, ramp=10)),
)

kd_causal = Experiment(
    name="moving_shapes/kd_causal",
    model=SHAPES,
    pairs=Pairs(samples_per_prompt=4, block_size=16),
    method=RegressionSettings(kind="regression", pick="chunks"),
    optimisation=Optimisation(student=Optimiser(lr=1e-3, betas=(0.9, 0.99), clip=1.0, warmup=20, decay="cosine")),
    train=Train(steps=150, global_batch=32),
    sample=Sample(samples_per_prompt=8, batch=48),
    report=PAGE,
)

sf = kd_causal.model_copy(
    update={
        "name": "moving_shapes/sf",
        "method": DistributionMatchingSettings(kind="distribution_matching", guidance=2.0),
        "optimisation": Optimisation(
            student=Optimiser(lr=1e-4, betas=(0.0, 0.99), clip=1.0),
            fake_score=Optimiser(lr=5e-4, betas=(0.0, 0.99), clip=1.0),
        ),
        "train": Train(steps=200, global_batch=16, ema=Ema(decay=0.9, start=0, ramp=3)),
    }
)

EXPERIMENTS = (teacher, kd_causal, sf)
