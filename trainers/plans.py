"""The tables that archcast trains itself."""

from __future__ import annotations

from dataclasses import replace

from ..registry import Entry, Registry
from .recipes import signals
from .records import Fidelity
from .table_plan import Part, TablePlan

PLANS = Registry(
    "plan",
    {
        "mnist1d_nasbench201": Entry(
            ".trainers.plans:mnist1d_nasbench201", "the 6,466 NAS-Bench-201 cells on MNIST-1D, 4 seeds, 10 epochs"
        ),
    },
)
"""Plans of tables by name; `archcast table build` carries them out."""

register_plan = PLANS.register


def mnist1d_nasbench201() -> TablePlan:
    """Return the plan of the NAS-Bench-201 cells as networks for signals.

    One stage of one cell with 16 channels: deeper networks saturate on this task, and their order becomes noise.
    """
    recipe = signals()
    return TablePlan(
        name="mnist1d_nasbench201",
        space="nasbench201",
        task="mnist1d",
        task_parameters={"valid": 500, "test": 2000, "length": 20},
        parts=(
            Part(Fidelity(), (0, 1, 2, 3), recipe),
            Part(Fidelity(data_share=0.25), (0, 1), replace(recipe, test="last_epoch")),
        ),
        proxies=(
            "grad_norm",
            "snip",
            "grasp",
            "fisher",
            "synflow",
            "jacob_cov",
            "epe_nas",
            "naswot",
            "zen",
            "l2_norm",
        ),
        about={
            "description": (
                "NAS-Bench-201 cells trained on MNIST-1D, one of each of the 6,466 canonical classes: one stage of one "
                "cell with 16 channels, 2,000 training signals of 20 points, 10 epochs"
            ),
            "source": "trained by archcast; signals by the recipe of Greydanus and Kobak (ICML 2024)",
            "licence": "MIT",
            "citation": (
                "cells: Dong and Yang, NAS-Bench-201, ICLR 2020; "
                "signals: Greydanus and Kobak, Scaling Down Deep Learning with MNIST-1D, ICML 2024"
            ),
            "conversion": "archcast table build mnist1d_nasbench201 TARGET --journal JOURNAL",
        },
    )
