"""Rows of the table that archcast trained itself, trained again."""

import numpy as np
from archcast import load_table
from archcast.trainers import run
from archcast.trainers.plans import PLANS
from archcast.trainers.table_building import records_of, retrain_sample


def test_a_sample_trained_again_agrees():
    plan = PLANS.create("mnist1d_nasbench201")
    table = load_table("mnist1d_nasbench201").select(np.array([10, 2_000, 4_000]))
    for result in retrain_sample(plan, table, 3, seed=1):
        assert abs(result.difference) <= 2 * result.noise, result


def test_a_journal_goes_on_from_the_table():
    plan = PLANS.create("mnist1d_nasbench201")
    table = load_table("mnist1d_nasbench201").select(np.array([3]))
    records = records_of(plan, table)
    requests = {request.key: request for part in (0, 1) for request in plan.requests_of(table.architectures, part)}
    assert {record.key for record in records} == set(requests)
    again = run([requests[records[0].key]], plan.trainer())[0]
    assert again.parameters == records[0].parameters and again.flops == records[0].flops
    for name, curve in again.curves.items():  # another processor rounds differently, and training spreads it
        np.testing.assert_allclose(curve[:1], records[0].curves[name][:1], rtol=0.2)
