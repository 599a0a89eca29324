"""Run a study: launcher, scheduler, ledger, failure policy, progress."""
