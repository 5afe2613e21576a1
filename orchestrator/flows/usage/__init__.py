"""What accounts have used, hour by hour, and what outages took from them."""
