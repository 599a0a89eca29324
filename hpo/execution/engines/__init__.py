"""The set-up of engines that need more than this machine; `hpo.runners` trains on them."""
