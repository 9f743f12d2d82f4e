"""Targets with a known effect on sample embeddings, learned by the real parts of a predictor behind its encoder.

Embeddings are drawn, not computed, so that a model is fitted in seconds; fusion, head, link, start, loss and optimizer
are those of `aam train`. One metadata column, ``location``, has four categories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aam_data.preprocessing.categories import CategoryCodec
from aam_data.preprocessing.category_hierarchy import CategoryHierarchy
from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.metadata_inputs import MetadataInputs
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.target import FittedTarget, TargetSpec
from aam_data.preprocessing.transforms import NoTransform
from aam_models.build import build_predictor
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.predictor import Predictor
from aam_train.engine.optimizer import build_optimizer
from aam_train.losses.build import class_weights
from aam_train.losses.expert_balance import balance_loss
from aam_train.losses.output_layout import OutputLayout
from aam_train.losses.targets import ClassLoss, NumberLoss, NumberLosses, TargetLoss
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.setup.architecture import conditioning_config, new_encoder_config, predictor_config
from aam_train.setup.head_initialization import initialize_at_prior

WIDTH, CATEGORIES = 16, ("coast", "hill", "plain", "valley")


@dataclass(frozen=True, eq=False)
class Samples:
    """R samples: embeddings [R, WIDTH], codes of their location [R] (1 to 4), target [R]."""

    x: np.ndarray
    location: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


def draw(n: int, seed: int, target: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]) -> Samples:
    """Samples whose target is a function of the signal (standard normal [n]), the location (0 to 3) and a generator."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, WIDTH))
    signal = x @ np.random.default_rng(0).normal(size=WIDTH) / WIDTH**0.5
    location = random.integers(0, len(CATEGORIES), n)
    return Samples(x.astype(np.float32), location + 1, target(signal, location, random).astype(np.float32))


