"""What each endpoint answers: parameters, filters, listings, reads and writes. A new endpoint is added here."""
