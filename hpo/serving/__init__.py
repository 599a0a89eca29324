"""Answer over HTTP and in bulk with a registered model."""
