"""What people and machines are told: terminal, JSON, log lines, pages."""
