"""Tasks with exact answers: Gaussian rotation (A) and blobs on a ring (B), small enough for a laptop core."""

from fastgen_k8s.experiments.schema import (
    DistributionMatching,
    Ema,
    Experiment,
    GaussianRotation,
    Labels,
    Model,
    NoCodec,
    Optimisation,
    Optimiser,
    Pairs,
    Regression,
    RingBlobs,
    Train,
    Wan,
)

SMALL = Wan(
    kind="wan",
    num_layers=2,
    num_attention_heads=2,
    attention_head_dim=16,
    ffn_dim=128,
    text_dim=2,
    freq_dim=64,
    patch_size=(1, 1, 1),
    rope_max_seq_len=64,
)

GAUSSIAN = Model(
    network=SMALL,
    teacher=GaussianRotation(kind="gaussian_rotation"),
    text=Labels(kind="labels", labels=("turning left", "turning right")),
    codec=NoCodec(kind="none"),
    latent=(2, 6, 1, 1),
    chunk_size=2,
)

RING = GAUSSIAN.override("latent=[16, 6, 1, 1]").model_copy(
    update={
        "teacher": RingBlobs(kind="ring_blobs"),
        "text": Labels(kind="labels", labels=("moving right", "moving left")),
        "network": SMALL.override("attention_head_dim=32"),
    }
)

STUDENT = Optimiser(lr=2e-3, betas=(0.9, 0.999), weight_decay=0.0, clip=1.0, decay="cosine")
SELF_FORCING = Optimisation(
    student=Optimiser(lr=1e-4, betas=(0.0, 0.999), weight_decay=0.0, clip=1.0),
    fake_score=Optimiser(lr=1e-3, betas=(0.0, 0.999), weight_decay=0.0, clip=1.0),
)

gaussian_kd = Experiment(
    name="closed_form/gaussian_kd",
    model=GAUSSIAN,
    pairs=Pairs(guidance=1.0, samples_per_prompt=2048, block_size=256),
    method=Regression(kind="regression", pick="chunks"),
    optimisation=Optimisation(student=STUDENT),
    train=Train(steps=2000, global_batch=128),
)

gaussian_sf = gaussian_kd.model_copy(
    update={
        "name": "closed_form/gaussian_sf",
        "method": DistributionMatching(
            kind="distribution_matching",
            guidance=1.0,
            student_update_freq=6,
            critic_warmup=150,
            exit_sampling="last",
            times=(0.02, 0.98),
        ),
        "optimisation": SELF_FORCING,
        "train": Train(steps=1200, global_batch=128, ema=Ema(decay=0.95, start=0)),
    }
)

EXPERIMENTS = (gaussian_kd, gaussian_sf)
