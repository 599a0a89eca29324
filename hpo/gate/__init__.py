"""What stands between a study's best trial and the registry: race, exam, verdict."""
