"""The files of studies: beside the storage, and in an artifact store for other machines."""
