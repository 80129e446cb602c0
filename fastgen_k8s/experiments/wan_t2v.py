"""Wan2.1-T2V-1.3B at 480p: the published KD, KD along a path, CausalKD and Self-Forcing runs."""

from fastgen_k8s.experiments.codecs import AutoencoderWan
from fastgen_k8s.experiments.encoders import Umt5
from fastgen_k8s.experiments.families.wan import Wan
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Gan, RegressionSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Ema, Experiment, Optimisation, Optimiser, Pairs, Sample, Train

ONE_STEP = (0.999, 0.0)

# The shift stays at 5, though Wan's own sampler takes 3 at 480p: t_list lies on the grid of 5 (3/4, 1/2, 1/4 shifted).
WAN_1_3B = Model(
    network=Wan(kind="wan"),
    text=Umt5(kind="umt5"),
    codec=AutoencoderWan(kind="autoencoder_kl_wan"),
    latent=(16, 21, 60, 104),
    fps=16,
)

kd = Experiment(
    name="wan_t2v/kd",
    model=WAN_1_3B.model_copy(update={"t_list": ONE_STEP, "chunk_size": None}),
    pairs=Pairs(guidance=5.0, block_size=1, dtype="float16"),
    method=RegressionSettings(kind="regression", pick="start"),
    optimisation=Optimisation(student=Optimiser(lr=7e-5)),
    train=Train(steps=6000, global_batch=16, precision="bfloat16", checkpointing=True),
    sample=Sample(batch=1),  # the keys and values of a whole clip take 12 GB
)

kd_path = kd.model_copy(
    update={
        "name": "wan_t2v/kd_path",
        "model": WAN_1_3B.model_copy(update={"chunk_size": None}),
        "method": RegressionSettings(kind="regression", pick="path"),
        "train": kd.train.override("steps=10000"),
    }
)

kd_causal = kd_path.model_copy(
    update={
        "name": "wan_t2v/kd_causal",
        "model": WAN_1_3B,
        "method": RegressionSettings(kind="regression", pick="chunks", clean_chunks="count"),
        "optimisation": Optimisation(student=Optimiser(lr=1e-5)),
    }
)

_SF = Optimiser(lr=5e-6, betas=(0.0, 0.999))
sf = kd_causal.model_copy(
    update={
        "name": "wan_t2v/sf",
        "method": DistributionMatchingSettings(
            kind="distribution_matching",
            guidance=5.0,
            critic_loss="x0",
            gan=Gan(weight=0.003, blocks=(15, 22, 29)),
        ),
        "optimisation": Optimisation(student=_SF, fake_score=_SF, discriminator=_SF),
        "train": kd.train.override("steps=5000", "global_batch=8").model_copy(
            update={"ema": Ema(decay=0.99, start=200)}
        ),
    }
)

EXPERIMENTS = (kd, kd_path, kd_causal, sf)
