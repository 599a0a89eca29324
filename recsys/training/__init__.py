"""Training of a two-tower model: windows, negatives, loss, optimizer, epochs, snapshots."""
