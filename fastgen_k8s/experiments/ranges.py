"""Numbers within bounds, as settings have them."""

from typing import Annotated

from pydantic import Field

Time = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
