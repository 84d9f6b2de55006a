"""The alert policy: thresholds and all that is tuned about alerts, as versioned configuration."""
