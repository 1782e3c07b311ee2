"""A plain decoder: every block has weights of its own and is applied once.

The baseline that every looped model is compared with::

    factorexe fit --task multiplication --model transformer --model.layers 2 --model.width 128

Causal throughout, or with the prompt read in both directions (``--model.prompt bidirectional``; a prefix
language model, Raffel et al. 2020, arXiv:1910.10683, section 3.2.1).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from factorexe.models.base import Output, one_state
from factorexe.models.decoder import Decoder, DecoderConfig, Reading
from factorexe.models.layers import Context


class TransformerConfig(DecoderConfig):
    """A pre-norm decoder with weights of its own in every layer."""

    layers: int = Field(2, ge=1)
    """Blocks, each applied once."""

    paper: ClassVar[str] = "Vaswani et al. 2017, arXiv:1706.03762"
    presets: ClassVar = {"default": {}, "tiny": {"model.width": 32, "model.heads": 2}}

    def build(self, vocabulary: int, max_length: int) -> Transformer:
        """The network."""
        return Transformer(self, vocabulary, max_length)


class Transformer(Decoder):
    """Token embedding, blocks, norm, readout."""

    same_arithmetic: ClassVar[bool] = True

    def __init__(self, config: TransformerConfig, vocabulary: int, max_length: int) -> None:
        super().__init__(config, vocabulary, max_length)
        blocks = [config.block() for _ in range(config.layers)]
        self.blocks = nn.ModuleList(blocks)
        for block in blocks:
            block.initialise(depth=config.layers)

    def core(self, x: Tensor, context: Context, reading: Reading) -> Output:
        """Every block once."""
        for slot, block in enumerate(self.blocks):
            x = block(x, context, slot)
        return one_state(x, len(self.blocks))

    def applications(self, steps: int | Tensor | None) -> int:
        """As many as there are blocks.

        Raises:
            ValueError: ``steps`` is given.
        """
        if steps is not None:
            raise ValueError("transformer applies each block once: steps cannot be set; use a looped model")
        return len(self.blocks)
