"""The settings of a run: one frozen model per YAML section. `settings.py` fills them.

The keys of the `loss` section beyond `name` and `weight` are the loss's own settings;
`losses.registry.resolve` checks those against the loss's signature.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """A section of the settings: frozen, every key known, every number inside its range."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, values: object) -> object:
        """`epochs: true` would otherwise be read as one epoch."""
        if isinstance(values, Mapping):
            for key, value in values.items():
                known = cls.model_fields.get(str(key))
                if isinstance(value, bool) and known is not None and "bool" not in str(known.annotation):
                    raise ValueError(f"{key} is {str(value).lower()}, which is not a value it takes")
        return values


class ModelConfig(Section):
    """The policy to train."""

    path: str = ""
    """Folder of a Hugging Face causal language model, or the id of one on the hub."""
    attention: Literal["auto", "shared", "packed", "padded"] = "auto"
    """How a batch is run: `auto` takes the first of shared, packed, padded that is exact for this model."""
    device: str = "auto"
    """`auto` takes a GPU where there is one; otherwise cpu, cuda, cuda:1, mps."""
    quantize: Literal["none", "nf4", "int8"] = "none"
    """Frozen weights under an adapter in 4 (`nf4`) or 8 bits, by bitsandbytes. Head and embeddings stay float32."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose code you have read."""


class AdapterConfig(Section):
    """Small trainable weights beside frozen ones."""

    kind: Literal["none", "lora", "dora", "ia3"] = "none"
    """`none` trains all weights; `lora` low-rank updates; `dora` those and the length of each row; `ia3` factors."""
    rank: int = Field(default=8, ge=1)
    """For `lora` and `dora`: rank of the update of each adapted matrix."""
    alpha: float = Field(default=32.0, gt=0)
    """For `lora` and `dora`: the update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """For `lora` and `dora`: dropout in front of the adapter. Above 0, policy and reference differ by its noise."""
    target_modules: list[str] | str | None = None
    """Names of the modules to adapt, or `all-linear`. Default: q_proj and v_proj, or what peft knows for the model."""
    feedforward_modules: list[str] | None = None
    """For `ia3`: those of `target_modules` whose inputs are scaled and not their outputs. Default: what peft knows."""
    init: Literal["default", "gaussian", "pissa"] = "default"
    """For `lora`: how it begins. `pissa` takes the largest part of each matrix out of the base, and trains that."""

    @model_validator(mode="after")
    def _every_setting_is_read(self) -> "AdapterConfig":
        if self.kind == "none":
            return self  # RunConfig says which kind would read what is set
        idle = {
            "lora": ("feedforward_modules",),
            "dora": ("feedforward_modules", "init"),
            "ia3": ("rank", "alpha", "dropout", "init"),
        }
        for key in idle[self.kind]:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is set, and {self.kind} does not read it: leave it out")
        if self.feedforward_modules is not None and isinstance(self.target_modules, list):
            others = [name for name in self.feedforward_modules if name not in self.target_modules]
            if others:
                raise ValueError(f"feedforward_modules names {others[0]}, which target_modules does not")
        return self

    def describe(self) -> str:
        """In a few words: `lora, rank 8, alpha 32`."""
        if self.kind not in ("lora", "dora"):
            return self.kind
        init = "" if self.init == "default" else f", init {self.init}"
        return f"{self.kind}, rank {self.rank}, alpha {self.alpha:g}{init}"


_NO_ADAPTER = AdapterConfig()


class DataConfig(Section):
    """What to learn from."""

    train: str = ""
    """.jsonl, .json, .csv or .tsv (also .gz, .xz), .parquet, a folder saved by `datasets`, or hub:org/name."""
    eval: str | None = None
    """Held-out rows, in any of these forms. Without it `eval_fraction` of the prompts of `train` are held out."""
    audit: str | None = None
    """An audit.yaml of `prefsmith audit`: rows that it names are left out or weighed anew, and counted."""
    eval_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the prompts that is held out, chosen by a hash of the prompt."""
    format: Literal["auto", "preference", "dialogue", "ranked", "rating", "completion"] = "auto"
    """What a row is; `auto` recognises it from the columns of the first row, and says what it took it for."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our name of a column: yours. For example {chosen: a, rejected: b, winner: human}: human says a, b or tie."""
    pairs: Literal["all", "best_worst", "adjacent"] = "all"
    """Comparisons made of a ranked list: every pair, best against worst, or neighbours; a list counts once."""
    max_length: int | None = Field(default=None, ge=2)
    """Most tokens of prompt and completion together. Default: what the model can take."""
    truncation: Literal["keep_end", "keep_start", "drop", "refuse"] = "keep_end"
    """Longer rows: keep_end cuts the prompt at its start, keep_start does not; then answers are cut at their end."""
    template: str = "auto"
    """`auto`: the model's chat template, plain text where it has none. `plain`, or the path of a Jinja file."""
    skip_bad: bool = False
    """Write rows that cannot be used to rejected.jsonl with their reasons, instead of stopping at the first."""
    limit: int | None = Field(default=None, ge=1)
    """Read at most this many rows of each file."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that encode rows beside the run's own; `auto` starts one per core where that is worth their start."""
    cache: str = "auto"
    """Where rows and ids are kept for later runs: a folder, `auto` ($XDG_CACHE_HOME or ~/.cache), or `none`."""


