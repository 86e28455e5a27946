"""ABIs as values: measured from binaries and their debug information, written as text, compared."""
