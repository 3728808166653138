"""Every comparison, and what of TRL's is in none."""

from .case import Case
from .different import DIFFERENT
from .equal import EQUAL

CASES: dict[str, Case] = EQUAL | DIFFERENT

NOT_OURS = {
    ("CPO", "ipo"): "IPO without a reference",
    ("TPO", "ipo"): "IPO without a reference",
    ("CPO", "kto_pair"): "which TRL itself refuses",
    ("SFT", "chunked_nll"): "an older word for `nll`",
    ("SFT", "dft"): "fine-tuning weighted by the policy's own probabilities",
}
"""TRL's trainers and words of `loss_type` that are in no comparison, and why."""
