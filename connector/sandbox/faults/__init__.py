"""What goes wrong, and by which switch. A new fault is added here."""
