import os

import pytest


@pytest.fixture(scope="session")
def ray_cluster():
    """A cluster of one node that this process is connected to; tests may add nodes.

    Ray believes in eight processors, so that several executors have room on whatever machine this is.
    """
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    patience = {
        "health_check_initial_delay_ms": 500,
        "health_check_period_ms": 300,
        "health_check_failure_threshold": 5,
    }
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 8, "include_dashboard": False, "_system_config": patience},
    )
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
