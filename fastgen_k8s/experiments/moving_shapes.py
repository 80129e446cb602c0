"""The demo: a tiny real Wan teacher of moving shapes, and the students distilled from it."""

from fastgen_k8s.experiments.schema import (
    DistributionMatching,
    Ema,
    Experiment,
    Model,
    Optimisation,
    Optimiser,
    Pairs,
    PatchPca,
    Regression,
    Train,
    Umt5,
    Wan,
)

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

kd_causal = Experiment(
    name="moving_shapes/kd_causal",
    model=SHAPES,
    pairs=Pairs(samples_per_prompt=4, block_size=16),
    method=Regression(kind="regression", pick="chunks"),
    optimisation=Optimisation(student=Optimiser(lr=1e-3, betas=(0.9, 0.99), clip=1.0, warmup=20, decay="cosine")),
    train=Train(steps=150, global_batch=32),
)

sf = kd_causal.model_copy(
    update={
        "name": "moving_shapes/sf",
        "method": DistributionMatching(kind="distribution_matching", guidance=2.0),
        "optimisation": Optimisation(
            student=Optimiser(lr=1e-4, betas=(0.0, 0.99), clip=1.0),
            fake_score=Optimiser(lr=5e-4, betas=(0.0, 0.99), clip=1.0),
        ),
        "train": Train(steps=200, global_batch=16, ema=Ema(decay=0.9, start=0, ramp=3)),
    }
)

EXPERIMENTS = (kd_causal, sf)
