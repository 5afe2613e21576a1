"""What is owed to accounts, and doing it: every flow observes first, may be killed anywhere, and is safe twice."""
