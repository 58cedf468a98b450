"""The core: messages, who may speak, the store, and the workers. Depends on no other room."""
