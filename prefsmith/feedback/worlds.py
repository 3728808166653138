"""The worlds that there are, by name."""

from prefsmith.feedback.posts import Posts
from prefsmith.feedback.reviews import Reviews
from prefsmith.feedback.world import World

WORLDS: dict[str, World] = {world.name: world for world in (Reviews(), Posts())}
