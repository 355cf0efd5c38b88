"""Tests of report.py, plots.py, cases.py and context.py with small invented results.

    python3 -m unittest discover -s benches/servers
"""

import json
import unittest
import xml.etree.ElementTree as xml
import zlib

import cases
import context
import plots
import report
import tokio_report

CASE = cases.fan_out(1000, 1, 64, 1)
ECHO = cases.echo(64, 64, 16)
COMPRESSED = cases.compressed(1000, 1, 1024, 1)


def machine(*servers):
    return {
        "date": "2026-11-21",
        "command": "benches/servers/run.sh full",
        "processor": "a processor",
        "cores": 2,
        "memory_gib": 8,
        "virtual": True,
        "kernel": "Linux 6",
        "compiler": "rustc 1",
        "server_core": 0,
        "load_core": 1,
        "rounds": 3,
        "runs_planned": 99,
        "seconds": 4,
        "servers": {server: {"version": "1", "tuning": "none"} for server in servers},
    }


def run(case, server, cpu_us=1.0, per_second=1000.0, p50_ms=1.0, p99_ms=2.0, **changes):
    """A result as measure.py writes it, with a million deliveries; `cpu_us` is for each."""
    checks = dict.fromkeys(("lost", "doubled", "out_of_order", "corrupted", "misdelivered"), 0)
    result = {
        "case": case.name,
        "server": server,
        "round": 0,
        "exit_status": 0,
        "errors": "",
        "load_average_before": 0.5,
        "report": {
            "scenario": case.bench_scenario,
            "traffic": {
                "delivered": 1_000_000,
                "delivered_per_second": per_second,
                "latency_us": {"p50": 1000 * p50_ms, "p99": 1000 * p99_ms},
                "received_bytes_per_delivery": 400.0,
                "compression_ratio": 2.57 if case.is_compressed else None,
            },
            "checks": {**checks, "ended": {}, "broken": None, "foreign_messages": 0},
            "slow": None,
            "opening": {
                "connections": case.connections,
                "server_us_per_connection": 40.0,
            },
            "server": {
                "cpu": {"seconds": cpu_us},
                "resident_bytes_before": 3 << 20,
                "resident_bytes_connected": 10 << 20,
                "resident_bytes_after": 13 << 20,
                "resident_bytes_per_connection": 500.0,
            },
        },
    }
    result.update(changes)
    return result


class Metrics(unittest.TestCase):
    def test_cost_is_cpu_time_over_deliveries_in_microseconds(self):
        found = report.metrics(run(CASE, "ws", cpu_us=2.5)["report"])
        self.assertAlmostEqual(found["cpu_us"], 2.5)
        self.assertAlmostEqual(found["p99_ms"], 2.0)
        self.assertNotIn("idle_bytes", found)

    def test_run_without_latency_has_the_other_numbers(self):
        slow = run(CASE, "ws", cpu_us=2.5)["report"]
        slow["traffic"]["latency_us"] = None
        found = report.metrics(slow)
        self.assertAlmostEqual(found["cpu_us"], 2.5)
        self.assertNotIn("p99_ms", found)

    def test_idle_case_has_memory_and_no_deliveries(self):
        idle = run(cases.IDLE, "ws")["report"]
        idle["traffic"] = None
        self.assertEqual(report.metrics(idle), {"idle_bytes": 500.0, "opening_us": 40.0})

    def test_slow_case_has_the_growth_of_memory(self):
        self.assertEqual(report.metrics(run(cases.SLOW, "ws")["report"])["grown_mib"], 3.0)


    def test_compressed_case_has_bytes_on_the_wire_and_memory_after_use(self):
        found = report.metrics(run(COMPRESSED, "ws")["report"])
        self.assertEqual((found["wire_bytes"], found["compression"]), (400.0, 2.57))
        self.assertEqual(found["used_bytes"], (10 << 20) / 1000)
        self.assertNotIn("wire_bytes", report.metrics(run(CASE, "ws")["report"]))


