"""The discriminator: small heads on features of the frozen teacher (Yin et al. 2024, arXiv 2405.14867, section 4.2)."""

import torch
from torch import Tensor, nn

HIDDEN = 64


class Discriminator(nn.Module):
    """One head per block; the logit of a clip is the mean over heads, positive for real."""

    def __init__(self, blocks: int, dim: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(dim, hidden) for _ in range(blocks))

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Logits [B] of features [B, tokens, D], one for each head."""
        logits = [head(block) for head, block in zip(self.heads, features, strict=True)]
        return torch.stack(logits).mean(dim=0)


class Head(nn.Module):
    """Tokens -> logit: normalise, one hidden layer per token, mean over tokens, project."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)  # a teacher's features grow by orders of magnitude from block to block
        self.hidden = nn.Linear(dim, hidden)
        self.logit = nn.Linear(hidden, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [B] of tokens [B, tokens, D]."""
        normal = self.norm(tokens.to(self.hidden.weight.dtype))
        pooled = nn.functional.gelu(self.hidden(normal)).mean(dim=1)  # [B, hidden]
        return self.logit(pooled).squeeze(-1)
