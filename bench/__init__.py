"""Benchmarks: each module measures one thing and is run by `./foyer bench NAME`."""