class TokioPage(unittest.TestCase):
    def test_ratio_is_to_the_best_other_library_of_the_same_round(self):
        costs = {cases.ADAPTER: (2.0, 3.0, 4.0), "fastwebsockets": (2.0, 4.0, 8.0), "sockudo-ws": (4.0, 2.0, 8.0)}
        runs = [
            run(ECHO, server, cpu_us=cost, round=number)
            for server, rounds in costs.items()
            for number, cost in enumerate(rounds)
        ]
        results = report.collect(machine(*costs), runs)
        self.assertEqual(tokio_report.ratio(results, ECHO), "1.00 (0.50 to 1.50)")
        self.assertEqual(tokio_report.ratio(results, CASE), "–")

    def test_page_has_a_table_for_each_kind_of_case(self):
        runs = [run(case, server) for case in cases.TOKIO for server in cases.TOKIO_SERVERS]
        for one in runs:
            if one["case"] == cases.IDLE.name:
                one["report"]["traffic"] = None
        rows = [
            {"server": server, "connections": 64, "bytes": 16, "instructions": count}
            for server, count in ((cases.ADAPTER, 900), (f"{cases.ADAPTER} without deadlines", 800), ("fastwebsockets", 1000))
        ]
        results = report.collect(machine(*cases.TOKIO_SERVERS), runs)
        page = tokio_report.text(results, {"valgrind": "valgrind-3", "rows": rows})
        for expected in ("## Echo", "## Fan-out", "## Instructions", "| 64, 16 | 900 | 800 | 1,000 | 0.90, 0.80 |", "## An idle connection"):
            self.assertIn(expected, page)
        self.assertNotIn("## Instructions", tokio_report.text(results, None))


class Context(unittest.TestCase):
    def test_context_takeover_saves_most_for_short_messages(self):
        savings = []
        for message_bytes in (256, 1024, 16_384):
            by_itself, with_context = context.ratios(message_bytes, 6)
            self.assertLess(1, by_itself)
            self.assertLess(by_itself, with_context)
            savings.append(with_context / by_itself)
        self.assertEqual(savings, sorted(savings, reverse=True))

    def test_messages_are_different_json_texts_of_about_the_given_length(self):
        messages = {context.message(number, 1024) for number in range(20)}
        self.assertEqual(len(messages), 20)
        for message in messages:
            self.assertLessEqual(len(message), 1024)
            self.assertGreater(len(message), 900)
            self.assertTrue(json.loads(message)["quotes"])

    def test_each_message_can_be_inflated_alone(self):
        message = context.message(1, 1024)
        sent = context.compressed(context.fresh(1), message) + b"\0\0\xff\xff"
        self.assertEqual(zlib.decompressobj(-15).decompress(sent), message)


class Collecting(unittest.TestCase):
    def test_median_is_over_the_rounds(self):
        runs = [run(CASE, "ws", cpu_us=cost) for cost in (9.0, 1.0, 2.0)]
        results = report.collect(machine("ws"), runs)
        self.assertEqual(results.median(CASE, "ws", "cpu_us"), 2.0)
        self.assertIsNone(results.median(ECHO, "ws", "cpu_us"))

    def test_run_with_lost_messages_is_a_fault_and_not_in_the_median(self):
        wrong = run(CASE, "ws", cpu_us=0.001)
        wrong["report"]["checks"]["lost"] = 3
        results = report.collect(machine("ws"), [wrong, run(CASE, "ws", cpu_us=4.0)])
        self.assertEqual(results.median(CASE, "ws", "cpu_us"), 4.0)
        self.assertEqual(results.faults, [(CASE.name, "ws", "lost: 3")])

    def test_run_without_report_or_with_bad_status_is_a_fault(self):
        silent = run(CASE, "ws", report=None, errors="no response")
        failed = run(CASE, "ws", exit_status=1)
        self.assertEqual(report.fault_of(silent), "no response")
        self.assertEqual(report.fault_of(failed), "exit status 1")
        self.assertIsNone(report.fault_of(run(CASE, "ws")))

    def test_results_of_servers_that_are_not_on_the_list_are_ignored(self):
        results = report.collect(machine("ws"), [run(CASE, "gone"), run(CASE, "ws")])
        self.assertEqual(results.servers(CASE, "cpu_us"), ["ws"])

    def test_limit_is_the_better_of_the_two_ways_to_send(self):
        runs = [run(CASE, cases.LIMIT, cpu_us=2.5), run(CASE, cases.LIMIT_EACH, cpu_us=2.4)]
        results = report.collect(machine(cases.LIMIT, cases.LIMIT_EACH), runs)
        self.assertEqual(results.limit(CASE, "cpu_us"), 2.4)
        self.assertIsNone(results.limit(ECHO, "cpu_us"))


