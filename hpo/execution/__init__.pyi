from .launcher import launch as launch
from .request import Request as Request
