"""What the settings of every method say of it: what its stage must be given."""

from typing import Literal, NamedTuple

from fastgen_k8s.config import Config


class Needs(NamedTuple):
    """What a method reads besides its prompts; pairs and a teacher may be given where none is needed."""

    pairs: bool = False
    videos: bool = False
    teacher: Literal["never", "start", "always"] = (
        "never"  # `start`: where no student is given, it starts as the teacher
    )
    guidance: float = 1.0  # of the teacher, against the negative prompt; 1 reads none


class MethodSettings(Config):
    """The settings of a method; a subclass has a `kind` of its own and stands in the table of methods."""

    @property
    def name(self) -> str:
        """The word that chooses it."""
        return str(self.canonical()["kind"])

    @property
    def needs(self) -> Needs:
        """What its stage must be given."""
        return Needs()

    def check_steps(self, steps: int) -> None:
        """Refuse settings that do not fit so many times of t_list above 0 (ValueError)."""
