# pyright: basic
"""Codecs: pixels to latents and back, for the demo's linear one and for Wan's autoencoder."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import codecs
from fastgen_k8s.networks.autoencoder_kl_wan import WanCodec
from fastgen_k8s.networks.by_kind import load_codec
from fastgen_k8s.networks.patch_pca import PatchPcaCodec
from tests.networks import folders

PCA, WAN = codecs.PatchPca(kind="patch_pca"), codecs.AutoencoderWan(kind="autoencoder_kl_wan")


def linear(folder: Path, channels: int = 24) -> PatchPcaCodec:
    codec = load_codec(PCA, folders.codec(folder, channels))
    assert isinstance(codec, PatchPcaCodec)
    return codec


def wan(folder: Path) -> WanCodec:
    codec = load_codec(WAN, folders.vae(folder))
    assert isinstance(codec, WanCodec)
    return codec


def video(frames: int, height: int = 16, width: int = 24) -> torch.Tensor:
    return torch.rand(2, 3, frames, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_latents_that_are_the_data_need_no_codec() -> None:
    assert load_codec(codecs.NoCodec(kind="none"), None) is None


def test_a_linear_codec_of_full_rank_loses_nothing(tmp_path: Path) -> None:
    codec = linear(tmp_path, channels=192)
    torch.testing.assert_close(codec.decode(codec.encode(video(3))), video(3), rtol=0, atol=1e-5)


def test_a_linear_latent_is_the_scaled_projection_of_its_block(tmp_path: Path) -> None:
    codec = linear(tmp_path)
    block = video(3)[1, :, 2, 8:16, 16:24].reshape(192)
    wanted = (block - codec.mean) @ codec.basis.T / codec.scale
    torch.testing.assert_close(codec.encode(video(3))[1, :, 2, 1, 2], wanted)


def test_a_linear_codec_keeps_frames_and_divides_pixels(tmp_path: Path) -> None:
    assert linear(tmp_path).encode(video(3)).shape == (2, 24, 3, 2, 3)


def test_a_decoded_video_stays_within_its_range(tmp_path: Path) -> None:
    decoded = linear(tmp_path).decode(torch.full((1, 24, 1, 1, 1), 100.0))
    assert float(decoded.abs().max()) == 1.0


def test_a_video_of_broken_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"whole 8 x 8 blocks, found \[12, 24\] pixels"):
        linear(tmp_path).encode(video(1, height=12))


def test_latents_of_other_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="latents of 24 channels, found 16"):
        linear(tmp_path).decode(torch.zeros(1, 16, 1, 1, 1))


def test_a_codec_file_of_other_shapes_is_refused(tmp_path: Path) -> None:
    folders.codec(tmp_path)
    save_file({"basis": torch.zeros(4, 192), "scale": torch.zeros(4)}, tmp_path / "codec" / "codec.safetensors")
    with pytest.raises(BadInput, match=r"wanted basis \[C, 192\], mean \[192\] and scale \[C\]"):
        load_codec(PCA, tmp_path)


def test_a_codec_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    path = folders.codec(tmp_path) / "codec" / "codec.safetensors"
    save_file({name: value / 0 for name, value in load_file(path).items()}, path)
    with pytest.raises(BadInput, match="wanted finite numbers"):
        load_codec(PCA, tmp_path)


def test_wan_latents_are_normalised_as_its_pipeline_does(tmp_path: Path) -> None:
    codec = wan(tmp_path)
    plain = AutoencoderKLWan.from_pretrained(tmp_path / "vae", local_files_only=True)
    with torch.no_grad():
        (posterior,) = plain.encode(video(5, 16, 16), return_dict=False)
    raw = posterior.mode()
    mean, std = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    wanted = (raw - mean.view(1, 4, 1, 1, 1)) / std.view(1, 4, 1, 1, 1)
    torch.testing.assert_close(codec.encode(video(5, 16, 16)).cpu(), wanted)


def test_wan_decodes_what_its_autoencoder_decodes(tmp_path: Path) -> None:
    codec = wan(tmp_path)
    plain = AutoencoderKLWan.from_pretrained(tmp_path / "vae", local_files_only=True)
    latent = torch.randn(1, 4, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    with torch.no_grad():
        (wanted,) = plain.decode(latent * std.view(1, 4, 1, 1, 1) + mean.view(1, 4, 1, 1, 1), return_dict=False)
    torch.testing.assert_close(codec.decode(latent).cpu(), wanted)


def test_wan_refuses_latents_of_other_channels(tmp_path: Path) -> None:
    codec = wan(tmp_path)
    for channels in (1, 3):
        with pytest.raises(BadInput, match=f"wanted latents of 4 channels, found {channels}"):
            codec.decode(torch.zeros(1, channels, 2, 2, 2))


def test_wan_makes_one_latent_frame_of_four(tmp_path: Path) -> None:
    codec = wan(tmp_path)
    latent = codec.encode(video(5))
    assert latent.shape == (2, 4, 2, 2, 3)
    assert codec.decode(latent).shape == (2, 3, 5, 16, 24)


def test_an_autoencoder_with_torn_weights_is_refused(tmp_path: Path) -> None:
    path = folders.vae(tmp_path) / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="wanted a whole safetensors file"):
        load_codec(WAN, tmp_path)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((4, 16, 16), r"wanted a video of 1 \+ 4 k frames, found 4"),
        ((6, 16, 16), r"wanted a video of 1 \+ 4 k frames, found 6"),
        ((8, 16, 16), r"wanted a video of 1 \+ 4 k frames, found 8"),
        ((5, 12, 16), r"wanted a video of whole 8 x 8 blocks, found \[12, 16\] pixels"),
        ((5, 16, 20), r"wanted a video of whole 8 x 8 blocks, found \[16, 20\] pixels"),
    ],
)
def test_a_video_of_which_wan_would_drop_a_part_is_refused(
    tmp_path: Path, shape: tuple[int, int, int], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        wan(tmp_path).encode(video(*shape))


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_a_video_of_which_wan_drops_nothing_comes_back_whole(tmp_path: Path, frames: int) -> None:
    codec = wan(tmp_path)
    assert codec.decode(codec.encode(video(frames, 16, 16))).shape == (2, 3, frames, 16, 16)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("latents_mean", [0.1, 0.2, 0.3], r"config\.json: wanted 4 numbers in latents_mean, as z_dim says, found 3"),
        ("latents_std", [1.0] * 16, r"config\.json: wanted 4 numbers in latents_std, as z_dim says, found 16"),
        ("latents_mean", None, r"wanted latents_mean as a list of numbers, found None"),
        ("latents_std", [1.0, "2", 1.0, 1.0], r"wanted latents_std as a list of numbers, found "),
        ("latents_std", [1.0, 0.0, 1.0, 1.0], r"wanted latents_std with which a latent can be normalised, found "),
    ],
)
def test_statistics_that_are_not_one_number_a_channel_are_refused_at_loading(
    tmp_path: Path, name: str, value: object, said: str
) -> None:
    path = folders.vae(tmp_path) / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(BadInput, match=said):
        load_codec(WAN, tmp_path)
