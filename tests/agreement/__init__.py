"""`make agreement`: TRL's own trainers and prefsmith on the same rows and the same weights, compared."""
