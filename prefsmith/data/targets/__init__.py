"""Preference rows as other programs read them."""
