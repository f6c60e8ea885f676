"""The report of a study as Markdown, and as a web page with everything in it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ArchcastError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .report import StudyReport

_TOP = 10
_PARTS = 3

_PICTURES = {
    "anytime": ("The best so far", "Every outcome in the order of picking, and the best until then."),
    "forecasts": ("Forecasts", "What was forecast when an architecture was picked, beside what its training gave."),
    "curves": ("Learning curves", "The metric by epoch."),
}
"""Heading and caption of each picture."""

_EDITS_HEADING = "What might improve on the best found"

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 1080px; margin: 2rem auto;
       padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.lead { color: #57606a; margin-top: 0; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; }
.card { border: 1px solid #d0d7de; border-radius: 8px; padding: .6rem 1rem; min-width: 8rem; }
.card b { display: block; font-size: 1.3rem; } .card span { color: #57606a; font-size: .85rem; }
table { border-collapse: collapse; font-size: .86rem; width: 100%; }
th, td { text-align: left; padding: .3rem .55rem; border-bottom: 1px solid #eaeef2; vertical-align: top; }
th { color: #57606a; font-weight: 600; } td.n { text-align: right; font-variant-numeric: tabular-nums;
     white-space: nowrap; }
code { font: .84rem ui-monospace, monospace; overflow-wrap: anywhere; }
tr.best { background: #fff3e6; } tr.failed, tr.pruned { color: #6e7781; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #57606a; font-size: .86rem; }
.scroll { overflow-x: auto; }
"""


# ---- the words, common to both --------------------------------------------------------------------------------------


def facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what stands above all else, as name and text."""
    study, counts, best, quality = (content[name] for name in ("study", "counts", "best", "forecasts"))
    shown = [
        ("best " + study["metric"], "none yet" if best is None else number(best["value"])),
        ("finished", str(counts["finished"])),
    ]
    shown += [(state, str(counts[state])) for state in ("pruned", "failed", "running", "waiting") if counts[state]]
    shown.append(("seconds of training", number(content["seconds"])))
    if content["regret"] is not None:
        unit = content["regret"]["unit"]
        shown.append((f"regret{f' ({unit})' if unit else ''}", number(content["regret"]["regret"])))
    if quality["kendall_tau"] is not None:
        shown.append((f"Kendall tau of {quality['count']} forecasts", number(quality["kendall_tau"])))
        shown.append(("outcomes within the central 90 %", f"{100 * quality['within_90']:.0f} %"))
    return shown


def setup(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how the study searches, as name and text."""
    study = content["study"]
    fidelity = {name: value for name, value in study["fidelity"].items() if value not in (None, 1.0)}
    rows = [
        ("space", _named(study["space"], "space")),
        ("metric", f"{study['metric']}, {study['direction']} is better"),
        ("searcher", _named(study["searcher"], "name")),
        ("sources", ", ".join(item["source"] for item in study["sources"])),
        ("seed", str(study["seed"])),
        ("seeds of each architecture", ", ".join(map(str, study["seeds"])) if len(study["seeds"]) > 1 else ""),
        ("task", study["task"]),
        ("recipe", _pairs(study["recipe"])),
        ("fidelity", _pairs(fidelity) or "full"),
        ("pruner", _named(study["pruner"], "name") if study["pruner"] else "none"),
        ("storage", study["storage"]),
    ]
    return [(name, text) for name, text in rows if text]


def why(pick: Mapping[str, Any]) -> str:
    """Return in a few words why an architecture was picked."""
    words = ["to begin with"] if pick["initial"] else []
    if pick["forecast_mean"] is None:
        return words[0] if words else "before there was a forecast"
    words.append(f"forecast {number(pick['forecast_mean'])} ± {number(pick['forecast_std'])}")
    if pick["acquisition"] is not None:
        words.append(f"acquisition {number(pick['acquisition'])}")
    if pick["contributions"]:
        parts = ", ".join(f"{item['feature']} {item['value']:+.2g}" for item in pick["contributions"][:_PARTS])
        words.append(f"because of {parts}")
    if pick["neighbors"]:
        near = ", ".join(f"#{item['number']} ({number(item['value'])})" for item in pick["neighbors"])
        words.append(f"resembles {near}")
    return "; ".join(words)


