"""What a careful person writes without packing: padded batches, completion rows only, the reference known before."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from .model import Ids

BETA = 0.1


class Padded:
    """DPO on an ordinary model of transformers.

    Args:
        model: trained as it comes.
        pairs: token ids of each pair.
        reference: of each pair the sums of log-probabilities, chosen and rejected.
        bf16: whether products are of 16 bits, under autocast; logits are widened before their sum is taken.
    """

    def __init__(
        self, model: nn.Module, pairs: Sequence[Ids], reference: Sequence[tuple[float, float]], *, bf16: bool = False
    ) -> None:
        self.model, self.pairs, self.bf16 = model.train(), pairs, bf16
        self.device = next(model.parameters()).device
        causal = cast(PreTrainedModel, model.get_base_model() if isinstance(model, PeftModel) else model)
        self.body, self.head = cast(nn.Module, causal.base_model), cast(nn.Module, causal.get_output_embeddings())
        self.reference = torch.tensor(reference, dtype=torch.float64, device=self.device)

    def accumulate(self, batch: Sequence[int]) -> float:
        """Add the gradient of the batch's mean loss; returns the loss."""
        chosen, rejected = self.sums(batch).chunk(2)
        known = self.reference[list(batch)]
        margin = (chosen - known[:, 0]) - (rejected - known[:, 1])
        loss = -F.logsigmoid(BETA * margin).mean()
        loss.backward()
        return loss.item()

    def sums(self, batch: Sequence[int]) -> Tensor:
        """The log-probability of every completion, the chosen ones first, `(2 x pair,)`, float64."""
        pairs = [self.pairs[index] for index in batch]
        sides = [(pair["prompt_ids"], pair[side]) for side in ("chosen_ids", "rejected_ids") for pair in pairs]
        ids = self._joined([prompt + completion for prompt, completion in sides])
        mask = self._joined([[1] * (len(prompt) + len(completion)) for prompt, completion in sides])
        scored = self._joined([[0] * len(prompt) + [1] * len(completion) for prompt, completion in sides]).bool()
        predicts = scored[:, 1:]
        with self._computing():
            hidden = self.body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            logits = self.head(hidden[:, :-1][predicts])
        logits = logits.float() if self.bf16 else logits
        targets = ids[:, 1:][predicts]
        own = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(1)
        owner = torch.arange(len(ids), device=self.device).repeat_interleave(predicts.sum(1))
        return torch.zeros(len(ids), dtype=torch.float64, device=self.device).index_add(0, owner, own.double())

    def _computing(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def _joined(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """One matrix, zeros at the ends of short rows."""
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(self.device)
