from .base import Runner as Runner
from .devices import processor_of as processor_of, worker_devices as worker_devices
from .inline import InlineRunner as InlineRunner
from .on_ray.cluster import (
    RayCluster as RayCluster,
    RayNeed as RayNeed,
    cluster_gpus as cluster_gpus,
    joined_ray as joined_ray,
)
from .on_ray.runner import RayRunner as RayRunner
from .process import ProcessRunner as ProcessRunner
