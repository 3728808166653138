"""How far judges agree with people, and people with each other."""

from prefsmith.evaluate.agreement.measure import Agreement, measure

__all__ = ["Agreement", "measure"]
