"""What recordings by the thousand hours take, reckoned from what was measured on few."""
