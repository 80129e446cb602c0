"""What the dashboard and the alerts ask for is exported, and the scraper finds who exports it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from prometheus_client import Counter, Gauge, Histogram

from fastgen_k8s.controller.telemetry import Telemetry
from fastgen_k8s.lifecycle.status import ExitClass
from tests.manifests.metrics import METRICS, RESULTS, metric_of, names
from tests.manifests.network import selects
from tests.manifests.render import MANIFESTS, Object, render

COMPONENT = "components/monitoring"
DASHBOARD: Any = json.loads((MANIFESTS / COMPONENT / "dashboard.json").read_text())
PANELS: dict[str, Any] = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
OF_A_TARGET = {"pod"}  # labels that the scraper adds


def of_kind(kind: str) -> Object:
    """The component's object of a kind that belongs to the controller."""
    made = [one for one in render(COMPONENT) if (one["kind"], one["metadata"]["name"]) == (kind, "fastgen-controller")]
    return made[0]


ALERTS: dict[str, Any] = {
    rule["alert"]: rule for group in of_kind("PrometheusRule")["spec"]["groups"] for rule in group["rules"]
}


@dataclass(frozen=True)
class Query:
    """A query, and the labels that its legend or its message shows."""

    text: str
    shown: frozenset[str]

    def selectors(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each series that it selects, with what is wanted of its labels."""
        for name, wanted in re.findall(r"\b(fastgen_\w+)(?:\{([^}]*)\})?", self.text):
            yield name, dict(re.findall(r'(\w+)=~?"([^"]*)"', wanted))

    def kept(self) -> set[str]:
        """The labels that are left to group by."""
        return {label.strip() for listed in re.findall(r"\bby \(([^)]*)\)", self.text) for label in listed.split(",")}


def shown(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text))


QUERIES: dict[str, Query] = {
    f"{title}, {target['refId']}": Query(target["expr"], shown(target["legendFormat"]))
    for title, panel in PANELS.items()
    for target in panel["targets"]
} | {name: Query(rule["expr"], shown(" ".join(rule["annotations"].values()))) for name, rule in ALERTS.items()}


def exported() -> dict[str, Counter | Gauge | Histogram]:
    """The controller's metrics, by the names that queries have for them."""
    found = [one for one in vars(Telemetry()).values() if isinstance(one, Counter | Gauge | Histogram)]
    families = [next(iter(one.collect())) for one in found]
    return {
        family.name + ("_total" if family.type == "counter" else ""): one
        for family, one in zip(families, found, strict=True)
    }


def test_the_list_is_what_the_controller_exports() -> None:
    kinds = {name: next(iter(one.collect())).type for name, one in exported().items()}
    assert kinds == {name: metric.kind for name, metric in METRICS.items()}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_the_labels_of_the_list(name: str) -> None:
    metric, labels = exported()[name], METRICS[name].labels
    if labels:
        metric.labels(**dict.fromkeys(labels, "x"))
    samples = [sample for family in metric.collect() for sample in family.samples]
    assert {frozenset(sample.labels) - {"le"} for sample in samples} == {labels}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_asks_for_series_and_labels_that_are_exported(name: str) -> None:
    query = QUERIES[name]
    found = list(query.selectors())
    assert found
    for series, wanted in found:
        metric = metric_of(series)
        assert metric is not None, series
        labels = METRICS[metric].labels | ({"le"} if series.endswith("_bucket") else set[str]())
        assert wanted.keys() | query.kept() <= labels


@pytest.mark.parametrize("name", QUERIES)
def test_a_legend_shows_labels_that_the_query_keeps(name: str) -> None:
    query = QUERIES[name]
    assert query.shown <= (query.kept() if " by (" in query.text else OF_A_TARGET)


@pytest.mark.parametrize("name", QUERIES)
def test_what_only_grows_is_read_by_its_growth(name: str) -> None:
    query = QUERIES[name]
    for series, _ in query.selectors():
        metric = metric_of(series)
        grows = metric is not None and METRICS[metric].kind != "gauge"
        assert bool(re.search(rf"\b(rate|increase)\({series}\b", query.text)) == grows, series


@pytest.mark.parametrize("name", QUERIES)
def test_the_results_that_a_query_chooses_are_among_those_that_there_are(name: str) -> None:
    for series, wanted in QUERIES[name].selectors():
        chosen = wanted["result"].split("|") if "result" in wanted else []
        assert set(chosen) <= set(RESULTS.get(metric_of(series) or "", ()))


def test_every_metric_is_looked_at() -> None:
    asked = {series for query in QUERIES.values() for series, _ in query.selectors()}
    assert [metric for metric in METRICS if not names(metric) & asked] == []


@pytest.mark.parametrize("series", ["not_ours", "fastgen_leader_count", "fastgen_reconcile_seconds", "fastgen_stage"])
def test_the_check_of_names_sees(series: str) -> None:
    assert metric_of(series) is None


def test_the_classes_that_an_alert_speaks_of_are_those_of_a_status() -> None:
    said = ALERTS["FastgenManyRetries"]["annotations"]["description"]
    assert {name for name in get_args(ExitClass) if name in said} == {"StoreFailed", "Crashed", "Stalled"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert len(rule["annotations"]["summary"]) < len(rule["annotations"]["description"])


def test_no_two_panels_lie_on_each_other() -> None:
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert (len(set(taken)), max(x for x, _ in taken)) == (len(taken), 23)


def test_panels_have_numbers_of_their_own_and_the_readers_prometheus() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert {panel["datasource"]["uid"] for panel in PANELS.values()} == {"${datasource}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]


def test_grafana_finds_the_dashboard() -> None:
    [made] = [one for one in render(COMPONENT) if one["metadata"]["name"] == "fastgen-dashboard"]
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert [json.loads(text) for text in made["data"].values()] == [DASHBOARD]


def test_the_scraper_finds_the_pods_by_way_of_the_service() -> None:
    service, monitor = of_kind("Service"), of_kind("ServiceMonitor")["spec"]
    pod = of_kind("Deployment")["spec"]["template"]
    assert selects(monitor["selector"], service["metadata"]["labels"])
    assert selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
    [port], [endpoint] = service["spec"]["ports"], monitor["endpoints"]
    [container] = pod["spec"]["containers"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] in [one["name"] for one in container["ports"]]
