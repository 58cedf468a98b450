"""What runs inside Rasa's own interpreter: channel, dialogue state, action endpoint, language-understanding components."""
