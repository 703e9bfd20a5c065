from colonnade import training as training  # `cn.training` is there too, but no name of `import *`

from . import (
    data as data,
    errors as errors,
    explain as explain,
    hub as hub,
    initializers as initializers,
    plot as plot,
    testing as testing,
    zoo as zoo,
)
from .composites import (
    Branches as Branches,
    Graph as Graph,
    Residual as Residual,
    TransformerDecoder as TransformerDecoder,
    TransformerDecoderLayer as TransformerDecoderLayer,
    TransformerEncoder as TransformerEncoder,
    TransformerEncoderLayer as TransformerEncoderLayer,
)
from .errors import ColonnadeError as ColonnadeError
from .features import cached_features as cached_features
from .formats import (
    export_onnx as export_onnx,
    from_torch as from_torch,
    load as load,
    load_torch as load_torch,
    to_torch as to_torch,
)
from .layers import *
from .losses import (
    BCEWithLogitsLoss as BCEWithLogitsLoss,
    CosineEmbeddingLoss as CosineEmbeddingLoss,
    CrossEntropyLoss as CrossEntropyLoss,
    CTCLoss as CTCLoss,
    GaussianNLLLoss as GaussianNLLLoss,
    HuberLoss as HuberLoss,
    KLDivLoss as KLDivLoss,
    L1Loss as L1Loss,
    MSELoss as MSELoss,
    NLLLoss as NLLLoss,
    SmoothL1Loss as SmoothL1Loss,
    TripletMarginLoss as TripletMarginLoss,
)
from .model import Model as Model
from .optimizers import (
    LBFGS as LBFGS,
    SGD as SGD,
    Adadelta as Adadelta,
    Adagrad as Adagrad,
    Adam as Adam,
    Adamax as Adamax,
    AdamW as AdamW,
    ExponentialMovingAverage as ExponentialMovingAverage,
    Lion as Lion,
    NAdam as NAdam,
    RAdam as RAdam,
    RMSprop as RMSprop,
    clip_grad_norm as clip_grad_norm,
    clip_grad_value as clip_grad_value,
)
from .schedules import (
    ChainedScheduler as ChainedScheduler,
    CosineAnnealingLR as CosineAnnealingLR,
    ExponentialLR as ExponentialLR,
    LinearLR as LinearLR,
    MultiStepLR as MultiStepLR,
    OneCycleLR as OneCycleLR,
    ReduceLROnPlateau as ReduceLROnPlateau,
    SequentialLR as SequentialLR,
    StepLR as StepLR,
)
from .tensor import Parameter as Parameter, Tensor as Tensor
from .training import (
    evaluate as evaluate,
    fit as fit,
    predict as predict,
    predict_outputs as predict_outputs,
    predict_proba as predict_proba,
)
from .tuning import fine_tune as fine_tune
from .workers import get_threads as get_threads, set_threads as set_threads

__version__: str
