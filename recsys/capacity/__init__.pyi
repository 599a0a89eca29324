from .needs import Capacity as Capacity
from .processor import Processor as Processor
from .seconds import MEASURED_ON as MEASURED_ON, shown_seconds as shown_seconds
