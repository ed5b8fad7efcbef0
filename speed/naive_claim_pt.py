"""Claim-PT as its paper describes it, written the obvious way: the contestant that the benchmarks measure against.

Visits lie in a fixed grid of 30 visits with 10 codes, every position is computed whether it is padding or not,
attention is spelt out, and both losses are binary cross-entropy of sigmoids against dense many-hot targets. Parameters
carry the names of `ClaimForPreTraining`, so that one state dict gives both the same weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from claim_transformers import ClaimConfig

GRID_VISITS = 30
GRID_CODES = 10


class NaiveAttention(nn.Module):
    """Multi-head attention over all slots."""

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(config.hidden_size, config.hidden_size) for _ in range(4)
        )

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attend under an additive mask."""
        batch, slots, width = states.shape

        def heads(projection: nn.Module) -> Tensor:
            return projection(states).view(batch, slots, self.num_heads, -1).transpose(1, 2)

        query, key, value = heads(self.q_proj), heads(self.k_proj), heads(self.v_proj)
        scores = query @ key.transpose(2, 3) / (width // self.num_heads) ** 0.5 + mask
        return self.o_proj((scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, slots, width))


class NaiveLayer(nn.Module):
    """Transformer layer with the norm after each sublayer."""

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.attention = NaiveAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Transform all slots."""
        states = self.attention_norm(states + self.attention(states, mask))
        return self.feed_forward_norm(states + self.down_proj(functional.gelu(self.up_proj(states))))


class NaiveEncoder(nn.Module):
    """Embedding, pooling by sum or max over the grid, and the layers."""

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.pooling = config.visit_pooling
        self.embeddings = nn.ModuleDict({"code_embeddings": nn.Embedding(config.vocab_size, config.hidden_size)})
        self.layers = nn.ModuleList(NaiveLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, codes_BVC: Tensor) -> Tensor:
        """Encode the grid causally, `(batch, slots, codes)` to `(batch, slots, hidden)`."""
        vectors = self.embeddings["code_embeddings"](codes_BVC)
        is_code = (codes_BVC != 0)[..., None]
        if self.pooling == "sum":
            states = (vectors * is_code).sum(dim=2)
        else:
            lowest = torch.finfo(vectors.dtype).min
            states = torch.where(is_code.any(dim=2), vectors.masked_fill(~is_code, lowest).amax(dim=2), 0.0)
        slots = codes_BVC.shape[1]
        causal = torch.ones(slots, slots, dtype=torch.bool).tril()
        seen = causal & is_code.any(dim=2)[:, None, :, 0] | torch.eye(slots, dtype=torch.bool)
        mask = torch.where(seen, 0.0, torch.finfo(states.dtype).min)[:, None]
        for layer in self.layers:
            states = layer(states, mask)
        return states


class NaiveClaimPT(nn.Module):
    """Next-visit prediction and category prediction from every slot.

    Args:
        config (`ClaimConfig`): Sizes, and `visit_pooling`.
    """

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.claim = NaiveEncoder(config)
        self.nvp_decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.cp_decoder = nn.Linear(config.hidden_size, config.num_categories)

    def forward(self, codes_BVC: Tensor, labels_BVC: Tensor, categories_BVC: Tensor) -> Tensor:
        """Return the sum of both losses per labelled code."""
        states = self.claim(codes_BVC)
        is_visit = (codes_BVC != 0).any(dim=2)
        predicts = torch.zeros_like(is_visit)
        predicts[:, :-1] = is_visit[:, 1:]
        next_labels = torch.full_like(labels_BVC, -100)
        next_labels[:, :-1] = labels_BVC[:, 1:]
        has_category = (categories_BVC >= 0).any(dim=2)
        nvp = self._bce(self.nvp_decoder(states), next_labels, predicts)
        cp = self._bce(self.cp_decoder(states), categories_BVC, has_category)
        return (nvp + cp) / (labels_BVC >= 0).sum()

    def _bce(self, logits_BVK: Tensor, labels_BVC: Tensor, counts_BV: Tensor) -> Tensor:
        batch, slots, outputs = logits_BVK.shape
        targets = logits_BVK.new_zeros(batch, slots, outputs + 1)
        targets.scatter_(2, labels_BVC.where(labels_BVC >= 0, outputs), 1.0)
        return functional.binary_cross_entropy(
            logits_BVK.sigmoid(),
            targets[..., :outputs],
            weight=counts_BV[..., None].to(logits_BVK.dtype),
            reduction="sum",
        )


def to_grid(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Lay a batch of the claim models out in the fixed grid; visits and codes beyond it are refused.

    Args:
        batch (`dict[str, torch.Tensor]`): Batch of `DataCollatorForClaimPretraining`, rows in slot order.

    Returns:
        `dict[str, torch.Tensor]`: Arguments of [`NaiveClaimPT`], each of shape `(batch, 31, 10)`.

    Raises:
        ValueError: If a patient has more than 30 visits or a visit more than 10 codes.
    """
    slots = batch["visit_ids"]
    # Position of a token within its slot, from the first position of the slot in the ordered stream.
    first = (slots[:, :, None] > slots[:, None, :]).logical_and(slots[:, None, :] >= 0).sum(dim=2)
    place = torch.arange(slots.shape[1]) - first
    valid = slots >= 0
    if int(slots.max()) > GRID_VISITS or int(place[valid].max()) >= GRID_CODES:
        raise ValueError(f"expected at most {GRID_VISITS} visits of {GRID_CODES} codes, found more")
    rows = torch.arange(slots.shape[0])[:, None].expand_as(slots)
    index = (rows[valid], slots[valid], place[valid])
    grid = {}
    for name, source, fill in (
        ("codes_BVC", "input_ids", 0),
        ("labels_BVC", "labels", -100),
        ("categories_BVC", "category_labels", -100),
    ):
        grid[name] = torch.full((slots.shape[0], GRID_VISITS + 1, GRID_CODES), fill)
        grid[name][index] = batch[source][valid]
    return grid
