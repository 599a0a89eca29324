"""The files of studies in an artifact store that other machines reach."""
