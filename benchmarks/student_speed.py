"""The demo's four-step student against its teacher of 35 guided steps: `python -m benchmarks.student_speed`."""

from examples.moving_shapes.metric import TEACHER
from examples.moving_shapes.shapes import PROMPTS
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.by_kind import load_text_encoder
from fastgen_k8s.report.speed import BATCHES, speeds


def main() -> None:
    """Print how many times faster a clip is, at each batch size."""
    experiment = get_experiment("moving_shapes/sf")
    encode = load_text_encoder(experiment.model.text, TEACHER)
    condition, negative = encode(PROMPTS[: max(BATCHES)]), encode([experiment.conditions.negative_prompt])
    for speed in speeds(experiment.model, experiment.pairs, condition, negative, TEACHER):
        times = f"{1e3 * speed.teacher:.0f} ms against {1e3 * speed.student:.0f} ms a clip"
        print(f"student against teacher, {speed.batch} at once: {speed.ratio:.1f}x, {times}")


if __name__ == "__main__":
    main()