@dataclass(frozen=True)
class Settings:
    """What a model is made of and how it learns; ``fused`` joins the location to the embedding."""

    head: HeadOptions = HeadOptions()
    output: OutputOptions = OutputOptions()
    objective: TrainObjective = TrainObjective()
    fused: bool = False
    classes: tuple[str, ...] = ()
    steps: int = 800
    lr: float = 5e-3
    batch: int = 128
    conditioning: ConditioningOptions = field(default_factory=ConditioningOptions)


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted predictor without its encoder."""

    predictor: Predictor

    def outputs(self, samples: Samples) -> np.ndarray:
        """[R, W]."""
        with torch.no_grad():
            found = self.predictor.predict_from(torch.from_numpy(samples.x), conditions(self.predictor, samples))
        return found.outputs.numpy()

    def routing(self) -> np.ndarray:
        """Shares of the experts for each location, [4, K]."""
        everywhere = Samples(np.zeros((4, WIDTH), np.float32), np.arange(1, 5), np.zeros(4, np.float32))
        with torch.no_grad():
            found = self.predictor.predict_from(torch.from_numpy(everywhere.x), conditions(self.predictor, everywhere))
        assert found.routing is not None
        return found.routing.numpy()


def conditions(model: Predictor, samples: Samples) -> Conditions:
    n_columns = len(model.config.conditioning.categories)
    codes = torch.from_numpy(samples.location)[:, None][:, :n_columns]
    embedded = model.conditioning.embedding(codes) if n_columns else torch.zeros((len(samples), 0, 1))
    return Conditions(codes, embedded, torch.zeros((len(samples), 0)))


def preprocessor_of(settings: Settings) -> Preprocessor:
    (loss,) = settings.objective.losses(("y",))
    if settings.classes:
        target = FittedTarget(
            TargetSpec("y", "classification", len(settings.classes)), labels=ClassLabels(settings.classes)
        )
    else:
        target = FittedTarget(TargetSpec("y", "regression", 1), transform=NoTransform()).with_quantiles(loss.outputs())
    return Preprocessor(max_bp=1, trim_length=0, rarefy_depth=0, seed=0, max_asvs=1, targets=(target,))


def build(settings: Settings, samples: Samples, seed: int) -> Predictor:
    """A predictor as `aam train` begins with it."""
    preprocessor = preprocessor_of(settings)
    needed = settings.fused or settings.head.columns() or settings.output.scaling_columns()
    codec = CategoryCodec(("location",), (CATEGORIES,), ((1, 1, 1, 1),)) if needed else CategoryCodec()
    fused = ("location",) if settings.fused else ()
    inputs = MetadataInputs(codec, CategoryHierarchy((-1,), ((),)) if needed else CategoryHierarchy())
    conditioning = conditioning_config(inputs, settings.conditioning, fused, {*fused, *settings.head.columns()})
    size = ModelOptions(preset="tiny", embedding_dim=WIDTH, attention_heads=2, attention_layers=1)
    torch.manual_seed(seed)
    shapes = OutputLayout.from_preprocessor(preprocessor, samples.y[:, None])
    encoder = new_encoder_config(size, 1, {})
    model = build_predictor(
        predictor_config(encoder, settings.head, shapes, settings.output, conditioning, codec.columns)
    )
    initialize_at_prior(model, samples.y[:, None], preprocessor, class_weights_of(settings, samples))
    return model


def class_weights_of(settings: Settings, samples: Samples) -> Sequence[float] | None:
    option = settings.objective.class_weights
    return None if option is None else class_weights(option, settings.classes, samples.y)


def loss_of(settings: Settings, samples: Samples) -> TargetLoss:
    if settings.classes:
        return ClassLoss(class_weights_of(settings, samples), torch.device("cpu"))
    (loss,) = settings.objective.losses(("y",))
    spread = float(np.std(samples.y))
    delta = 1.0 if loss.huber_delta is None else loss.huber_delta / spread
    penalties = {"over": loss.over_penalty, "under": loss.under_penalty}
    return NumberLosses((NumberLoss(loss.type, spread, delta=delta, quantiles=loss.outputs(), **penalties),))


def fit(settings: Settings, samples: Samples, seed: int = 0) -> Model:
    """A model of the samples."""
    model, loss = build(settings, samples, seed), loss_of(settings, samples)
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)
    optimizer = build_optimizer(model, OptimizerOptions(lr=settings.lr))
    random = np.random.default_rng(seed)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * 0.5 * (1 + np.cos(np.pi * step / settings.steps))
        rows = random.choice(len(samples), min(settings.batch, len(samples)), replace=False)
        some = Samples(samples.x[rows], samples.location[rows], samples.y[rows])
        found = model.predict_from(torch.from_numpy(some.x), conditions(model, some))
        truth: Tensor = torch.from_numpy(some.y)[:, None]
        value = loss.sum(found.outputs, truth) / loss.count(truth)
        if found.routing is not None:
            value = value + settings.head.moe_balance * balance_loss(found.routing) / len(some)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return Model(model.eval())


def r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the variance explained."""
    return float(1 - np.square(truth - predicted).mean() / truth.var())


SIGNS, NOISE = np.array([1, -1, 1, -1]), np.array([0.3, 0.6, 1.2, 2.4])
OFFSETS, SLOPES = np.array([-3.0, 0.0, 2.0, 5.0]), np.array([0.5, 1.0, 2.0, 4.0])


def flipped(signal: np.ndarray, location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The location turns the effect of the signal around."""
    return SIGNS[location] * 2 * signal + 0.3 * random.normal(size=len(signal))


def shifted(signal: np.ndarray, location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The location shifts the target and scales the effect of the signal."""
    return OFFSETS[location] + SLOPES[location] * signal + 0.2 * random.normal(size=len(signal))


def noisy(signal: np.ndarray, location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The location says how noisy the target is."""
    return 2 * signal + NOISE[location] * random.normal(size=len(signal))


def heavy_tailed(signal: np.ndarray, location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Noise of Student's t with 2 degrees of freedom."""
    return signal + random.standard_t(2, size=len(signal))


def plain(signal: np.ndarray, location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Normal noise as large as the signal."""
    return signal + random.normal(size=len(signal))


def rare_classes(signal: np.ndarray, location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Three classes by thresholds of the noisy signal, of about 91, 5 and 4 %."""
    value = signal + 0.5 * random.normal(size=len(signal))
    return np.where(value > 1.9, 2.0, np.where(value > 1.5, 1.0, 0.0))


def head(*arguments: object, **values: object) -> HeadOptions:
    """A head without LayerNorm before it, which can turn a shift by category into an interaction with the signal."""
    return HeadOptions(*arguments, target_layer_norm=False, **values)  # type: ignore[arg-type]
