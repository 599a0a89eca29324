from .base import Runner as Runner
from .devices import processor_of as processor_of, worker_devices as worker_devices
from .inline import InlineRunner as InlineRunner
from .process import ProcessRunner as ProcessRunner
from .ray_cluster import (
    RayCluster as RayCluster,
    RayNeed as RayNeed,
    cluster_gpus as cluster_gpus,
    joined_ray as joined_ray,
)
from .ray_runner import RayRunner as RayRunner
