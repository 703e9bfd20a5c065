from . import augmentation as augmentation
from .dataset import Dataset as Dataset
from .datasets import NAMES as NAMES, folder as folder, load as load
from .draws import Draws as Draws
from .examples import Arrays as Arrays, Examples as Examples
from .image_folder import ImageFolder as ImageFolder
from .images import read_image as read_image
from .loader import Batch as Batch, Loader as Loader
from .official import (
    cifar10 as cifar10,
    cifar100 as cifar100,
    digits as digits,
    fashion_mnist as fashion_mnist,
    kmnist as kmnist,
    mnist as mnist,
)
from .stream import Stream as Stream
