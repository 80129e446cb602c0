# pyright: basic
"""diffusers' video transformers as networks of this package: bidirectional or block-causal, whatever the family."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastgen_k8s.diffusion.chunks import chunk_sizes
from fastgen_k8s.diffusion.draws import seeded
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.attention_processors import CrossAttention, SelfAttention
from fastgen_k8s.networks.causal_attention import Pairing, Sight, look_at_clip, look_back, sight_for_blocks
from fastgen_k8s.networks.features import only_blocks
from fastgen_k8s.networks.folder import UNBUILT, component, fill, first_line, read_component, read_config
from fastgen_k8s.networks.network import Condition, KVCache, Network, Output


class VideoFamily:
    """`WeightedFamily` of one class of transformers: first what each says and does in its own way, then what all do."""

    transformer: str  # that class, diffusers' own, as package.module:name
    times: int  # the network is fed this times t
    pairing: Pairing  # of its rotary positions
    by_head: bool  # queries and keys are normalised over a head's numbers, not over all of a token's
    blocks: str  # the name of its list of blocks
    top: tuple[str, ...]
    text: str  # the setting that says how many numbers a token of a condition has
    table: str  # the setting that says how many positions there are

    def settings(self, network: Any, sees: int, channels: int) -> dict[str, Any]:
        """Of a transformer for clips of some channels, that is given `sees` of them, one after the other."""
        raise NotImplementedError

    def shapes(self, network: Any, channels: int) -> dict[str, tuple[int, ...]]:
        """Of each weight of a transformer for clips of some channels beside its blocks', without its class."""
        raise NotImplementedError

    def block_shapes(self, network: Any) -> dict[str, tuple[int, ...]]:
        """Of each weight of one block: attention to the clip and to the text, and two layers after it."""
        raise NotImplementedError

    def prepare(self, transformer: Any) -> None:
        """Make a transformer ready for `evaluate`; BadInput for one that wants more than a clip, its time and text."""
        raise NotImplementedError

    def positions(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        """How many latent frames, and how many patches of height and width, have a position."""
        raise NotImplementedError

    def evaluate(self, transformer: Any, frames: Tensor, times: Tensor, text: Tensor) -> Tensor:
        """The flow of frames [B * T, C, 1, H, W] at times [B * T] given text [B, L, D]."""
        raise NotImplementedError

    def diffusers_keys(self, state: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
        """As they are: no other names are known."""
        return state

    def student(self, model: Model, folder: Path | None) -> Network:
        """As `Family` says."""
        transformer = self._at_random(model, "student") if folder is None else self._from_folder(model, folder)
        return VideoNetwork(self, transformer, model.chunk_size, model.window, model.sink)

    def teacher(self, model: Model, folder: Path | None) -> Network:
        """As `Family` says."""
        return VideoNetwork(self, self._from_folder(model, folder), None)

    def fake_score(self, model: Model, folder: Path | None, init: Literal["teacher", "random"]) -> Network:
        """As `Family` says."""
        if init == "teacher":
            return self.teacher(model, folder)
        return VideoNetwork(self, self._at_random(model, "fake_score"), None)

    def architecture(self, model: Model) -> dict[str, tuple[int, ...]]:
        """As `WeightedFamily` says."""
        _check_fits(self, model.network.model_dump(), model)
        block = self.block_shapes(model.network)
        names = (f"{self.blocks}.{number}" for number in range(model.network.num_layers))
        inside = {f"{name}.{own}": shape for name in names for own, shape in block.items()}
        return self.shapes(model.network, model.latent[0]) | inside

    def correction(self, model: Model) -> Network:
        """As `WeightedFamily` says."""
        return VideoNetwork(self, self._at_random(model, "fake_score", sees=2), None)

    def _at_random(self, model: Model, role: str, sees: int = 1) -> Any:
        with seeded(role):
            transformer = resolve_name(self.transformer)(**self.settings(model.network, sees, model.latent[0]))
        _check_fits(self, transformer.config, model)
        return transformer

    def _from_folder(self, model: Model, folder: Path | None) -> Any:
        path, wanted = component(folder, *model.network.parts), resolve_name(self.transformer)
        where, settings = path / "config.json", read_config(path, wanted.__name__)
        with torch.device("meta"):
            own = self._at_random(model, "student").config
        # before anything of the sizes that a file gives is built
        _check_architecture(settings, own, inspect.signature(wanted).parameters, where)
        try:
            transformer = wanted(**settings)
        except UNBUILT as error:
            raise BadInput(f"{where}: wanted a {wanted.__name__}'s settings, found {first_line(error)}") from error
        fill(transformer, read_component(path), str(path))
        return transformer


def layers(*sizes: tuple[str, int, int], bias: bool = True) -> dict[str, tuple[int, ...]]:
    """The shapes of some linear layers' weights, given names, numbers in and numbers out."""
    found: dict[str, tuple[int, ...]] = {}
    for name, inside, outside in sizes:
        found |= {f"{name}.weight": (outside, inside)} | ({f"{name}.bias": (outside,)} if bias else {})
    return found


class VideoNetwork(Network):
    """Teacher, fake score (`chunk_size` None: every frame sees every frame) or causal student, with one forward.

    Frames are folded into the batch, so that each has a time of its own; attention alone unfolds them.
    """

    def __init__(
        self, family: VideoFamily, transformer: Any, chunk_size: int | None, window: int | None = None, sink: int = 0
    ) -> None:
        super().__init__()
        if transformer.config["patch_size"][0] != 1:
            raise BadInput(f"wanted patches of one frame, found patch_size {tuple(transformer.config['patch_size'])}")
        self.family, self.transformer = family, transformer
        self.chunk_size, self.window, self.sink = chunk_size, window, sink
        family.prepare(transformer)
        config = transformer.config
        self.readable = len(self.blocks), config["num_attention_heads"] * config["attention_head_dim"]
        for layer, block in enumerate(self.blocks):
            attentions: Any = block
            attentions.attn1.set_processor(SelfAttention(layer, family.by_head))
            attentions.attn2.set_processor(CrossAttention(family.by_head))

    @property
    def weighted(self) -> Any:
        """The transformer."""
        return self.transformer

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer's own list, not a second registration of it: the weights keep diffusers' keys."""
        return self.transformer.get_submodule(self.family.blocks)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        *,
        cache: KVCache | None = None,
        write: bool = False,
        blocks: Sequence[int] = (),
    ) -> Output:
        """One evaluation, as `Network` says; `condition` is {"text": [B, L, D]}."""
        if blocks and write:
            raise ValueError("features-only calls write no cache: their later blocks never run")
        batch, _, frames, height, width = x_t.shape
        family, transformer, sight = self.family, self.transformer, self._sight(frames, cache, write)
        dtype = transformer.proj_out.weight.dtype  # under FSDP2 this is the dtype of computation
        folded = x_t.transpose(1, 2).flatten(0, 1).unsqueeze(2).to(dtype)  # [B * T, C, 1, H, W]
        times = frame_times(family.times, t, batch, frames)  # [B * T]
        text = self._text(condition).to(dtype)
        with sight_for_blocks(transformer.rope, family.pairing, sight, (height, width)):
            if blocks:
                with only_blocks(transformer, family.blocks, blocks) as outputs:
                    family.evaluate(transformer, folded, times, text)
                output = Output(None, tuple(outputs[i].view(batch, -1, outputs[i].shape[-1]) for i in blocks))
            else:
                flow = family.evaluate(transformer, folded, times, text)  # [B * T, C, 1, H, W]
                output = Output(flow.squeeze(2).unflatten(0, (batch, frames)).transpose(1, 2).to(x_t.dtype))
        if cache is not None and write:
            cache.append(sight.new, frames)
        return output

    def _text(self, condition: Condition) -> Tensor:
        text, name = condition["text"], self.family.text
        wanted = self.transformer.config[name]
        if text.shape[-1] != wanted:
            raise BadInput(f"wanted conditions of {wanted} numbers a token ({name}), found {text.shape[-1]}")
        return text

    def _sight(self, frames: int, cache: KVCache | None, write: bool) -> Sight:
        if cache is not None:
            sight = look_back(cache, frames, self.window, self.sink, write)
        elif self.chunk_size is None:
            sight = look_at_clip([frames], None, 0)
        else:
            sight = look_at_clip(chunk_sizes(frames, self.chunk_size), self.window, self.sink)
        longest, found = self.family.positions(self.transformer.config)[0], sight.positions[-1][1]
        if found > longest:
            raise BadInput(f"wanted at most {longest} frames in sight ({self.family.table}), found {found}")
        return sight


def frame_times(scale: int, t: Tensor, batch: int, frames: int) -> Tensor:
    """Times [B] or [B, T] in [0, 1] as what the network is fed for each frame [B * T], in float32 whatever x_t is."""
    every = t if t.dim() == 2 else t[:, None]  # [B, T] or [B, 1]
    return (scale * every).to(torch.float32).expand(batch, frames).reshape(-1)


def _check_architecture(
    settings: Mapping[str, Any], own: Mapping[str, Any], defaults: Mapping[str, inspect.Parameter], where: Path
) -> None:
    """Refuse a folder of another architecture than the experiment's: a later stage could not take its weights.

    `own` has also what model.network leaves to diffusers' defaults.
    """
    for name in (name for name in own if not name.startswith("_")):
        value, found = json.dumps(own[name]), json.dumps(settings.get(name, defaults[name].default))
        if found != value:
            raise BadInput(f"{where}: wanted {name} {value} as in the experiment's model, found {found}")


def _check_fits(family: VideoFamily, config: Mapping[str, Any], model: Model) -> None:
    """Refuse an experiment whose network does not fit its clips and its text (Misdescribed)."""
    _, frames, height, width = model.latent
    _, patch_height, patch_width = config["patch_size"]
    if height % patch_height or width % patch_width:
        patch = f"{patch_height} x {patch_width}"
        raise Misdescribed(f"model.network: wanted patches that divide a latent of {height} x {width}, found {patch}")
    needed, positions = (frames, height // patch_height, width // patch_width), family.positions(config)
    if any(a > b for a, b in zip(needed, positions, strict=True)):
        found = f"{family.table} {config[family.table]}"
        raise Misdescribed(f"model.network: wanted positions for model.latent {model.latent}, found {found}")
    if model.text.numbers not in (None, config[family.text]):
        wanted = f"{family.text} {model.text.numbers}"
        raise Misdescribed(f"model.network: wanted {wanted}, one a label, found {config[family.text]}")
