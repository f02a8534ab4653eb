"""Hugging Face transformers on torch, in its fastest plain form.

Scaled dot-product attention, a fused AdamW, and the head on the masked places
alone (`BertForMaskedLM` itself computes logits for every place, which would
make it look slower than a careful user has it). bfloat16 is torch's autocast.
"""

import torch
import transformers

from benchmarks.contenders.steps import DECAY, EPSILON, LEARNING_RATE, Run
from tfbert.config import BertConfig


def step(config: BertConfig, policy: str, batch: dict) -> Run:
    """Forward pass, backward pass, AdamW."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _model(config).to(device).train()
    optimizer = _optimizer(model)
    tensors = {
        name: torch.as_tensor(value).to(device) for name, value in batch.items()
    }
    places = tensors["masked_lm_positions"].long()
    rows = torch.arange(len(places), device=device)[:, None]
    ids = tensors["masked_lm_ids"].long().flatten()
    lowered = torch.autocast(
        device, torch.bfloat16, enabled="bfloat16" in policy
    )

    def one() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with lowered:
            states = model.bert(
                input_ids=tensors["input_ids"].long(),
                attention_mask=tensors["input_mask"].long(),
                token_type_ids=tensors["segment_ids"].long(),
            ).last_hidden_state
            logits = model.cls(states[rows, places])
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), ids
        )
        loss.backward()
        optimizer.step()
        return loss

    def run(steps: int) -> float:
        for _ in range(steps):
            loss = one()
        return float(loss.detach())

    return run


def _model(config: BertConfig) -> transformers.BertForMaskedLM:
    shape = {
        name: getattr(config, name)
        for name in (
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "hidden_act",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "max_position_embeddings",
            "type_vocab_size",
        )
    }
    return transformers.BertForMaskedLM(
        transformers.BertConfig(**shape, attn_implementation="sdpa")
    )


def _optimizer(model) -> torch.optim.AdamW:
    plain = ("bias", "LayerNorm.weight")
    groups = {DECAY: [], 0.0: []}
    for name, parameter in model.named_parameters():
        groups[0.0 if name.endswith(plain) else DECAY].append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "weight_decay": decay} for decay, p in groups.items()],
        lr=LEARNING_RATE,
        eps=EPSILON,
        fused=True,
    )
