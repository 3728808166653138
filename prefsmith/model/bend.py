"""What some models do to their logits behind the head's product: scale them, or bound them by a tanh."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Bend:
    """From a product x to a logit: y = scale x / divisor, and with a cap c then c tanh(y / c).

    Args:
        scale: Cohere's `logit_scale`.
        divisor: Granite's `logits_scaling`.
        cap: Gemma 2's `final_logit_softcapping`, in nats.
    """

    scale: float = 1.0
    divisor: float = 1.0
    cap: float | None = None

    def apply_(self, products: Tensor) -> Tensor:
        """Logits in the products' place, by the operations of the models, so that the bits are theirs."""
        if self.scale != 1:
            products.mul_(self.scale)
        if self.divisor != 1:
            products.div_(self.divisor)
        if self.cap is not None:
            products.div_(self.cap).tanh_().mul_(self.cap)
        return products

    def steepness(self, logits: Tensor) -> Tensor | float:
        """d logit / d product, from the logits: (scale / divisor) (1 - (y / c)^2)."""
        straight = self.scale / self.divisor
        if self.cap is None:
            return straight
        return (logits / self.cap).square_().neg_().add_(1).mul_(straight)

    def describe(self) -> str:
        """What it does, in words; empty for nothing."""
        words = [f"times {self.scale:g}"] if self.scale != 1 else []
        words += [f"divided by {self.divisor:g}"] if self.divisor != 1 else []
        words += [f"bounded by {self.cap:g}"] if self.cap is not None else []
        return f"logits {', '.join(words)}" if words else ""


STRAIGHT = Bend()


def candidates(config: object) -> list[Bend]:
    """What a model may do by what its configuration says, the simplest first; whether it does is to be seen."""
    scale, divisor, cap = (
        float(value) if isinstance(value := getattr(config, name, None), int | float) and value else None
        for name in ("logit_scale", "logits_scaling", "final_logit_softcapping")
    )
    found = [STRAIGHT]
    found += [Bend(scale=scale)] if scale else []
    found += [Bend(divisor=divisor)] if divisor else []
    found += [Bend(cap=cap)] if cap else []
    return list(dict.fromkeys(found))


def bent(slopes: Tensor, steepness: Tensor | float) -> Tensor:
    """The derivative by products in the place of that by logits."""
    return slopes if isinstance(steepness, float) and steepness == 1 else slopes.mul_(steepness)
