"""Training: the loop, what is told of it and done beside it, and what is asked of a model afterwards."""

from .callbacks import Average, BestCheckpoint, Callback, EarlyStopping, Scheduler
from .inference import evaluate, predict, predict_outputs, predict_proba
from .joint import JointLoss
from .loggers import CSVLogger, JSONLines, TensorBoard
from .loop import fit
from .pace import Pace, pace
from .protocols import Criterion, Learner, Trainable
from .range_test import RangeTest, learning_rate_range_test
from .recipes import LOSSES, OPTIMIZERS, SCHEDULES, Recipe, optimizer, recipe, schedule
from .records import BatchRecord, EpochRecord, Evaluation, History, Mean

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "Average",
    "BatchRecord",
    "BestCheckpoint",
    "CSVLogger",
    "Callback",
    "Criterion",
    "EarlyStopping",
    "EpochRecord",
    "Evaluation",
    "History",
    "JSONLines",
    "JointLoss",
    "Learner",
    "Mean",
    "Pace",
    "RangeTest",
    "Recipe",
    "Scheduler",
    "TensorBoard",
    "Trainable",
    "evaluate",
    "fit",
    "learning_rate_range_test",
    "optimizer",
    "pace",
    "predict",
    "predict_outputs",
    "predict_proba",
    "recipe",
    "schedule",
]
