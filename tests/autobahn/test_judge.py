"""Tests of judge.py with the suite's recordings of two peers, unchanged and with changes.

    python3 -m unittest discover --start-directory tests/autobahn

The recordings in fixtures/ are the entries of five groups in the suite's
index.json (version 25.10.1, echo servers, 2026-11-21): ws 8 sends every close
code, and detects invalid text late in 6.4.*; python websockets 17 has faults in
several cases. For the cases of compression, the fixtures also have the parts of
the suite's record that judge.py reads.
"""
import copy
import json
import os
import tempfile
import unittest

from cases import (
    AGENT,
    AGREEMENTS,
    CLOSE_CODES,
    COMPRESSION,
    INFORMATIONAL,
    MESSAGE_SIZES,
    SETS,
    configuration,
    part_of,
)
from compression import elements, fits
from judge import behaviours, csv, faults, markdown, results_of, summary_of

FIXTURES = os.path.join(os.path.dirname(__file__), "fixtures")


def recorded(peer, fixture=None):
    with open(os.path.join(FIXTURES, f"{fixture or peer}.json"), encoding="utf-8") as file:
        return json.load(file)[peer]


def all_passing(cases):
    """The index of a peer without faults."""
    return {
        case: {
            "behavior": "INFORMATIONAL" if case in INFORMATIONAL else "OK",
            "behaviorClose": "INFORMATIONAL" if case in INFORMATIONAL else "OK",
            "remoteCloseCode": min(CLOSE_CODES.get(case, {1000})),
        }
        for case in cases
    }


class Cases(unittest.TestCase):
    def test_each_set_has_the_number_of_cases_that_the_suite_runs(self):
        sizes = {name: len(cases) for name, cases in SETS.items()}
        self.assertEqual(sizes, {"quick": 385, "full": 517, "base": 301, "deflate": 216})

    def test_the_quick_set_has_every_agreement_and_every_message_size(self):
        quick = [case.rsplit(".", 1) for case in SETS["quick"] if case in COMPRESSION]
        self.assertEqual({int(number) for _, number in quick}, set(MESSAGE_SIZES))
        for subgroup in {case.rpartition(".")[0] for case in COMPRESSION}:
            sizes = [MESSAGE_SIZES[int(number)] for name, number in quick if name == subgroup]
            self.assertLessEqual({16, 4096, 8192}, set(sizes), subgroup)

    def test_the_parts_of_a_set_are_disjoint_complete_and_of_similar_size(self):
        for cases in SETS.values():
            parts = [part_of(cases, part, 3) for part in (1, 2, 3)]
            self.assertEqual(sorted(sum(parts, [])), sorted(cases))
            self.assertLess(max(map(len, parts)) - min(map(len, parts)), len(cases) / 5)
        self.assertEqual(part_of(SETS["full"], 1, 1), SETS["full"])

    def test_the_117_cases_that_require_a_close_code_exist(self):
        self.assertEqual(len(CLOSE_CODES), 117)
        self.assertLessEqual(set(CLOSE_CODES) | INFORMATIONAL, set(SETS["base"]))

    def test_the_configuration_lists_every_case_by_its_full_name(self):
        server = configuration("server", SETS["base"], "ws://127.0.0.1:9", "reports")
        self.assertEqual(server["cases"], SETS["base"])
        self.assertEqual(server["servers"][0]["url"], "ws://127.0.0.1:9")
        client = configuration("client", SETS["base"], "ws://127.0.0.1:9", "reports")
        self.assertEqual(client["url"], "ws://127.0.0.1:9")


