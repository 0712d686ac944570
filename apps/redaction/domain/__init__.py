"""Which values are hidden, what stands for them, and how both become each other. Pure."""
