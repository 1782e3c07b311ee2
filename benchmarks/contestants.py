"""Who takes part in ``peers.py``: networks of one shape, ours and those of three libraries.

Each is built for a width, and comes with a function from tokens (B, T) to logits (B, T, V)::

    model, logits = CONTESTANTS["GPT-2, sdpa"](128)

A library is imported when one of its contestants is built.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from factorexe.models.transformer import TransformerConfig
from factorexe.models.universal_transformer import UniversalTransformerConfig

LENGTH, VOCABULARY, LAYERS, HEADS = 64, 32, 2, 4
OURS = "transformer"
Logits = Callable[[Tensor], Tensor]


def transformer(width: int) -> tuple[nn.Module, Logits]:
    """Ours, every layer with weights of its own."""
    model = TransformerConfig(layers=LAYERS, width=width, heads=HEADS).build(VOCABULARY, LENGTH)
    return model, lambda tokens: model.readout(model(tokens).states).squeeze(0)


def universal_transformer(width: int) -> tuple[nn.Module, Logits]:
    """Ours, one layer applied as often."""
    model = UniversalTransformerConfig(layers=1, steps=LAYERS, width=width, heads=HEADS).build(VOCABULARY, LENGTH)
    return model, lambda tokens: model.readout(model(tokens).states).squeeze(0)


def x_transformers(width: int, *, flash: bool) -> tuple[nn.Module, Logits]:
    """lucidrains' x-transformers; ``flash`` means torch's fused attention."""
    from x_transformers import Decoder, TransformerWrapper

    layers = Decoder(dim=width, depth=LAYERS, heads=HEADS, attn_dim_head=width // HEADS, attn_flash=flash)
    model = TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=LENGTH, attn_layers=layers)
    return model, model


def gpt2(width: int, *, attention: str) -> tuple[nn.Module, Logits]:
    """Hugging Face's GPT-2, with the exact GELU, which is faster than its own formula for it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = {"n_embd": width, "n_layer": LAYERS, "n_head": HEADS, "n_positions": LENGTH, "vocab_size": VOCABULARY}
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "use_cache": False}
    marks = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(**shape, **quiet, **marks, activation_function="gelu", attn_implementation=attention)
    model = GPT2LMHeadModel(config)
    return model, lambda tokens: model(tokens).logits


class Encoder(nn.Module):
    """torch's own layers, with learned positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        shape = {"dim_feedforward": 4 * width, "dropout": 0.0, "activation": "gelu"}
        layer = nn.TransformerEncoderLayer(width, HEADS, **shape, batch_first=True, norm_first=True)
        self.embedding, self.position = nn.Embedding(VOCABULARY, width), nn.Embedding(LENGTH, width)
        self.layers = nn.TransformerEncoder(layer, LAYERS, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(LENGTH))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) to (B, T, V)."""
        x = self.embedding(tokens) + self.position.weight
        return self.head(self.layers(x, mask=self.mask, is_causal=True))


def encoder(width: int) -> tuple[nn.Module, Logits]:
    """torch.nn.TransformerEncoder."""
    model = Encoder(width)
    return model, model


CONTESTANTS: dict[str, Callable[[int], tuple[nn.Module, Logits]]] = {  # by width; ours first
    OURS: transformer,
    "universal-transformer 1 x 2": universal_transformer,
    "x-transformers": lambda width: x_transformers(width, flash=False),
    "x-transformers, flash": lambda width: x_transformers(width, flash=True),
    "GPT-2, eager": lambda width: gpt2(width, attention="eager"),
    "GPT-2, sdpa": lambda width: gpt2(width, attention="sdpa"),
    "torch.nn.TransformerEncoder": encoder,
}
PEERS = list(CONTESTANTS)[2:]
