"""Preference: what a language model pays for its answers, by comparison, by verdict or by reward."""