class Verdicts(unittest.TestCase):
    def setUp(self):
        """The recording of ws without the four cases with late detection: it has no fault."""
        self.results = {case: result for case, result in recorded("ws").items() if not case.startswith("6.4.")}
        self.cases = list(self.results)

    def faults_with(self, case, **changed):
        self.results[case] = {**self.results[case], **changed}
        return faults(self.results, self.cases)

    def test_a_recorded_report_without_fault_passes(self):
        self.assertEqual(len(self.cases), 31)
        self.assertEqual(faults(self.results, self.cases), [])

    def test_a_non_strict_case_fails(self):
        self.assertEqual(self.faults_with("4.1.3", behavior="NON-STRICT"), ["4.1.3: behaviour is NON-STRICT"])

    def test_an_unimplemented_case_fails(self):
        self.assertEqual(self.faults_with("2.1", behavior="UNIMPLEMENTED"), ["2.1: behaviour is UNIMPLEMENTED"])

    def test_only_informational_cases_may_have_the_behaviour_informational(self):
        self.assertEqual(self.results["7.1.6"]["behavior"], "INFORMATIONAL")
        self.assertEqual(self.faults_with("7.1.5", behavior="INFORMATIONAL"), ["7.1.5: behaviour is INFORMATIONAL"])

    def test_an_informational_case_with_the_behaviour_failed_fails(self):
        self.assertEqual(self.faults_with("7.1.6", behavior="FAILED"), ["7.1.6: behaviour is FAILED"])

    def test_a_missing_case_fails(self):
        del self.results["7.9.4"]
        self.assertEqual(faults(self.results, self.cases), ["7.9.4: not in the report"])

    def test_a_case_of_another_set_fails(self):
        self.results["1.1.1"] = self.results["2.1"]
        self.assertEqual(faults(self.results, self.cases), ["1.1.1: not in the set"])

    def test_a_missing_close_code_fails_although_the_suite_reports_ok(self):
        found = self.faults_with("7.9.1", remoteCloseCode=None)
        self.assertEqual(found, ["7.9.1: the peer must fail the connection with 1002, but the close code is None"])
        del self.results["7.9.1"]["remoteCloseCode"]
        self.assertEqual(faults(self.results, self.cases), found)

    def test_a_wrong_close_code_fails(self):
        found = self.faults_with("4.1.1", remoteCloseCode=1000)
        self.assertEqual(found, ["4.1.1: the peer must fail the connection with 1002, but the close code is 1000"])

    def test_an_unclean_close_fails(self):
        self.assertEqual(self.faults_with("7.1.1", behaviorClose="UNCLEAN"), ["7.1.1: closing behaviour is UNCLEAN"])

    def test_late_detection_of_invalid_text_is_found_in_the_recording_of_ws(self):
        results = recorded("ws")
        self.assertEqual(
            faults(results, list(results)), [f"6.4.{number}: behaviour is NON-STRICT" for number in range(1, 5)]
        )

    def test_a_wrong_close_code_is_found_in_the_recording_of_websockets(self):
        results = recorded("websockets")
        found = faults(results, list(results))
        self.assertIn("7.1.5: behaviour is FAILED", found)
        self.assertIn("7.1.5: closing behaviour is WRONG CODE", found)
        self.assertIn("4.1.3: behaviour is NON-STRICT", found)


