"""What to try when a number that a gate bounds is out of its bounds; docs/gates.md says what each number is."""

import re
from collections.abc import Mapping

_PROMPT = "look at the teacher's number first; then more pairs.samples_per_prompt, train.steps or pairs.guidance"
_MOTION = "look at the teacher's number: a motion that it never learnt cannot be distilled"
_COLLAPSE = "fewer stage 3 steps, a lower method.guidance, or method.gan"
_BLUR = "more stage 2 train.steps; then stage 3"
_TRY: Mapping[str, str] = {
    "prompts": "the input prompts",
    "samples": "more pairs.samples_per_prompt or sample.samples_per_prompt",
    "seed": "the override of the seed",
    "steps": "the override of train.steps",
    "ema": "train.ema",
    "step": "the input checkpoint",
    "chunk_size": "the experiment",
    "context_noise": "method.context_noise and sample.context_noise, which belong together",
    "trained": "the input student",
    "colour": _PROMPT,
    "shape": _PROMPT,
    "direction": _PROMPT,
    "all": _PROMPT,
    "left": _MOTION,
    "right": _MOTION,
    "up": _MOTION,
    "down": _MOTION,
    "mse x 100": _BLUR,
    "mse": _BLUR,
    "edge": "below the bound stage 3, or more of it; above it fewer steps or a lower method.guidance",
    "spread": f"below the bound {_COLLAPSE}; above it more stage 2 steps",
    "modes": _COLLAPSE,
    "w2": "more clips first, then more stage 2 steps, then stage 3",
    "variance_chunk": "stage 3; method.health.variance stops such a run early",
    "mse_chunk": "stage 3, which trains on the student's own past",
    "prompt_accuracy": "a higher pairs.guidance, or more steps",
}


def advice(name: str) -> str:
    """A few words on a fact of an artifact; where its name is not one of ours, where to read on."""
    short = re.sub(r"(?<=_chunk)\d+$", "", name.rpartition(".")[2])
    return _TRY.get(short, "docs/gates.md")
