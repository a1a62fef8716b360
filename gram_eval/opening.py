"""From a run's configuration to its model: in this process, or in replicas."""

from __future__ import annotations

from .config import RunConfig
from .errors import UsageError
from .models.base import RewardModel
from .models.load import ModelOptions, load_model, split_spec
from .progress import Progress

IN_REPLICAS = (None, "scalar", "label", "rationale", "rating", "choice", "implicit")
"""Kinds that an engine runs; None: a checkpoint that says itself what it is."""


def options_of(config: RunConfig) -> ModelOptions:
    """How the model is loaded and run."""
    fields = set(ModelOptions.model_fields) & set(RunConfig.model_fields)
    return ModelOptions.model_validate({name: getattr(config, name) for name in fields})


def open_model(config: RunConfig, progress: Progress) -> RewardModel:
    """Loads the model that a configuration names.

    Raises:
        UsageError: The spec is wrong, or the kind of model cannot be run in replicas.
        ModelError: The checkpoint is missing, incomplete or of another kind.
        DataError: Recorded scores are malformed.
    """
    spec = str(config.model)
    if config.replicas is None:
        return load_model(spec, options_of(config))
    kind, _ = split_spec(spec)
    if kind not in IN_REPLICAS:
        raise UsageError(f"--replicas is for checkpoints, and {kind} runs none: leave it out.")
    from .replicas.fleet import start_fleet

    return start_fleet(config, config.replicas, progress)
