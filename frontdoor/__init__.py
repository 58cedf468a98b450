"""Puts Foyer together: settings, application, command line and the supervision of its processes."""
