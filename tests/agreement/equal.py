"""The comparisons in which both sides compute the same. No torch here: both sides and the ordinary tests read it."""

from .case import Case, Part, trl

COMPUTE = "`trl/trainer/dpo_trainer.py`, `_compute_loss`"
PLAIN_DPO = Part("dpo", {"beta": 0.1})

EQUAL: dict[str, Case] = {
    "dpo": Case((PLAIN_DPO,), trl("DPO", loss_type="sigmoid", beta=0.1)),
    "dpo, beta 1": Case((Part("dpo", {"beta": 1.0}),), trl("DPO", loss_type="sigmoid", beta=1.0)),
    "dpo_norm": Case((Part("dpo_norm", {"beta": 5.0}),), trl("DPO", loss_type="sigmoid_norm", beta=5.0)),
    "robust_dpo": Case(
        (Part("robust_dpo", {"beta": 0.1, "noise": 0.1}),),
        trl("DPO", loss_type="robust", beta=0.1, label_smoothing=0.1),
    ),
    "hinge": Case((Part("hinge", {"beta": 0.05}),), trl("DPO", loss_type="hinge", beta=0.05)),
    "ipo per token": Case((Part("ipo", {"tau": 0.1, "length_norm": "token"}),), trl("DPO", loss_type="ipo", beta=0.1)),
    "exo": Case(
        (Part("exo", {"beta": 0.1, "epsilon": 0.001}),),
        trl("DPO", loss_type="exo_pair", beta=0.1, label_smoothing=0.001),
    ),
    "nca": Case((Part("nca", {"beta": 0.01}),), trl("DPO", loss_type="nca_pair", beta=0.01)),
    "bco, first step": Case((Part("bco", {"beta": 0.1}),), trl("DPO", loss_type="bco_pair", beta=0.1)),
    "bco_unpaired, first step": Case(
        (Part("bco_unpaired", {"beta": 0.1}, 2.0, labels="both"),),
        trl("DPO", loss_type="bco_pair", beta=0.1),
        note="A mean over answers is half of the sum over a pair's sides, hence the factor of 2.",
    ),
    "sppo": Case((Part("sppo", {"beta": 0.1}),), trl("DPO", loss_type="sppo_hard", beta=0.1)),
    "aot": Case((Part("aot", {"beta": 0.1}),), trl("DPO", loss_type="aot", beta=0.1)),
    "aot, label smoothing": Case(
        (Part("aot", {"beta": 0.1, "label_smoothing": 0.2}),),
        trl("DPO", loss_type="aot", beta=0.1, label_smoothing=0.2),
    ),
    "aot_unpaired": Case(
        (Part("aot_unpaired", {"beta": 0.1}, labels="both"),), trl("DPO", loss_type="aot_unpaired", beta=0.1)
    ),
    "apo_zero": Case((Part("apo_zero", {"beta": 0.1}),), trl("DPO", loss_type="apo_zero", beta=0.1)),
    "apo_down": Case((Part("apo_down", {"beta": 0.1}),), trl("DPO", loss_type="apo_down", beta=0.1)),
    "discopop": Case(
        (Part("discopop", {"beta": 0.05, "tau": 0.05}),), trl("DPO", loss_type="discopop", beta=0.05, discopop_tau=0.05)
    ),
    "fdpo, forward KL": Case(
        (Part("fdpo", {"beta": 0.1, "divergence": "forward_kl"}),),
        trl("DPO", loss_type="sigmoid", beta=0.1, f_divergence_type="forward_kl"),
    ),
    "fdpo, Jensen-Shannon": Case(
        (Part("fdpo", {"beta": 0.1, "divergence": "js"}),),
        trl("DPO", loss_type="sigmoid", beta=0.1, f_divergence_type="js_divergence"),
    ),
    "fdpo, alpha 0.5": Case(
        (Part("fdpo", {"beta": 0.1, "divergence": "alpha", "alpha": 0.5}),),
        trl("DPO", loss_type="sigmoid", beta=0.1, f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.5),
        float64=False,
        note=f"TRL's table of clamps has no entry for float64 ({COMPUTE}, `alpha_divergence`), hence float32 alone.",
    ),
    "ld_dpo": Case(
        (Part("ld_dpo", {"beta": 0.1, "alpha": 0.5}),), trl("DPO", loss_type="sigmoid", beta=0.1, ld_alpha=0.5)
    ),
    "wpo": Case((Part("wpo", {"beta": 0.01}),), trl("DPO", loss_type="sigmoid", beta=0.01, use_weighting=True)),
    "kto, TRL's mismatched answers": Case(
        (Part("kto", {"beta": 0.1, "undesirable_weight": 1.5}, labels="alternate"),),
        trl("KTO", loss_type="kto", beta=0.1, undesirable_weight=1.5),
        mismatched="theirs",
        note="Given the answers to other prompts that TRL draws for z0.",
    ),
    "apo_zero_unpaired": Case(
        (Part("apo_zero_unpaired", {"beta": 0.1}, labels="alternate"),),
        trl("KTO", loss_type="apo_zero_unpaired", beta=0.1),
    ),
    "cpo without its NLL": Case(
        (Part("cpo", {"beta": 0.1, "alpha": 0.0}),),
        trl("CPO", loss_type="sigmoid", beta=0.1, cpo_alpha=0.0),
    ),
    "cpo, soft label": Case(
        (Part("cpo", {"beta": 0.1, "alpha": 0.0}, prob=0.9),),
        trl("CPO", loss_type="sigmoid", beta=0.1, cpo_alpha=0.0, label_smoothing=0.1),
    ),
    "simpo, soft label": Case(
        (Part("simpo", {"beta": 2.0, "gamma": 0.0}, prob=0.9),),
        trl("CPO", loss_type="simpo", beta=2.0, simpo_gamma=0.0, cpo_alpha=0.0, label_smoothing=0.1),
    ),
    "simpo": Case(
        (Part("simpo", {"beta": 2.0, "gamma": 0.5}),),
        trl("CPO", loss_type="simpo", beta=2.0, simpo_gamma=0.5, cpo_alpha=0.0),
    ),
    "alphapo": Case(
        (Part("alphapo", {"beta": 2.5, "alpha": 0.25, "gamma": 0.1}),),
        trl("CPO", loss_type="alphapo", beta=2.5, alpha=0.25, simpo_gamma=0.1),
    ),
    "slic without its regulariser": Case(
        (Part("slic", {"delta": 1.0, "lam": 0.0}),),
        trl("CPO", loss_type="hinge", beta=1.0, cpo_alpha=0.0),
    ),
    "slic, as TPO without its NLL": Case(
        (Part("slic", {"delta": 1.0, "lam": 0.0}),),
        trl("TPO", loss_type="hinge", beta=1.0, tpo_alpha=0.0),
    ),
    "cpo, as TPO without its NLL": Case(
        (Part("cpo", {"beta": 0.1, "alpha": 0.0}),),
        trl("TPO", loss_type="sigmoid", beta=0.1, tpo_alpha=0.0),
    ),
    "simpo, as TPO-L without its NLL": Case(
        (Part("simpo", {"beta": 2.0, "gamma": 0.5}),),
        trl("TPO", loss_type="tpo-l", beta=2.0, tpo_l_gamma=0.5, tpo_alpha=0.0),
    ),
}
