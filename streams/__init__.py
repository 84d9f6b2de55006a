"""The running system: worker, store, alerts, console, command line, settings, telemetry."""
