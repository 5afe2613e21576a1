"""Knows sites; never learns what a voucher is. `protocol` is the contract, `registry` makes a Site of a kind."""
