from .activation import LeakyReLU as LeakyReLU, ReLU as ReLU, Sigmoid as Sigmoid, Softmax as Softmax, Tanh as Tanh
from .adaptive import (
    AdaptiveAvgPool1d as AdaptiveAvgPool1d,
    AdaptiveAvgPool2d as AdaptiveAvgPool2d,
    AdaptiveAvgPool3d as AdaptiveAvgPool3d,
    AdaptiveMaxPool1d as AdaptiveMaxPool1d,
    AdaptiveMaxPool2d as AdaptiveMaxPool2d,
    AdaptiveMaxPool3d as AdaptiveMaxPool3d,
)
from .arithmetic import (
    Div as Div,
    Fmod as Fmod,
    Maximum as Maximum,
    Minimum as Minimum,
    Pow as Pow,
    Remainder as Remainder,
    Sub as Sub,
    Where as Where,
)
from .attention import MultiheadAttention as MultiheadAttention
from .base import Block as Block, Layer as Layer, Scratch as Scratch
from .bilinear import Bilinear as Bilinear
from .borders import (
    CircularPad1d as CircularPad1d,
    CircularPad2d as CircularPad2d,
    CircularPad3d as CircularPad3d,
    ReflectionPad1d as ReflectionPad1d,
    ReflectionPad2d as ReflectionPad2d,
    ReflectionPad3d as ReflectionPad3d,
    ReplicationPad1d as ReplicationPad1d,
    ReplicationPad2d as ReplicationPad2d,
    ReplicationPad3d as ReplicationPad3d,
    ZeroPad1d as ZeroPad1d,
    ZeroPad3d as ZeroPad3d,
)
from .channel_dropout import Dropout1d as Dropout1d, Dropout2d as Dropout2d, Dropout3d as Dropout3d
from .comparison import (
    Equal as Equal,
    Greater as Greater,
    GreaterEqual as GreaterEqual,
    Less as Less,
    LessEqual as LessEqual,
    LogicalAnd as LogicalAnd,
    LogicalOr as LogicalOr,
    LogicalXor as LogicalXor,
)
from .convolution import Conv1d as Conv1d, Conv2d as Conv2d, Conv3d as Conv3d
from .cumulative import CumSum as CumSum
from .dense import Dense as Dense
from .detection import NonMaxSuppression as NonMaxSuppression
from .dropout import Dropout as Dropout
from .embedding import Embedding as Embedding
from .functions import (
    CELU as CELU,
    Abs as Abs,
    Affine as Affine,
    Ceil as Ceil,
    Erf as Erf,
    Exp as Exp,
    Floor as Floor,
    Log as Log,
    LogicalNot as LogicalNot,
    Power as Power,
    Reciprocal as Reciprocal,
    Round as Round,
    Sign as Sign,
    Softsign as Softsign,
    Sqrt as Sqrt,
    Threshold as Threshold,
    Trunc as Trunc,
)
from .gates import GELU as GELU, Hardsigmoid as Hardsigmoid, Hardswish as Hardswish, Mish as Mish, SiLU as SiLU
from .indexing import (
    OneHot as OneHot,
    ScatterAlongDim as ScatterAlongDim,
    TakeAlongDim as TakeAlongDim,
    TopKIndices as TopKIndices,
)
from .local_response import LocalResponseNorm as LocalResponseNorm
from .log_softmax import LogSoftmax as LogSoftmax
from .matmul import MatMul as MatMul
from .normalization import BatchNorm1d as BatchNorm1d, BatchNorm2d as BatchNorm2d, BatchNorm3d as BatchNorm3d
from .pieces import ELU as ELU, SELU as SELU, Hardtanh as Hardtanh, PReLU as PReLU, ReLU6 as ReLU6, Softplus as Softplus
from .pooling import (
    AvgPool1d as AvgPool1d,
    AvgPool2d as AvgPool2d,
    AvgPool3d as AvgPool3d,
    MaxPool1d as MaxPool1d,
    MaxPool2d as MaxPool2d,
    MaxPool3d as MaxPool3d,
)
from .quantization import Dequantize as Dequantize, Quantize as Quantize
from .rearrangement import (
    Expand as Expand,
    IndexSelect as IndexSelect,
    Pad as Pad,
    Slice as Slice,
    Tile as Tile,
    Tril as Tril,
    Triu as Triu,
)
from .recurrent import GRU as GRU, LSTM as LSTM, RNN as RNN
from .reduction import (
    Amax as Amax,
    Amin as Amin,
    Argmax as Argmax,
    Argmin as Argmin,
    LogSumExp as LogSumExp,
    Mean as Mean,
    Prod as Prod,
    Sum as Sum,
)
from .resampling import (
    ChannelShuffle as ChannelShuffle,
    PixelShuffle as PixelShuffle,
    PixelUnshuffle as PixelUnshuffle,
    Upsample as Upsample,
    ZeroPad2d as ZeroPad2d,
)
from .resizing import Resize as Resize
from .rms_norm import RMSNorm as RMSNorm
from .sampling import GridSample as GridSample, RoiAlign as RoiAlign
from .shape import (
    Flatten as Flatten,
    Identity as Identity,
    Permute as Permute,
    Reshape as Reshape,
    Select as Select,
    Unflatten as Unflatten,
)
from .standardization import (
    GroupNorm as GroupNorm,
    InstanceNorm1d as InstanceNorm1d,
    InstanceNorm2d as InstanceNorm2d,
    InstanceNorm3d as InstanceNorm3d,
    LayerNorm as LayerNorm,
    LayerNorm2d as LayerNorm2d,
)
from .transposed_convolution import (
    ConvTranspose1d as ConvTranspose1d,
    ConvTranspose2d as ConvTranspose2d,
    ConvTranspose3d as ConvTranspose3d,
)
from .trigonometric import (
    Acos as Acos,
    Acosh as Acosh,
    Asin as Asin,
    Asinh as Asinh,
    Atan as Atan,
    Atanh as Atanh,
    Cos as Cos,
    Cosh as Cosh,
    Sin as Sin,
    Sinh as Sinh,
    Tan as Tan,
)
from .unfolding import Fold as Fold, Unfold as Unfold
from .wiring import Add as Add, Concat as Concat, Constant as Constant, Mul as Mul

__all__: list[str]