class VerdictsOfCompression(unittest.TestCase):
    def setUp(self):
        """The recording of ws without the one case in which it has a fault."""
        self.results = {case: result for case, result in recorded("ws", "ws-compression").items() if case != "12.2.1"}

    def faults_with(self, case, field=None, replaced=("", ""), **traffic):
        """The faults if one record is changed: a text in the request or the response, or a number of the traffic."""
        results = copy.deepcopy(self.results)
        exchange = results[case]["exchange"]
        if field:
            self.assertIn(replaced[0], exchange[field])
            exchange[field] = exchange[field].replace(*replaced)
        exchange["trafficStats"].update(traffic)
        return faults(results, list(results))

    def test_a_recorded_report_without_fault_passes(self):
        self.assertEqual(len(self.results), 7)
        self.assertEqual(faults(self.results, list(self.results)), [])

    def test_an_unimplemented_case_of_compression_fails(self):
        self.results["13.3.4"]["behavior"] = "UNIMPLEMENTED"
        self.assertEqual(faults(self.results, list(self.results)), ["13.3.4: behaviour is UNIMPLEMENTED"])

    def test_a_response_without_the_extension_or_with_another_fails(self):
        found = self.faults_with("12.1.1", "httpResponse", ("Sec-WebSocket-Extensions:", "X-None:"))
        self.assertEqual(found, ["12.1.1: the response accepts no extension"])
        found = self.faults_with("12.1.1", "httpResponse", ("permessage-deflate;", "foo, permessage-deflate;"))
        self.assertEqual(found, ["12.1.1: the response accepts foo and permessage-deflate"])

    def test_a_missing_required_parameter_fails_although_the_suite_reports_ok(self):
        for case, parameter in [
            ("13.2.4", "server_no_context_takeover"),
            ("13.3.4", "server_max_window_bits=9"),
        ]:
            found = self.faults_with(case, "httpResponse", (f"; {parameter}", ""))
            self.assertEqual(len(found), 2, found)
            self.assertIn("fits no offer", found[0])
            self.assertEqual(found[1], f"{case}: the response lacks {parameter}, which the case requires")

    def test_the_response_must_accept_the_first_of_several_offers(self):
        found = self.faults_with("13.7.4", "httpResponse", ("; server_max_window_bits=9", ""))
        self.assertEqual(found, ["13.7.4: the response lacks server_max_window_bits=9, which the case requires"])

    def test_a_client_that_is_not_bound_to_the_required_parameters_fails(self):
        results = copy.deepcopy(self.results)
        found = faults(results, ["13.5.4"], role="client")
        self.assertIn("13.5.4: the response lacks client_max_window_bits=9, which the case requires", found)

    def test_a_window_that_is_larger_than_the_offered_one_fails(self):
        found = self.faults_with("13.5.4", "httpResponse", ("server_max_window_bits=9", "server_max_window_bits=10"))
        self.assertIn("fits no offer", found[0])

    def test_uncompressed_messages_of_the_peer_fail_although_the_suite_reports_ok(self):
        plain = self.results["12.4.5"]["exchange"]["trafficStats"]["incomingOctetsAppLevel"]
        found = self.faults_with("12.4.5", incomingOctetsWebSocketLevel=plain)
        self.assertEqual(found, [f"12.4.5: the peer did not compress: {plain} bytes for {plain}"])

    def test_uncompressed_messages_of_the_suite_fail(self):
        plain = self.results["12.4.5"]["exchange"]["trafficStats"]["outgoingOctetsAppLevel"]
        found = self.faults_with("12.4.5", outgoingOctetsWebSocketLevel=plain)
        self.assertEqual(found, [f"12.4.5: the suite did not compress: {plain} bytes for {plain}"])

    def test_small_messages_may_be_uncompressed(self):
        self.assertEqual(self.faults_with("12.1.1", incomingOctetsWebSocketLevel=16000), [])

    def test_longer_messages_after_compression_are_found_in_the_recording_of_ws(self):
        results = {"12.2.1": recorded("ws", "ws-compression")["12.2.1"]}
        self.assertEqual(
            faults(results, ["12.2.1"]), ["12.2.1: the peer made the messages longer: 18125 bytes for 16000"]
        )

    def test_too_few_messages_fail(self):
        self.assertEqual(
            self.faults_with("13.1.4", incomingWebSocketMessages=999), ["13.1.4: the peer sent 999 messages, not 1000"]
        )

    def test_a_record_without_traffic_fails(self):
        self.results["13.1.4"]["exchange"]["trafficStats"] = None
        self.assertEqual(faults(self.results, list(self.results)), ["13.1.4: the record has no traffic"])


class Negotiation(unittest.TestCase):
    def fits(self, response, offer):
        head = "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-extensions: permessage-deflate"
        return fits(elements(head + response)[0][1], elements(head + offer)[0][1])

    def test_elements_reads_the_lists_of_the_rfc(self):
        head = 'GET / HTTP/1.1\r\nSec-WebSocket-Extensions: a; b="10", c\r\nSec-WebSocket-Extensions: d;e ; f\r\n\r\n'
        self.assertEqual(elements(head), [("a", [("b", "10")]), ("c", []), ("d", [("e", None), ("f", None)])])

    def test_a_response_fits_an_offer_only_as_rfc_7692_permits(self):
        for response, offer, is_legal in [
            ("", "", True),
            ("", "; client_no_context_takeover; client_max_window_bits", True),
            ("; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15", "", True),
            ("", "; server_no_context_takeover", False),
            ("", "; server_max_window_bits=15", False),
            ("; server_max_window_bits=9", "; server_max_window_bits=10", True),
            ("; server_max_window_bits=11", "; server_max_window_bits=10", False),
            ("; client_max_window_bits=9", "", False),
            ("; client_max_window_bits=9", "; client_max_window_bits", True),
            ("; client_max_window_bits=9", "; client_max_window_bits=9", True),
            ("; client_max_window_bits=10", "; client_max_window_bits=9", False),
            ("; client_max_window_bits", "; client_max_window_bits", False),
            ("; server_max_window_bits=16", "", False),
            ("; server_max_window_bits=09", "", False),
            ("; server_no_context_takeover=1", "", False),
            ("; server_no_context_takeover; server_no_context_takeover", "", False),
            ("; mystery", "", False),
        ]:
            self.assertEqual(self.fits(response, offer), is_legal, f"{response!r} to {offer!r}")

    def test_every_required_agreement_belongs_to_a_subgroup(self):
        self.assertLessEqual(set(AGREEMENTS), {case.rpartition(".")[0] for case in COMPRESSION})


