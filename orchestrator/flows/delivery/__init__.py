"""The way of messages to those whom they are for: callbacks and mail, tried for days."""
