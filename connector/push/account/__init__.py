"""What FlexPrice holds of the customers that a file names."""
