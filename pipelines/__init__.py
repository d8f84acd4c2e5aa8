"""The parts of Flexsync in the order of their use."""
