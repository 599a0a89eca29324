from .launcher import launch as launch
from .listeners import TrialEnd as TrialEnd
from .request import Request as Request
