"""Training: how pocket is made from rooms."""
