from .errors import RunStopped as RunStopped
from .errors import TrainError as TrainError
from .options.commands import (
    BaselineOptions as BaselineOptions,
)
from .options.commands import (
    DemoOptions as DemoOptions,
)
from .options.commands import (
    EmbedOptions as EmbedOptions,
)
from .options.commands import (
    EvaluateOptions as EvaluateOptions,
)
from .options.commands import (
    PredictOptions as PredictOptions,
)
from .options.compute import ComputeOptions as ComputeOptions
from .options.memory import MemoryOptions as MemoryOptions
from .options.objective import (
    MaskingOptions as MaskingOptions,
)
from .options.objective import (
    PretrainObjective as PretrainObjective,
)
from .options.objective import (
    TrainObjective as TrainObjective,
)
from .options.optimizer import (
    CategoryOptimizerOptions as CategoryOptimizerOptions,
)
from .options.optimizer import (
    OptimizerOptions as OptimizerOptions,
)
from .options.parallel import ParallelOptions as ParallelOptions
from .options.recipe_configs import (
    BaselineConfig as BaselineConfig,
)
from .options.recipe_configs import (
    DemoConfig as DemoConfig,
)
from .options.recipe_configs import (
    EmbedConfig as EmbedConfig,
)
from .options.recipe_configs import (
    EvaluateConfig as EvaluateConfig,
)
from .options.recipe_configs import (
    PredictConfig as PredictConfig,
)
from .options.recipe_configs import (
    PretrainConfig as PretrainConfig,
)
from .options.recipe_configs import (
    TrainConfig as TrainConfig,
)
from .options.run import RunOptions as RunOptions
from .options.run import TransferOptions as TransferOptions
from .options.toml import config_from_toml as config_from_toml
from .options.toml import config_to_toml as config_to_toml
from .recipes.demo import demo as demo
from .recipes.embed import embed as embed
from .recipes.evaluate import evaluate as evaluate
from .recipes.lr_find import lr_find as lr_find
from .recipes.predict import predict as predict
from .recipes.pretrain import pretrain as pretrain
from .recipes.random_forest import random_forest_baseline as random_forest_baseline
from .recipes.train import train as train
from .reporting.jsonl import read_records as read_records
