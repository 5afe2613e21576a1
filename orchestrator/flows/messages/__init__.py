"""What senders and holders are told, and when."""
