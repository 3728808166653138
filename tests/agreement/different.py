"""The comparisons in which TRL and ours differ: why, who is right, and what makes ours TRL's. No torch here."""

from .case import Case, Difference, Part, trl
from .equal import COMPUTE, PLAIN_DPO

KTO_SOURCE = "`trl/trainer/kto_trainer.py`"
CPO_SOURCE = "`trl/experimental/cpo/cpo_trainer.py`"
ORPO_SOURCE = "`trl/experimental/orpo/orpo_trainer.py`"
TOKEN_MEAN = (
    "TRL takes one mean over all tokens of the device batch, so a long answer counts more than a short one and the "
    "result depends on what shares the batch"
)
EVERY_ANSWER = (
    "a convention; ours gives every answer the same weight, whatever shares its batch, and is TRL's number where each "
    "answer is weighted by its tokens"
)
AS_SFT = "a convention, as for `sft`"
NLL_BY_TOKEN = Part("sft", labels="chosen", by="token")

DIFFERENT: dict[str, Case] = {
    "dpo, label smoothing": Case(
        (Part("dpo", {"beta": 0.1, "label_smoothing": 0.1}),),
        trl("DPO", loss_type="sigmoid", beta=0.1, label_smoothing=0.1),
        Difference(
            f"TRL's `sigmoid` branch never reads `label_smoothing` ({COMPUTE}): it is plain DPO. Only `robust`, "
            "`exo_pair`, `aot` and `aot_unpaired` read it; nothing warns.",
            "ours: cDPO is `-(1 - e) log s(u) - e log s(-u)` (Mitchell 2023)",
            (PLAIN_DPO,),
        ),
    ),
    "ipo, sums": Case(
        (Part("ipo", {"tau": 0.1}),),
        trl("DPO", loss_type="ipo", beta=0.1),
        Difference(
            f"TRL divides each log-ratio by its number of tokens ({COMPUTE}, `ipo`); its comment says that the "
            "authors confirmed it. Our default takes the sums that the paper writes.",
            "both: eq. 17 of the paper has sums; `length_norm=token` is TRL's, and equal to it",
            (Part("ipo", {"tau": 0.1, "length_norm": "token"}),),
        ),
    ),
    "bco, later steps": Case(
        (Part("bco", {"beta": 0.1}, remember=True),),
        trl("DPO", loss_type="bco_pair", beta=0.1),
        Difference(
            f"TRL has no reward shift ({COMPUTE}, `bco_pair`): its d is 0 at every step. Ours is a running mean of the "
            "rewards of the steps before, 0 in the first.",
            "ours, by arXiv:2404.04656, where the shift is part of the loss",
            (Part("bco", {"beta": 0.1}),),
        ),
    ),
    "sppo, as its authors": Case(
        (Part("sppo", {"beta": 0.1, "eta_form": "half"}),),
        trl("DPO", loss_type="sppo_hard", beta=0.1),
        Difference(
            f"TRL adds the two squares ({COMPUTE}, `sppo_hard`), the authors' code takes their mean: a factor of two "
            "in value and gradient, and so in what a learning rate means.",
            "both; the sum is TRL's and our default, `eta_form=half` the authors'",
            (Part("sppo", {"beta": 0.1}),),
        ),
    ),
    "aot, device batches of 4": Case(
        (Part("aot", {"beta": 0.1}),),
        trl("DPO", loss_type="aot", beta=0.1, device_batch=4),
        Difference(
            f"TRL sorts within each device batch ({COMPUTE}, `aot`), so that the loss of a step depends on how it is "
            "divided. Ours sorts over the whole step.",
            "ours: the loss compares two distributions, which more of the step describes better",
            (Part("aot", {"beta": 0.1}),),
            device_batch=4,
        ),
    ),
    "aot_unpaired, device batches of 4": Case(
        (Part("aot_unpaired", {"beta": 0.1}, labels="both"),),
        trl("DPO", loss_type="aot_unpaired", beta=0.1, device_batch=4),
        Difference(
            f"As for `aot` ({COMPUTE}, `aot_unpaired`).",
            "ours, as for `aot`",
            (Part("aot_unpaired", {"beta": 0.1}, labels="both"),),
            device_batch=4,
        ),
    ),
    "sft": Case(
        (Part("sft", labels="chosen"),),
        trl("DPO", loss_type="sft"),
        Difference(f"{TOKEN_MEAN} ({COMPUTE}, `sft`).", EVERY_ANSWER, (NLL_BY_TOKEN,)),
    ),
    "sft, device batches of 4": Case(
        (Part("sft", labels="chosen"),),
        trl("DPO", loss_type="sft", device_batch=4),
        Difference(
            f"As `sft` ({COMPUTE}, `sft`); and divided otherwise, the same 8 rows have another loss.",
            "ours: the loss of a step should not depend on how it is divided",
            (NLL_BY_TOKEN,),
            device_batch=4,
        ),
    ),
    "sft, by SFTTrainer": Case(
        (Part("sft", labels="chosen"),),
        trl("SFT", loss_type="nll"),
        Difference(
            "As `sft`: one mean over all tokens (`trl/trainer/sft_trainer.py`, `compute_loss`).",
            AS_SFT,
            (NLL_BY_TOKEN,),
        ),
    ),
    "dpo + nll": Case(
        (PLAIN_DPO, Part("nll")),
        trl("DPO", loss_type=["sigmoid", "sft"], loss_weights=[1.0, 1.0], beta=0.1),
        Difference(f"As `sft` ({COMPUTE}, `sft`).", AS_SFT, (PLAIN_DPO, NLL_BY_TOKEN)),
    ),
    "mixture of MPO": Case(
        (Part("dpo", {"beta": 0.1}, 0.8), Part("bco", {"beta": 0.1}, 0.2), Part("nll")),
        trl("DPO", loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0], beta=0.1),
        Difference(
            f"As `sft`; without memory the `bco` term is the same ({COMPUTE}, `bco_pair`).",
            AS_SFT,
            (Part("dpo", {"beta": 0.1}, 0.8), Part("bco", {"beta": 0.1}, 0.2), NLL_BY_TOKEN),
        ),
    ),
    "ld_dpo, policy only": Case(
        (Part("ld_dpo", {"beta": 0.1, "alpha": 0.5, "ld_reference": "policy"}),),
        trl("DPO", loss_type="sigmoid", beta=0.1, ld_alpha=0.5),
        Difference(
            f"TRL weights the tail of the longer answer in the reference too ({COMPUTE} and `compute_ref_log_probs`), "
            "as our default does; `ld_reference=policy` weights the policy's alone.",
            "open: the paper writes the weighted likelihood for any model; both are offered, and TRL's is our default",
            (Part("ld_dpo", {"beta": 0.1, "alpha": 0.5}),),
        ),
    ),
    "wpo, likely answers": Case(
        (Part("wpo", {"beta": 0.1}),),
        trl("DPO", loss_type="sigmoid", beta=0.1, use_weighting=True),
        Difference(
            f"TRL does not clamp the product of the two weights at 1 ({COMPUTE}, `use_weighting`); the authors' code "
            "does. They differ where the policy finds both answers likelier than its own samples.",
            "ours follows the authors' code",
            (Part("dpo", {"beta": 0.1}, by="confidence"),),
        ),
        rows="likely",
    ),
    "kto, own mismatched answers": Case(
        (Part("kto", {"beta": 0.1}, labels="alternate"),),
        trl("KTO", loss_type="kto", beta=0.1),
        Difference(
            f"z0 needs answers to other prompts. TRL gives each prompt the answer of the previous row ({KTO_SOURCE}, "
            "`add_kl_completion_ids`), ours that of the next: two draws of one estimate.",
            "both; given TRL's answers, ours is equal (above)",
            (Part("kto", {"beta": 0.1}, labels="alternate"),),
            mismatched="theirs",
        ),
    ),
    "kto, device batches of 4": Case(
        (Part("kto", {"beta": 0.1}, labels="alternate"),),
        trl("KTO", loss_type="kto", beta=0.1, device_batch=4),
        Difference(
            f"TRL rotates and averages z0 within each device batch ({KTO_SOURCE}, `add_kl_completion_ids` and "
            "`_compute_loss`), and clamps each at 0: the loss of a step depends on how it is divided.",
            "ours: one estimate from the whole step has less noise, and does not depend on the division",
            (Part("kto", {"beta": 0.1}, labels="alternate"),),
            device_batch=4,
            mismatched="theirs",
        ),
    ),
    "cpo": Case(
        (Part("cpo", {"beta": 0.1, "alpha": 1.0}),),
        trl("CPO", loss_type="sigmoid", beta=0.1),
        Difference(
            f"As `sft`, in its term of likelihood ({CPO_SOURCE}, `cross_entropy_loss`).",
            AS_SFT,
            (Part("cpo", {"beta": 0.1, "alpha": 0.0}), NLL_BY_TOKEN),
        ),
    ),
    "simpo, TRL's default": Case(
        (Part("simpo", {"beta": 2.0, "gamma": 0.5}),),
        trl("CPO", loss_type="simpo", beta=2.0, simpo_gamma=0.5),
        Difference(
            "TRL's `cpo_alpha` is 1 unless it is set to 0 (`cpo_config.py`), which adds the NLL of the chosen answer "
            f"to SimPO ({CPO_SOURCE}, `get_batch_loss_metrics`).",
            "ours: SimPO (arXiv:2405.14734, eq. 6) has no such term; a mixture with `nll` adds it",
            (Part("simpo", {"beta": 2.0, "gamma": 0.5}), NLL_BY_TOKEN),
        ),
    ),
    "orpo": Case(
        (Part("orpo", {"lam": 0.1}),),
        trl("ORPO", beta=0.1),
        Difference(
            f"TRL's NLL is over prompt and answer, one mean over all tokens of the device batch ({ORPO_SOURCE}, "
            '`concatenated_forward`: "computed over the full prompt and response"). Ours is the answer\'s alone, per '
            "answer. The odds-ratio terms are equal.",
            "a convention; ours, since the prompt is not what is preferred",
            (
                Part("orpo", {"lam": 0.1}),
                Part("sft", weight=-1.0, labels="chosen"),
                Part("sft", labels="whole", by="token"),
            ),
        ),
        float32_inside=True,
        note=f"TRL's odds ratio is computed in float32 ({ORPO_SOURCE}, `odds_ratio_loss`).",
    ),
    "cpo, as TPO on the chosen answer": Case(
        (Part("cpo", {"beta": 0.1, "alpha": 1.0}),),
        trl("TPO", loss_type="sigmoid", beta=0.1),
        Difference(
            "As `sft`, in its term of likelihood (`trl/experimental/tpo/tpo_trainer.py`, `_compute_loss`). With the "
            "chosen answer as its third, TPO is CPO.",
            AS_SFT,
            (Part("cpo", {"beta": 0.1, "alpha": 0.0}), NLL_BY_TOKEN),
        ),
    ),
}
