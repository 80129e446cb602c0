"""Text encoders: the facts of each, one class a kind."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from fastgen_k8s.experiments.by_kind import ByKind


class Labels(ByKind):
    """Prompts from a closed list, as one-hot vectors [1, len(labels)]; the empty prompt is zeros."""

    length: ClassVar = 1  # tokens

    kind: Literal["labels"]
    labels: tuple[str, ...]

    @property
    def numbers(self) -> int:
        """Of a token: one a label."""
        return len(self.labels)


class Umt5(ByKind):
    """The teacher folder's UMT5 `text_encoder/` and `tokenizer/`, padded with zeros to a fixed length."""

    parts: ClassVar = ("text_encoder", "tokenizer")
    numbers: ClassVar = None  # of a token; any

    kind: Literal["umt5"]
    length: PositiveInt = 512  # tokens


class Qwen25Vl(ByKind):
    """The teacher folder's Qwen2.5-VL, every layer, projected by the teacher as its blocks would read it."""

    parts: ClassVar = ("tokenizer", "text_encoder", "transformer")
    numbers: ClassVar = None  # of a token; any

    kind: Literal["qwen2_5_vl"]
    length: PositiveInt = 512  # tokens


TextEncoder = Annotated[
    Labels  # a closed list
    | Umt5  # Wan's
    | Qwen25Vl,  # Cosmos-Predict2.5's
    Field(discriminator="kind"),
]
