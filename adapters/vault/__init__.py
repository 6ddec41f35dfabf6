"""Secrets sealed per owner under data keys, which master keys wrap (contracts: external storage, S21 to S26)."""
