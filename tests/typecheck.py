"""Checks every annotation in the test run. An int where a float is announced is fine, as Python's typing says."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
