"""Codecs between video and latents: the facts of each, one class a kind."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fastgen_k8s.experiments.by_kind import ByKind


class AutoencoderWan(ByKind):
    """The teacher folder's `vae/`: diffusers' `AutoencoderKLWan`."""

    parts: ClassVar = ("vae",)

    kind: Literal["autoencoder_kl_wan"]


class PatchPca(ByKind):
    """The teacher folder's `codec/`: a fixed linear map between blocks of pixels and channels."""

    parts: ClassVar = ("codec",)

    kind: Literal["patch_pca"]


class NoCodec(ByKind):
    """Latents are the data; there is no video."""

    kind: Literal["none"]


Codec = Annotated[
    AutoencoderWan  # of Wan and Cosmos
    | PatchPca  # of tiny teachers
    | NoCodec,
    Field(discriminator="kind"),
]
