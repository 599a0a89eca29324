from .launcher import launch as launch
from .listeners import TrialEnd as TrialEnd
from .request import SAME_CALL as SAME_CALL, Request as Request
from .stopping.stop_request import ask_to_stop as ask_to_stop, last_launcher as last_launcher
from .summary import result_tables as result_tables
