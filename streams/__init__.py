"""The running system: worker, store, alert lifecycle, console, command line, settings, telemetry."""