class LossConfig(BaseModel):
    """Which objective, with which settings of its own (`prefsmith losses` shows them)."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    name: str = "dpo"
    """Name of the loss in the registry."""
    weight: float = Field(default=1.0, gt=0)
    """How much this term counts beside others; each term has its own denominator."""

    @property
    def settings(self) -> dict[str, Any]:
        """The loss's own settings, as they were given."""
        return dict(self.model_extra or {})


class ReferenceConfig(Section):
    """The model that the policy is compared with."""

    kind: Literal["auto", "frozen", "adapter_off", "cached", "ema", "none"] = "auto"
    """`auto`: the base model under an adapter, else a frozen copy of the start. `ema`: an average of the policy.
    `cached`: as `auto`, but all rows are scored before the first step, and no copy is kept."""
    path: str | None = None
    """Another model as the reference. Training then need not start at the reference."""
    alpha: float = Field(default=0.6, gt=0, le=1)
    """For `ema`: the policy's share when the average moves; 1 puts the policy itself in its place."""
    every: int = Field(default=512, ge=1)
    """For `ema`: optimiser steps between moves."""
    cache: str | None = None
    """For `cached`: folder of log-probabilities that runs share. Default: prefsmith in $XDG_CACHE_HOME or ~/.cache."""

    @model_validator(mode="after")
    def _only_an_average_moves(self) -> "ReferenceConfig":
        idle = [key for key in ("alpha", "every") if getattr(self, key) != type(self).model_fields[key].default]
        if idle and self.kind != "ema":
            raise ValueError(f"{idle[0]} is set, but kind is {self.kind}: set kind=ema")
        if self.cache is not None and self.kind != "cached":
            raise ValueError(f"cache is set, but kind is {self.kind}: set kind=cached")
        return self

    @model_validator(mode="after")
    def _a_path_is_a_frozen_model(self) -> "ReferenceConfig":
        if self.path is not None and self.kind == "ema":
            raise ValueError("path names a reference, but kind is ema, an average that starts at the policy")
        if self.path is not None and self.kind not in ("auto", "frozen", "cached"):
            raise ValueError(f"path names a reference, but kind is {self.kind}: leave one of them out")
        return self


class OptimConfig(Section):
    """How the weights move."""

    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """Peak step size of AdamW. Default: 1e-5 for all weights, 1e-4 for lora and dora, 1e-3 for ia3."""
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    """What follows the warm-up: stay, or fall to zero at the last step."""
    warmup_steps: int = Field(default=10, ge=0)
    """Steps over which the learning rate rises linearly to its peak."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decoupled decay of matrices; biases, norms and factors of ia3 are never decayed."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this L2 norm."""


