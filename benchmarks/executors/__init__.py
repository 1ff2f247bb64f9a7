"""What one more trial costs when every trial has a process of its own, or a thread, or an actor."""
