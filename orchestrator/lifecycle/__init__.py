"""Pure rules: states, deadlines, offers, vouchers, holders, contracts. No I/O, no clock, no randomness."""