GPU_TOKENS = 8192  # of a micro-batch on a GPU, where no budget is named


class TrainConfig(Section):
    """How long, in which steps."""

    pairs_per_step: int = Field(default=32, ge=1)
    """Comparisons (or ratings) that share one optimiser step, whatever the micro-batches."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the training rows."""
    max_steps: int | None = Field(default=None, ge=1)
    """Stop after this many steps."""
    token_budget: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Most tokens of a micro-batch; no row may have more. `auto` takes the most that memory holds. Default: 1,024 on a
    CPU, 8,192 on a GPU, or the longest row."""
    memory_limit: float | None = Field(default=None, gt=0)
    """For `token_budget=auto`: GiB that the run may take, on every GPU or of the machine's memory. Default: what is
    free when it begins."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of matrix products. Weights, AdamW's averages, logits and sums stay float32 with `bf16` too."""
    activation_checkpointing: bool = False
    """Keep only the input of each layer and run it again in backward: less memory, more time, the same numbers."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: each has a whole copy of the model (`ddp`), or a part of every weight (`fsdp`)."""
    deterministic: bool = False
    """Refuse operations that are not reproducible to the bit (on a GPU; a CPU run always is)."""
    seed: int = Field(default=0, ge=0)
    """Determines the order of the rows, the adapter's initial weights, and dropout."""

    @model_validator(mode="after")
    def _a_limit_is_for_an_automatic_budget(self) -> "TrainConfig":
        if self.memory_limit is not None and self.token_budget != "auto":
            budget = "left as it is" if self.token_budget is None else self.token_budget
            raise ValueError(f"memory_limit is set, but token_budget is {budget}: set token_budget=auto")
        return self

    @property
    def budget(self) -> int:
        """`token_budget` as a number, which it is once the run has begun; before, a GPU's where none is named."""
        if self.token_budget == "auto":
            raise ValueError("the token budget is not settled yet")
        return GPU_TOKENS if self.token_budget is None else self.token_budget


class CheckpointConfig(Section):
    """What survives an interruption."""

    every: int = Field(default=100, ge=1)
    """Steps between checkpoints; the last step and a signal save one too."""
    keep: int = Field(default=2, ge=1)
    """How many of the newest whole checkpoints stay on disk."""
    background: bool = False
    """Write checkpoints while training goes on; takes memory for a copy of weights and averages."""


FEWEST_SAMPLES = 4  # that an interval can be made of


