"""The console: what the care team sees. Reads through `ports`, knows neither Redis nor Kafka."""