def edit(record: Mapping[str, Any]) -> str:
    """Return an edit of the best found, and what is forecast to come of it."""
    return (
        f"{record['edit']}: forecast {number(record['forecast'])}, improvement {record['gain']:+.2g} ± "
        f"{number(record['deviation'])}, better with probability {100 * record['probability']:.0f} %"
    )


def outcome(pick: Mapping[str, Any]) -> str:
    """Return what came of an architecture."""
    if pick["state"] == "finished":
        spread = "" if pick["spread"] is None else f" ± {number(pick['spread'])}"
        return number(pick["value"]) + spread
    if pick["state"] == "pruned":
        return f"stopped at {number(pick['last_value'])} after epoch {pick['epochs']}"
    return f"failed: {pick['message']}" if pick["state"] == "failed" and pick["message"] else str(pick["state"])


def number(value: float | None) -> str:
    """Return a number as people read it."""
    return "-" if value is None else f"{value:.4g}"


def ranked(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the finished picks, best first."""
    sign = -1 if content["study"]["direction"] == "higher" else 1
    finished = [pick for pick in content["picks"] if pick["state"] == "finished"]
    return sorted(finished, key=lambda pick: sign * pick["value"])


def _named(value: Mapping[str, Any], key: str) -> str:
    parameters = _pairs(value.get("parameters") or {})
    return f"{value[key]}({parameters})" if parameters else str(value[key])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


# ---- Markdown -------------------------------------------------------------------------------------------------------


def markdown(content: Mapping[str, Any]) -> str:
    """Return a report as Markdown."""
    study, best = content["study"], content["best"]
    lines = [f"# Study {_cell(study['name'])}", ""]
    lines += [f"- **{name}**: {_cell(text)}" for name, text in facts(content)]
    lines += ["", "## The best found", ""]
    if best is None:
        lines.append("No training has finished yet.")
    else:
        lines += [f"`{best['architecture']}` (#{best['number']})", "", f"- outcome: {outcome(best)}", f"- {why(best)}"]
        if best["surprise"] is not None:
            lines.append(f"- {_surprise(best)}")
    if content["regret"] is not None:
        lines.append(f"- {_regret(content['regret'])}")
    if content["edits"]:
        lines += ["", f"## {_EDITS_HEADING}", "", *(f"- {_cell(edit(record))}" for record in content["edits"])]
    lines += ["", "## The top", "", *_markdown_table(ranked(content)[:_TOP])]
    lines += ["", "## What was picked, and why", "", *_markdown_table(content["picks"])]
    lines += ["", "## How it searches", ""]
    lines += [f"- {name}: {_cell(text)}" for name, text in setup(content)]
    return "\n".join(lines) + "\n"


def _markdown_table(picks: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ["| # | architecture | outcome | why it was picked | seconds |", "|--:|---|---|---|--:|"]
    return head + [
        f"| {pick['number']} | `{_cell(pick['architecture'])}` | {_cell(outcome(pick))} | {_cell(why(pick))} | "
        f"{number(pick['seconds'])} |"
        for pick in picks
    ]


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _surprise(pick: Mapping[str, Any]) -> str:
    side = "above" if pick["surprise"] > 0 else "below"
    return f"the outcome is {abs(pick['surprise']):.1f} deviations {side} the forecast"


def _regret(regret: Mapping[str, Any]) -> str:
    if regret["regret"] is None:
        return f"{regret['table']} does not know the best found"
    return (
        f"regret by {regret['table']}: {number(regret['regret'])} {regret['unit']} "
        f"({number(regret['value'])}, where the best is {number(regret['best_in_table'])})"
    )


# ---- the web page ---------------------------------------------------------------------------------------------------


def page(report: StudyReport) -> str:
    """Return a report as a web page."""
    from .plots import figures

    content = report.content
    study, best = content["study"], content["best"]
    cards = "".join(
        f"<div class=card><b>{_text(text)}</b><span>{_text(name)}</span></div>" for name, text in facts(content)
    )
    parts = [
        f"<h1>Study {_text(study['name'])}</h1>",
        f"<p class=lead>{_text(study['metric'])} of {_text(study['space']['space'])}, searched by "
        f"{_text(study['searcher']['name'])}</p>",
        f"<div class=cards>{cards}</div>",
        "<h2>The best found</h2>",
        _best(report),
    ]
    if content["edits"]:
        listed = "".join(f"<li>{_text(edit(record))}</li>" for record in content["edits"])
        parts.append(f"<h2>{_EDITS_HEADING}</h2><ul>{listed}</ul>")
    for name, figure in figures(report.study).items():
        heading, caption = _PICTURES[name]
        parts.append(f"<h2>{heading}</h2>{_picture(figure, caption)}")
    parts.append(f"<h2>The top {min(_TOP, content['counts']['finished'])}</h2>{_table(ranked(content)[:_TOP], best)}")
    parts.append(f"<h2>What was picked, and why</h2>{_table(content['picks'], best)}")
    rows = "".join(
        f"<tr><th>{_text(name)}</th><td><code>{_text(text)}</code></td></tr>" for name, text in setup(content)
    )
    parts.append(f"<h2>How it searches</h2><table>{rows}</table>")
    title = f"Study {_text(study['name'])}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>{chr(10).join(parts)}</body></html>\n"
    )


def _best(report: StudyReport) -> str:
    best = report.content["best"]
    if best is None:
        return "<p>No training has finished yet.</p>"
    items = [f"outcome: <b>{_text(outcome(best))}</b>", _text(why(best))]
    if best["surprise"] is not None:
        items.append(_text(_surprise(best)))
    for name in ("seconds", "parameters", "flops"):
        if best[name]:
            items.append(f"{name}: {best[name]:,.4g}" if name == "seconds" else f"{name}: {best[name]:,}")
    if report.content["regret"] is not None:
        items.append(_text(_regret(report.content["regret"])))
    drawing = _drawing(report, best["number"])
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f"<p><code>{_text(best['architecture'])}</code> (#{best['number']})</p><ul>{listed}</ul>{drawing}"


def _drawing(report: StudyReport, number: int) -> str:
    """Return a drawing of an architecture, nothing where its space has none."""
    from ..spaces.drawing import draw

    trial = next(trial for trial in report.study.trials() if trial.number == number)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=130, layout="constrained")
    try:
        draw(trial.architecture, ax=figure.subplots())
    except (ArchcastError, ValueError):
        return ""
    return _picture(figure, "What is grey does not matter for the output.")


def _picture(figure: Figure, caption: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    data = base64.b64encode(stream.getvalue()).decode()
    alt = _text(caption)
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>{alt}</figcaption></figure>'


def _table(picks: Sequence[Mapping[str, Any]], best: Mapping[str, Any] | None) -> str:
    columns: list[tuple[str, bool, Callable[[Mapping[str, Any]], str]]] = [
        ("#", True, lambda pick: str(pick["number"])),
        ("architecture", False, lambda pick: f"<code>{_text(pick['architecture'])}</code>"),
        ("outcome", False, lambda pick: _text(outcome(pick))),
        ("why it was picked", False, lambda pick: _text(why(pick))),
        ("seconds", True, lambda pick: number(pick["seconds"])),
    ]
    head = "".join(f"<th>{name}</th>" for name, _, _ in columns)
    rows = []
    for pick in picks:
        kind = "best" if best is not None and pick["number"] == best["number"] else pick["state"]
        cells = "".join(f"<td{' class=n' if right else ''}>{show(pick)}</td>" for _, right, show in columns)
        rows.append(f"<tr class={kind}>{cells}</tr>")
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


def _text(text: Any) -> str:
    return html.escape(str(text))
