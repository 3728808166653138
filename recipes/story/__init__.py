"""The parts of recipes/stories.py: openings, rules, a model that tells stories, measures, and what is said of them."""