class EvaluateConfig(Section):
    """When the held-out rows are scored, and what is sampled for a look."""

    every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0 evaluates once, at the end."""
    samples: int = Field(default=8, ge=0)
    """Prompts that the model answers before and after training, held-out ones first, for the report. 0: none."""
    sample_tokens: int = Field(default=128, ge=1)
    """Most tokens of such an answer."""
    kl_budget: float | None = Field(default=None, gt=0)
    """Nats an answer that the policy may move from its start. Where set, every evaluation estimates them from samples,
    and passing it is warned of; nothing is stopped."""

    @model_validator(mode="after")
    def _a_budget_is_measured_on_samples(self) -> "EvaluateConfig":
        if self.kl_budget is not None and self.samples < FEWEST_SAMPLES:
            raise ValueError(f"kl_budget is set, but samples is {self.samples}: set samples={FEWEST_SAMPLES} or more")
        return self


class RunConfig(Section):
    """Everything that changes what a run computes. Saved as run.yaml in the run's folder."""

    version: Literal[1] = 1
    """Version of this schema."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    adapter: AdapterConfig = Field(default_factory=AdapterConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    loss: LossConfig | list[LossConfig] = Field(default_factory=LossConfig)
    reference: ReferenceConfig = Field(default_factory=ReferenceConfig)
    optim: OptimConfig = Field(default_factory=OptimConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig)
    out: str | None = None
    """Folder of the run. Default: the first free runs/<loss>-<number>."""

    @field_validator("out")
    @classmethod
    def _at_home(cls, value: str | None) -> str | None:
        """`~` is the user's folder here too, and not the name of a new one."""
        return str(Path(value).expanduser()) if value and value.startswith("~") else value

    @field_validator("loss", mode="before")
    @classmethod
    def _at_least_one_loss(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, list) and not value:
            raise ValueError("an empty list of losses trains nothing")
        return value

    @model_validator(mode="after")
    def _adapter_off_needs_an_adapter(self) -> "RunConfig":
        if self.reference.kind == "adapter_off" and self.adapter.kind == "none":
            raise ValueError("reference.kind is adapter_off, but adapter.kind is none: set adapter.kind=lora")
        idle = [key for key, value in self.adapter if value != getattr(_NO_ADAPTER, key)]
        if idle and self.adapter.kind == "none":
            kind = "ia3" if idle[0] == "feedforward_modules" else "lora"
            raise ValueError(f"adapter.{idle[0]} is set, but adapter.kind is none: set adapter.kind={kind}")
        return self

    @model_validator(mode="after")
    def _quantized_weights_stand_still(self) -> "RunConfig":
        kind = self.model.quantize
        if kind == "none":
            return self
        if self.adapter.kind == "none":
            raise ValueError(f"model.quantize is {kind}, whose weights cannot be trained: set adapter.kind=lora")
        if self.adapter.init == "pissa":
            raise ValueError(f"adapter.init is pissa, which rewrites the base, and model.quantize is {kind}")
        if self.reference.kind == "ema":
            raise ValueError(
                f"reference.kind is ema, whose steps round to nothing in weights of model.quantize={kind}: "
                "leave reference.kind at auto"
            )
        return self

    @model_validator(mode="after")
    def _an_average_is_of_sums(self) -> "RunConfig":
        if self.reference.kind == "ema" and self.adapter.kind in ("dora", "ia3"):
            kind = self.adapter.kind
            raise ValueError(
                f"reference.kind is ema, which averages what an adapter adds to weights, and {kind} scales them: "
                "set adapter.kind=lora or none, or leave reference.kind at auto"
            )
        return self

    @model_validator(mode="after")
    def _the_base_is_where_training_begins(self) -> "RunConfig":
        implicit = self.reference.path is None and self.reference.kind not in ("frozen", "none")
        if self.adapter.init == "pissa" and implicit:
            raise ValueError(
                f"adapter.init is pissa, which rewrites the base, and reference.kind is {self.reference.kind}: "
                "the base with the adapter off is not the policy that training begins from; set reference.kind=frozen, "
                "or name the base again as reference.path"
            )
        return self

    @property
    def losses(self) -> list[LossConfig]:
        """The terms of the objective, one or more."""
        return self.loss if isinstance(self.loss, list) else [self.loss]

    @property
    def learning_rate(self) -> float:
        """The peak learning rate, with the default that fits what is trained."""
        if self.optim.learning_rate is not None:
            return self.optim.learning_rate
        return {"none": 1e-5, "lora": 1e-4, "dora": 1e-4, "ia3": 1e-3}[self.adapter.kind]

    def to_yaml(self) -> str:
        """Every setting, as a file that gives this configuration when read."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def flat(self) -> dict[str, object]:
        """Every setting by its dotted name."""
        return dict(_flat(self.model_dump(), ()))


def changed_keys(before: RunConfig, after: RunConfig) -> list[str]:
    """Dotted names of the settings that differ."""
    old, new = before.flat(), after.flat()
    return [key for key in {**old, **new} if old.get(key) != new.get(key)]


def _flat(values: object, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _flat(value, (*path, str(key)))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _flat(value, (*path, str(index)))
    else:
        yield ".".join(path), values
