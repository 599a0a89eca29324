from .base import Runner as Runner
from .devices import processor_of as processor_of, worker_devices as worker_devices
from .inline import InlineRunner as InlineRunner
from .process import ProcessRunner as ProcessRunner
