"""What a model names by its kind: families, text encoders, codecs."""

from typing import ClassVar, get_args

from fastgen_k8s.config import Config


class ByKind(Config):
    """The facts of one kind, without torch; the module `fastgen_k8s.networks.<kind>` has what it does with tensors."""

    parts: ClassVar[tuple[str, ...]] = ()  # of a teacher's folder, from which it is read
    transformer: ClassVar[str] = ""  # diffusers' class of its networks, as package.module:name

    @classmethod
    def named(cls) -> str:
        """The kind."""
        return get_args(cls.model_fields["kind"].annotation)[0]
