"""The person's file: bytes to rows, every fault with its line and remedy; and the way back, an account as a file."""
