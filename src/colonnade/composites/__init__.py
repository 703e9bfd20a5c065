"""Composites: they compute nothing, they only say how leaves are wired."""

from .base import Composite, Node, describe
from .chain import Branches, Chain, Residual
from .construction import KNOWN, construct, construct_body
from .graph import Graph
from .transformer import TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "KNOWN",
    "Branches",
    "Chain",
    "Composite",
    "Graph",
    "Node",
    "Residual",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "construct",
    "construct_body",
    "describe",
]
