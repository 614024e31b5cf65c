"""Which commands does the terminal have beside those in `growsearch.cli`? One file a command."""
