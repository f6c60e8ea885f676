"""The commands of the command line, one module each; modules import nothing heavy at the top."""
