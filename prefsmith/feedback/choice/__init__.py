"""Which pairs to have labelled next: what is known of the pairs so far, and what a label would add."""
