"""Custom actions: what the assistant looks up and changes in the account system."""
