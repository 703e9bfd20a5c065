"""The names that users rely on: adding one is a decision, losing one is a defect."""

import types

import colonnade as cn

PUBLIC = {
    # Models
    "Model", "Residual", "Branches", "export_onnx", "from_torch", "load", "load_torch", "to_torch",
    # Layers
    "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Block",
    "Conv1d", "Conv2d", "ConvTranspose2d", "Dense", "Dropout", "Dropout2d", "ELU", "Embedding", "Flatten", "GELU",
    "ChannelShuffle", "CircularPad1d", "CircularPad2d", "PixelUnshuffle", "RMSNorm", "ReflectionPad1d",
    "ReflectionPad2d", "ReplicationPad1d", "ReplicationPad2d", "Bilinear", "Fold", "InstanceNorm1d", "Unfold",
    "GRU", "GroupNorm", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "InstanceNorm2d", "Layer", "LayerNorm",
    "LSTM", "LayerNorm2d", "LeakyReLU", "LogSoftmax", "MaxPool1d", "MaxPool2d", "Mish", "MultiheadAttention", "PReLU",
    "Permute", "PixelShuffle", "RNN", "ReLU", "ReLU6", "SELU", "Scratch", "Select", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Tanh", "Unflatten", "Upsample", "ZeroPad2d",
    "AdaptiveAvgPool1d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool3d", "AvgPool3d", "BatchNorm3d",
    "CircularPad3d", "Conv3d", "ConvTranspose1d", "ConvTranspose3d", "Dropout1d", "Dropout3d", "InstanceNorm3d",
    "MaxPool3d", "ReflectionPad3d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad3d",
    # Layers of several inputs, and what wires them
    "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer",
    "Add", "Concat", "Constant", "Div", "Equal", "Graph", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd",
    "LogicalOr", "LogicalXor", "MatMul", "Maximum", "Minimum", "Mul", "Pow", "Sub", "Where", "Fmod", "GridSample",
    "NonMaxSuppression", "Remainder", "RoiAlign", "ScatterAlongDim", "TakeAlongDim",
    # Layers that networks from elsewhere are put together from
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan",
    "Affine", "Amax", "Amin", "Argmax", "Argmin", "CELU", "Ceil", "Cos", "Dequantize", "Erf", "Exp", "Expand",
    "Floor", "IndexSelect", "LocalResponseNorm", "Log", "LogSumExp", "LogicalNot", "Mean", "Pad", "Power", "Prod",
    "Quantize", "Reciprocal", "Reshape", "Resize", "Round", "Sign", "Sin", "Slice", "Softsign", "Sqrt", "Sum",
    "Threshold", "Tile", "Trunc", "CumSum", "OneHot", "TopKIndices", "Tril", "Triu",
    # Losses
    "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss",
    "CTCLoss", "CosineEmbeddingLoss", "GaussianNLLLoss", "TripletMarginLoss",
    # Optimizers, and what stands beside them
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Adamax", "NAdam", "RAdam", "RMSprop",
    "LBFGS",
    "ExponentialMovingAverage", "clip_grad_norm", "clip_grad_value",
    # Schedules
    "ChainedScheduler", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "OneCycleLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
    # Training
    "cached_features", "evaluate", "fine_tune", "fit", "predict", "predict_outputs", "predict_proba",
    # Tensors, threads, errors
    "Parameter", "Tensor", "get_threads", "set_threads", "ColonnadeError",
    # Modules
    "data", "errors", "explain", "hub", "initializers", "plot", "testing", "zoo",
    "__version__",
}  # fmt: skip


def test_public_names_are_these() -> None:
    assert set(cn.__all__) == PUBLIC


def test_every_public_name_is_there() -> None:
    assert all(hasattr(cn, name) for name in cn.__all__)


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in cn.__all__ if name != "__version__" and not getattr(cn, name).__doc__] == []


def test_version_is_that_of_the_installed_package() -> None:
    from importlib.metadata import version

    assert cn.__version__ == version("colonnade")


def test_modules_are_reached_by_their_names() -> None:
    assert all(isinstance(getattr(cn, name), types.ModuleType) for name in ("data", "errors", "testing", "zoo"))
