"""Write a study's report, compare studies, export trials."""
