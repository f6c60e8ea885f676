"""The tables that archcast trains itself."""

from __future__ import annotations

from ..registry import Registry
from .recipe import Recipe
from .records import Fidelity
from .table_plan import Part, TablePlan

PLANS = Registry("plan", {})
"""Plans of tables by name; `archcast table build` carries them out."""

register_plan = PLANS.register


@register_plan("mnist1d_nasbench201")
def mnist1d_nasbench201() -> TablePlan:
    """Return the plan of the NAS-Bench-201 cells as networks for signals.

    One stage of one cell with 16 channels: deeper networks saturate on this task, and their order becomes noise.
    """
    values = {
        "optimizer": "adamw",
        "learning_rate": 0.06,
        "weight_decay": 0.01,
        "schedule": "one_cycle",
        "epochs": 8,
        "batch_size": 100,
        "channels": 16,
        "stages": 1,
        "cells": 1,
    }
    return TablePlan(
        name="mnist1d_nasbench201",
        space="nasbench201",
        task="mnist1d",
        task_parameters={"valid": 500, "test": 2000, "length": 20},
        parts=(
            Part(Fidelity(), (0, 1, 2, 3), Recipe(**values)),  # type: ignore[arg-type]
            Part(Fidelity(data_share=0.25), (0, 1), Recipe(**values, test="last_epoch")),  # type: ignore[arg-type]
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
                "cell with 16 channels, 2,000 training signals of 20 points, 8 epochs, four seeds"
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
