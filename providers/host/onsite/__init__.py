"""The on-site program: everything a host must do about its accounts with Tenure dead. Standard library only.

Shipped as a folder that bears its hash and run as root; it imports nothing outside this package. Each part of an
account is a module with `observe(config, account) -> dict | None`, `ensure(config, account) -> dict` and
`remove(config, account_id) -> None`, where `account` is `spec.Account` (the spec with its uid and slot).
"""
