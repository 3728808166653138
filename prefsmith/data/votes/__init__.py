"""Files of judgements: who said what of which two answers."""
