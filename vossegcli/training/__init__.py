"""One training loop for all systems; opens no file, reports through callbacks."""
