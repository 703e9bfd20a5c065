from .base import Composite as Composite, Node as Node, describe as describe
from .chain import Branches as Branches, Chain as Chain, Residual as Residual
from .construction import KNOWN as KNOWN, construct as construct, construct_body as construct_body
from .graph import Graph as Graph
from .transformer import (
    TransformerDecoder as TransformerDecoder,
    TransformerDecoderLayer as TransformerDecoderLayer,
    TransformerEncoder as TransformerEncoder,
    TransformerEncoderLayer as TransformerEncoderLayer,
)
