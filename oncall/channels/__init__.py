"""How a message leaves the house. Each adapter says honestly whether it was sent, was not, or nobody knows."""
