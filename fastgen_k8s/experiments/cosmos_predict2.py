"""Cosmos-Predict2.5-2B at 480p, text to world: the published CausalKD and Self-Forcing runs, and DMD2."""

from fastgen_k8s.experiments.codecs import AutoencoderWan
from fastgen_k8s.experiments.encoders import Qwen25Vl
from fastgen_k8s.experiments.families.cosmos import Cosmos
from fastgen_k8s.experiments.method import DistributionMatchingSettings, Gan, RegressionSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import ConditionsSettings, Experiment, Optimisation, Optimiser, Pairs, Sample, Train

COSMOS_2B = Model(
    network=Cosmos(kind="cosmos"),
    text=Qwen25Vl(kind="qwen2_5_vl"),
    codec=AutoencoderWan(kind="autoencoder_kl_wan"),
    latent=(16, 24, 60, 104),
    fps=16,
)

kd_causal = Experiment(
    name="cosmos_predict2/kd_causal",
    model=COSMOS_2B,
    conditions=ConditionsSettings(guardrail=True),
    pairs=Pairs(guidance=3.0, block_size=1, dtype="float16"),
    method=RegressionSettings(kind="regression", pick="chunks", clean_chunks="count"),
    optimisation=Optimisation(student=Optimiser(lr=1e-5)),
    train=Train(steps=10000, global_batch=16, precision="bfloat16", checkpointing=True),
    sample=Sample(batch=1),  # the keys and values of a whole clip take 17 GB
)

_SF = Optimiser(lr=1e-5)
_MATCHING = DistributionMatchingSettings(kind="distribution_matching", guidance=3.0, critic_loss="x0", renoise="ode")
_BLOCKS = (13, 20, 27)

sf = kd_causal.model_copy(
    update={
        "name": "cosmos_predict2/sf",
        "method": _MATCHING.model_copy(update={"gan": Gan(weight=0.003, blocks=_BLOCKS)}),
        "optimisation": Optimisation(student=_SF, fake_score=_SF, discriminator=_SF),
        "train": kd_causal.train.override("global_batch=8"),
        "sample": kd_causal.sample.override("renoise=ode"),
    }
)

dmd2 = sf.model_copy(
    update={
        "name": "cosmos_predict2/dmd2",
        "model": COSMOS_2B.model_copy(update={"chunk_size": None}),
        "method": _MATCHING.model_copy(update={"gan": Gan(weight=0.03, blocks=_BLOCKS)}),
    }
)

EXPERIMENTS = (kd_causal, sf, dmd2)
