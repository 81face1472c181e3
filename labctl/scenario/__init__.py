"""The scenario file: its format, its reader, and which scenarios there are."""
