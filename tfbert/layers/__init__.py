"""Ids or hidden states in, hidden states out: one public class per file."""

from tfbert.layers.attention import SelfAttention
from tfbert.layers.bert_layer import BertLayer
from tfbert.layers.dense import Dense
from tfbert.layers.dropout import Dropout
from tfbert.layers.embeddings import Embeddings
from tfbert.layers.encoder_block import EncoderBlock
from tfbert.layers.feed_forward import FeedForward
from tfbert.layers.heads import MaskedLMHead, NextSentenceHead
from tfbert.layers.layer_norm import LayerNorm

__all__ = [
    "BertLayer",
    "Dense",
    "Dropout",
    "Embeddings",
    "EncoderBlock",
    "FeedForward",
    "LayerNorm",
    "MaskedLMHead",
    "NextSentenceHead",
    "SelfAttention",
]
