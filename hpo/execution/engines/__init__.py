"""The engines that need more than this machine."""
