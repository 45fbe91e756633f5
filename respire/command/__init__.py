"""The command line: options, parsing, messages."""
