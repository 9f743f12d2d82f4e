"""A predictor's head, losses and output link in words."""

from __future__ import annotations

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.config.predictor import PredictorConfig
from aam_train.runs.records import TrainingRecord

Rows = list[tuple[str, str]]


def describe_head(config: PredictorConfig, preprocessor: Preprocessor, record: TrainingRecord) -> Rows:
    """What stands behind the encoder, in the order in which it acts, and what it was trained with."""
    columns = preprocessor.inputs.categories.columns
    rows = [("head", _head(config, columns)), *_link(config, preprocessor, columns)]
    for target in preprocessor.targets:
        loss = record.losses.get(target.spec.name)
        rows += [(f"loss of {target.spec.name}", loss)] if loss else []
        if target.widening:
            pairs = zip(target.quantiles, reversed(target.quantiles), target.widening, strict=False)
            texts = (f"{low:g} to {high:g} by {amount:.4g}" for low, high, amount in pairs)
            rows.append((f"calibration of {target.spec.name}", f"{', '.join(texts)} at each end, transformed units"))
    if record.class_weights:
        rows.append(("class weights", ", ".join(f"{name} {x:.4g}" for name, x in record.class_weights.items())))
    return rows


def _head(config: PredictorConfig, columns: tuple[str, ...]) -> str:
    hidden = "-".join(map(str, config.hidden_dims))
    text = f"hidden layers {hidden}" if hidden else "one linear layer"
    if config.film_columns:
        text += f", scaled and shifted by {_names(config.film_columns, columns)} (FiLM)"
    if config.experts:
        text = f"{config.experts} experts chosen by {_names((config.routing_column,), columns)}, each {text}"
    if config.residual:
        text += ", a linear head added"
    return text if config.layer_norm else f"{text}; its input is not normalized"


def _link(config: PredictorConfig, preprocessor: Preprocessor, columns: tuple[str, ...]) -> Rows:
    link, parts = config.link, []
    if link.learned_scale:
        parts.append("a learned scale and bias")
    if link.scaling_columns:
        parts.append(f"a scale and bias by {', then '.join(columns[place] for place in link.scaling_columns)}")
    if link.activation != "none":
        parts.append(f"{link.activation} (predictions from 0 up)")
    if link.bounded:
        ends = zip(preprocessor.targets, link.low, link.high, strict=True)
        texts = (f"{target.spec.name} {low:.4g} to {high:.4g}" for target, low, high in ends)
        parts.append(f"bounds in transformed units: {', '.join(texts)}")
    return [("output", "; ".join(parts))] if parts else []


def _names(places: tuple[int, ...], columns: tuple[str, ...]) -> str:
    return ", ".join(columns[place] for place in places)