class Losses(unittest.TestCase):
    def losses(self, *runs):
        servers = dict.fromkeys(run["server"] for run in runs)
        return report.losses(report.collect(machine(*servers), runs), [CASE])

    def test_other_server_with_less_cost_or_more_throughput_is_ahead(self):
        ours = run(CASE, cases.OURSELVES, cpu_us=3.0, per_second=100.0)
        other = run(CASE, "ws", cpu_us=2.0, per_second=200.0)
        found = self.losses(ours, other)
        self.assertEqual([loss.metric for loss in found], ["cpu_us", "per_second"])
        self.assertEqual((found[0].ours, found[0].theirs), (3.0, 2.0))

    def test_equal_or_worse_server_is_not_ahead(self):
        ours = run(CASE, cases.OURSELVES)
        self.assertEqual(self.losses(ours, run(CASE, "ws")), [])
        self.assertEqual(self.losses(ours, run(CASE, "ws", cpu_us=9.0, p99_ms=9.0)), [])

    def test_limit_is_not_another_server(self):
        ours = run(CASE, cases.OURSELVES, cpu_us=3.0)
        self.assertEqual(self.losses(ours, run(CASE, cases.LIMIT, cpu_us=1.0)), [])

    def test_yamabiko_with_two_workers_is_not_another_server_and_not_the_best(self):
        ours = run(CASE, cases.OURSELVES, cpu_us=3.0)
        more = run(CASE, cases.TWO_WORKERS, cpu_us=2.0)
        self.assertEqual(self.losses(ours, more), [])
        results = report.collect(machine(cases.OURSELVES, cases.TWO_WORKERS), [ours, more])
        self.assertEqual(report.best_server(results, CASE, "cpu_us"), cases.OURSELVES)

    def test_overlapping_rounds_are_marked(self):
        ours = [run(CASE, cases.OURSELVES, cpu_us=cost) for cost in (2.0, 3.0, 4.0)]
        near = [run(CASE, "bun", cpu_us=cost) for cost in (1.0, 2.0, 2.5)]
        far = [run(CASE, "ws", cpu_us=cost) for cost in (1.0, 1.1, 1.2)]
        marks = {loss.server: loss.is_within_spread for loss in self.losses(*ours, *near, *far)}
        self.assertEqual(marks, {"bun": True, "ws": False})

    def test_compressed_idle_case_compares_only_memory(self):
        case = cases.COMPRESSED_IDLE
        ours = run(case, cases.OURSELVES, cpu_us=9.0, p99_ms=9.0)
        other = run(case, "ws")
        other["report"]["server"]["resident_bytes_after"] = 4 << 20
        found = report.losses(report.collect(machine("yamabiko", "ws"), [ours, other]), [case])
        self.assertEqual([loss.metric for loss in found], ["used_bytes"])

    def test_section_without_losses_states_that_there_are_none(self):
        self.assertIn("In none", report.losses_section([]))


class Page(unittest.TestCase):
    def test_cell_has_cost_and_ratio_and_the_best_server_is_bold(self):
        runs = [
            run(CASE, cases.OURSELVES, cpu_us=2.0),
            run(CASE, cases.LIMIT, cpu_us=1.6),
            run(CASE, "ws", cpu_us=4.0),
        ]
        page, _ = report.report(report.collect(machine("yamabiko", "limit", "ws"), runs))
        self.assertIn("| 1000, 1, 64, 1 | **2.00** (1.25×) | 1.60 | 4.00 (2.50×) |", page)
        self.assertIn("In none of the measured cases.", page)

    def test_compressed_servers_are_compared_with_the_best_other_server(self):
        runs = [
            run(COMPRESSED, cases.OURSELVES, cpu_us=2.0, per_second=500.0),
            run(COMPRESSED, "gorilla", cpu_us=2.5, per_second=400.0),
            run(COMPRESSED, "ws", cpu_us=5.0, per_second=200.0),
        ]
        servers = [run["server"] for run in runs]
        page, _ = report.report(report.collect(machine(*servers), runs))
        ours = "| yamabiko | once | 2.00 | 0.80× | 400 | 2.57 | 500 | 1.00 / 2.00 |"
        ws = "| ws | each | 5.00 | 2.00× | 400 | 2.57 | 200 | 1.00 / 2.00 |"
        self.assertLess(page.index(ours), page.index(ws))
        self.assertIn("The cost of working without context takeover", page)

    def test_page_of_all_cases_has_every_section_and_links_every_plot(self):
        page, drawings = report.report(all_results())
        for heading in (
            "Fan-out",
            "Echo",
            "Compressed broadcast",
            "An idle connection",
            "Memory of a compressed connection",
            "Slow readers",
            "Where we lose",
        ):
            self.assertIn(f"## {heading}", page)
        self.assertNotIn("Runs that failed", page)
        self.assertEqual(len(drawings), 4)
        for name in drawings:
            self.assertIn(f"(benchmarks/{name})", page)

    def test_faults_are_shown(self):
        results = report.collect(machine("ws"), [run(CASE, "ws", report=None, errors="gone")])
        page, _ = report.report(results)
        self.assertIn("| fan-out-1000-1-64-1 | ws | gone |", page)

    def test_numbers_have_three_digits(self):
        written = [report.number(value) for value in (0.01234, 0.1234, 1.234, 12.34, 1234, 12345)]
        self.assertEqual(written, ["0.0123", "0.123", "1.23", "12.3", "1234", "12,345"])