class Reports(unittest.TestCase):
    def test_the_parts_of_a_report_are_merged_and_other_files_are_ignored(self):
        compressed = recorded("ws", "ws-compression")["13.1.4"]
        exchange = compressed.pop("exchange")
        parts = {"1": {"2.1": {"behavior": "OK"}}, "2": {"13.1.4": {**compressed, "reportfile": "x.json"}}}
        with tempfile.TemporaryDirectory() as report:
            for part, index in parts.items():
                os.mkdir(os.path.join(report, part))
                with open(os.path.join(report, part, "index.json"), "w", encoding="utf-8") as file:
                    json.dump({AGENT: index}, file)
            os.mkdir(os.path.join(report, "3"))  # The suite ended before it wrote a report.
            with open(os.path.join(report, "2", "x.json"), "w", encoding="utf-8") as file:
                json.dump(exchange, file)
            with open(os.path.join(report, "server.log"), "w", encoding="utf-8"):
                pass
            results = results_of(report)
        self.assertEqual(set(results), {"2.1", "13.1.4"})
        self.assertEqual(results["13.1.4"]["exchange"], exchange)


class Summaries(unittest.TestCase):
    def test_a_summary_counts_every_group(self):
        summary = summary_of("server", "base", all_passing(SETS["base"]))
        self.assertTrue(summary["passed"])
        self.assertEqual(summary["cases"], 301)
        self.assertEqual((summary["failures_with_close_code"], summary["failures"]), (117, 117))
        self.assertEqual(summary["groups"]["7"], {"cases": 37, "OK": 34, "INFORMATIONAL": 3})
        self.assertEqual(sum(group["cases"] for group in summary["groups"].values()), 301)

    def test_an_incomplete_report_does_not_pass(self):
        half = all_passing(SETS["base"][:150])
        summary = summary_of("server", "base", half)
        self.assertFalse(summary["passed"])
        self.assertEqual(len(summary["faults"]), 151)
        self.assertEqual(behaviours(half, SETS["base"]), {"OK": 150, "MISSING": 151})

    def test_an_empty_report_does_not_pass(self):
        self.assertFalse(summary_of("client", "base", {})["passed"])

    def test_the_table_has_a_column_for_each_role(self):
        summaries = [summary_of(role, "base", all_passing(SETS["base"])) for role in ("server", "client")]
        lines = markdown(summaries).splitlines()
        self.assertEqual(lines[0], "| group | subject | cases | yamabiko as server | yamabiko as client |")
        self.assertIn("| 1 | framing | 16 | 16 OK | 16 OK |", lines)
        self.assertIn("| all |  | 301 | 298 OK, 3 INFORMATIONAL | 298 OK, 3 INFORMATIONAL |", lines)
        self.assertEqual(lines[-1], "|  | failed connections with a close code | 117 | 117 of 117 | 117 of 117 |")
        self.assertEqual(len({line.count("|") for line in lines}), 1)

    def test_the_results_have_a_row_for_each_case_and_three_columns_for_each_role(self):
        summaries = [summary_of(role, "base", all_passing(SETS["base"])) for role in ("client", "server")]
        lines = csv(summaries).splitlines()
        self.assertEqual(lines[0], "case,server,server_close,server_code,client,client_close,client_code")
        self.assertEqual(len(lines), 1 + 517)
        self.assertIn("2.5,OK,OK,1002,OK,OK,1002", lines)
        self.assertIn("7.1.6,INFORMATIONAL,INFORMATIONAL,1000,INFORMATIONAL,INFORMATIONAL,1000", lines)
        self.assertIn("12.1.1,not run,,,not run,,", lines)


if __name__ == "__main__":
    unittest.main()
