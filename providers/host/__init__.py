"""What every site reached over SSH has in common: the connection, the on-site program's client, putting it there."""
