"""Encoders of the tables: ours, without pretraining, and what each choice of it is worth."""

from reproduction.medicare.encoders import Encoder

BASE, PAPER = "examples/configs/medicare-encoder-base.json", "examples/configs/medicare-encoder-paper.json"
OURS = Encoder("encoder", "Medicare encoder", BASE)
# Fresh weights need larger steps: 1e-3 was better than 3e-4 on validation stays of a population of no table (seed 31).
FROM_SCRATCH = Encoder(
    "from-scratch", "without pretraining", BASE, is_pretrained=False, fine_tuning={"learning_rate": 1e-3}
)
WITHOUT_TIME = Encoder("without-time", "without time-aware attention", BASE, {"time_attention": "none"})
POOLED = Encoder("pooled", "visits as positions, not codes", BASE, {"visit_pooling": "sum"})
AS_PAPER = Encoder("as-paper", "as in the paper: width 512, chapters", PAPER)
