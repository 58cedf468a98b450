"""Where people come in: when, with what, to whom, and the agents' desk."""
