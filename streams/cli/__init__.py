"""The `tocsin` command: `streams.cli.main`."""
