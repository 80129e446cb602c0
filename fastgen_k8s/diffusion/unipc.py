# pyright: basic
"""UniPC steps on given times through diffusers' scheduler."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor


def unipc(velocity: Callable[[Tensor, float], Tensor], x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """UniPC of order 2 (Zhao et al. 2023, arXiv 2302.04867) by diffusers' scheduler.

    The scheduler's integer timesteps would merge close times, so the time is the node's own. A state is the *corrected*
    one, which the scheduler knows after the network's evaluation at that node.
    """
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0, solver_order=2
    )
    sigmas: Any = np.array(times[:-1])  # annotated as a list, which it then multiplies
    scheduler.set_timesteps(sigmas=sigmas)
    scheduler.set_begin_index(0)
    for index, t in enumerate(times[:-1]):
        after = scheduler.step(velocity(x, t), scheduler.timesteps[index], x, return_dict=False)[0]
        assert scheduler.last_sample is not None
        yield scheduler.last_sample
        x = after
    yield x
