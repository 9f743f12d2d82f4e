from .batch.batch import (
    AsvOutput as AsvOutput,
)
from .batch.batch import (
    Batch as Batch,
)
from .batch.batch import (
    Chunk as Chunk,
)
from .batch.batch import (
    EncoderOutput as EncoderOutput,
)
from .batch.batch import (
    PaddedGroup as PaddedGroup,
)
from .batch.batch import (
    PredictorOutput as PredictorOutput,
)
from .batch.padding import pad as pad
from .build import build_encoder as build_encoder
from .build import build_predictor as build_predictor
from .config.conditioning import ConditioningConfig as ConditioningConfig
from .config.conditioning import ConditioningOptions as ConditioningOptions
from .config.encoder import Alphabet as Alphabet
from .config.encoder import EncoderConfig as EncoderConfig
from .config.encoder import ModelOptions as ModelOptions
from .config.predictor import PredictorConfig as PredictorConfig
from .config.predictor_options import HeadOptions as HeadOptions
from .encoder.encoder import Encoder as Encoder
from .errors import ModelError as ModelError
from .predictor.conditioning.conditions import Conditions as Conditions
from .predictor.predictor import Predictor as Predictor
from .storage.config_json import read_config as read_config
from .storage.folders import new_folder as new_folder
from .storage.model_folder import load_model as load_model
from .storage.model_folder import save_model as save_model