class Plots(unittest.TestCase):
    def test_every_plot_is_well_formed_and_has_colours_for_dark_pages(self):
        _, drawings = report.report(all_results())
        for name, drawing in drawings.items():
            with self.subTest(name):
                root = xml.fromstring(drawing)
                self.assertTrue(root.tag.endswith("svg"))
                self.assertIn("prefers-color-scheme: dark", drawing)

    def test_geometric_mean_is_in_the_middle_of_a_logarithmic_scale(self):
        scale = plots.Scale(1, 100, 0, 200)
        self.assertAlmostEqual(scale.at(10), 100)
        self.assertEqual(scale.at(1), 0)
        self.assertEqual(scale.at(100), 200)

    def test_axis_ends_at_round_numbers_beyond_the_values(self):
        self.assertEqual(plots.rounded_out(2.4, 9.8), (2, 10))
        self.assertEqual(plots.rounded_out(1, 1), (1, 2))

    def test_labels_are_moved_apart_and_keep_their_order(self):
        moved = plots.spread({"a": 10.0, "b": 11.0, "c": 60.0}, 14)
        self.assertGreaterEqual(moved["b"] - moved["a"], 13.9)
        self.assertLess(moved["a"], moved["b"])
        self.assertEqual(moved["c"], 60.0)

    def test_labels_do_not_reach_below_the_axis(self):
        low = plots.BOTTOM - 1
        moved = plots.spread({"a": low - 2.0, "b": low - 1.0, "c": float(low)}, 14)
        self.assertAlmostEqual(max(moved.values()), plots.BOTTOM)
        self.assertGreaterEqual(moved["b"] - moved["a"], 13.9)


class Cases(unittest.TestCase):
    def test_every_case_has_a_different_name(self):
        names = [case.name for case in cases.FULL]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual({case.name for case in cases.QUICK}, set(names))

    def test_arguments_depend_on_the_scenario(self):
        arguments = cases.fan_out(10, 2, 64, 3).arguments(1, 4)
        self.assertEqual(arguments[:4], ["--connections", "10", "--duration", "4"])
        self.assertEqual(
            arguments[4:], ["--bytes", "64", "--warm-up", "1", "--publishers", "2", "--window", "3"]
        )
        self.assertEqual(cases.IDLE.arguments(1, 4), ["--connections", "10000", "--duration", "4"])
        self.assertNotIn("--publishers", ECHO.arguments(1, 4))

    def test_case_without_slow_readers_has_the_same_load(self):
        without = cases.WITHOUT_SLOW
        self.assertEqual((cases.SLOW.bench_scenario, without.bench_scenario), ("slow", "fan-out"))
        arguments, of_slow = without.arguments(1, 4), cases.SLOW.arguments(1, 4)
        self.assertNotIn("--slow-percent", arguments)
        self.assertEqual(arguments[2:], of_slow[2:-2])

    def test_compressed_case_is_a_fan_out_of_json(self):
        self.assertEqual((COMPRESSED.bench_scenario, COMPRESSED.mode), ("fan-out", "compressed"))
        arguments = COMPRESSED.arguments(1, 4)
        self.assertEqual(arguments[-3:], ["--payload", "json", "--compress"])
        self.assertNotIn("--compress", CASE.arguments(1, 4))
        self.assertIn("--rate", cases.COMPRESSED_IDLE.arguments(1, 4))
        self.assertEqual((CASE.mode, ECHO.mode), ("broadcast", "echo"))

    def test_every_server_has_the_modes_that_its_cases_need(self):
        modes = {case.mode for case in cases.FULL}
        self.assertEqual(modes, {"broadcast", "echo", "compressed"})

    def test_versions_are_read_from_a_lock_file(self):
        lock = '[[package]]\nname = "bytes"\nversion = "1.2.3"\n'
        self.assertEqual(cases.locked_versions(lock), {"bytes": "1.2.3"})


def all_results():
    """Every case by every server, costs rising along the list of servers."""
    servers = list(plots.STYLES)
    runs = []
    for case in cases.FULL:
        in_flight = max(case.publishers * case.window, 1)
        for place, server in enumerate(servers):
            cost = (2.4 + 0.2 * place) * (1 + case.connections / 5000) / in_flight**0.8
            one = run(case, server, cpu_us=cost, p50_ms=2 + place, p99_ms=3 + 2 * place)
            one["report"]["server"]["resident_bytes_per_connection"] = 40 * 1.9**place
            if case.scenario == "idle":
                one["report"]["traffic"] = None
            if case.scenario == "slow":
                one["report"]["slow"] = {"ended": {"1013": 100}}
            runs.append(one)
    return report.collect(machine(*servers), runs)


if __name__ == "__main__":
    unittest.main()
