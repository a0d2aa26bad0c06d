"""The command line: the catalogue to read, to see and to search, and the laws on a loss of yours."""
