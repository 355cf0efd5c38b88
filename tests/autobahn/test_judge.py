"""The judge, judged: on what the suite recorded of two peers, and on what is changed in it.

    python3 -m unittest discover --start-directory tests/autobahn

The recordings in fixtures/ are the entries of five groups out of the suite's
index.json (version 25.10.1, echo servers, 2026-11-21): ws 8 sends every close
code and is late in 6.4.*; python websockets 17 is weaker in several.
"""
import json
import os
import unittest

from cases import CLOSE_CODES, INFORMATIONAL, SETS, configuration
from judge import behaviours, faults, markdown, summary_of

FIXTURES = os.path.join(os.path.dirname(__file__), "fixtures")


def recorded(peer):
    with open(os.path.join(FIXTURES, f"{peer}.json"), encoding="utf-8") as file:
        return json.load(file)[peer]


def all_passing(cases):
    """What a peer without a fault would have in its index."""
    return {
        case: {
            "behavior": "INFORMATIONAL" if case in INFORMATIONAL else "OK",
            "behaviorClose": "INFORMATIONAL" if case in INFORMATIONAL else "OK",
            "remoteCloseCode": min(CLOSE_CODES.get(case, {1000})),
        }
        for case in cases
    }


class WhatTheSuiteContains(unittest.TestCase):
    def test_the_sets_have_as_many_cases_as_the_suite_ran(self):
        sizes = {name: len(cases) for name, cases in SETS.items()}
        self.assertEqual(
            sizes, {"base": 301, "core": 247, "limits": 54, "deflate-quick": 84, "deflate": 216, "all": 517}
        )

    def test_a_connection_is_to_be_failed_in_117_cases_each_of_which_exists(self):
        self.assertEqual(len(CLOSE_CODES), 117)
        self.assertLessEqual(set(CLOSE_CODES) | INFORMATIONAL, set(SETS["core"]))

    def test_the_configuration_names_every_case_in_full(self):
        server = configuration("server", SETS["base"], "ws://127.0.0.1:9", "reports")
        self.assertEqual(server["cases"], SETS["base"])
        self.assertEqual(server["servers"][0]["url"], "ws://127.0.0.1:9")
        self.assertEqual(configuration("client", SETS["core"], "ws://127.0.0.1:9", "reports")["url"], "ws://127.0.0.1:9")


class WhatPasses(unittest.TestCase):
    def setUp(self):
        """The recording of ws without the four cases that it is late in: nothing is wrong with it."""
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

    def test_a_case_may_be_informational_only_where_the_suite_only_informs(self):
        self.assertEqual(self.results["7.1.6"]["behavior"], "INFORMATIONAL")
        self.assertEqual(self.faults_with("7.1.5", behavior="INFORMATIONAL"), ["7.1.5: behaviour is INFORMATIONAL"])

    def test_a_case_that_failed_fails_also_where_the_suite_only_informs(self):
        self.assertEqual(self.faults_with("7.1.6", behavior="FAILED"), ["7.1.6: behaviour is FAILED"])

    def test_a_missing_case_fails(self):
        del self.results["7.9.4"]
        self.assertEqual(faults(self.results, self.cases), ["7.9.4: is not in the report"])

    def test_a_case_of_another_set_fails(self):
        self.results["1.1.1"] = self.results["2.1"]
        self.assertEqual(faults(self.results, self.cases), ["1.1.1: was not asked for"])

    def test_a_missing_close_code_fails_although_the_suite_says_ok(self):
        found = self.faults_with("7.9.1", remoteCloseCode=None)
        self.assertEqual(found, ["7.9.1: the connection was to be failed with 1002, the close code sent is None"])
        del self.results["7.9.1"]["remoteCloseCode"]
        self.assertEqual(faults(self.results, self.cases), found)

    def test_a_close_code_that_tells_another_reason_fails(self):
        found = self.faults_with("4.1.1", remoteCloseCode=1000)
        self.assertEqual(found, ["4.1.1: the connection was to be failed with 1002, the close code sent is 1000"])

    def test_an_unclean_end_fails(self):
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


class WhatIsWritten(unittest.TestCase):
    def test_the_summary_of_a_whole_report_counts_every_group(self):
        summary = summary_of("server", "base", all_passing(SETS["base"]))
        self.assertTrue(summary["passed"])
        self.assertEqual(summary["cases"], 301)
        self.assertEqual((summary["failures_with_close_code"], summary["failures"]), (117, 117))
        self.assertEqual(summary["groups"]["7"], {"cases": 37, "OK": 34, "INFORMATIONAL": 3})
        self.assertEqual(sum(group["cases"] for group in summary["groups"].values()), 301)

    def test_a_report_of_a_peer_that_died_half_way_does_not_pass(self):
        half = all_passing(SETS["base"][:150])
        summary = summary_of("server", "base", half)
        self.assertFalse(summary["passed"])
        self.assertEqual(len(summary["faults"]), 151)
        self.assertEqual(behaviours(half, SETS["base"]), {"OK": 150, "MISSING": 151})

    def test_an_empty_report_does_not_pass(self):
        self.assertFalse(summary_of("client", "limits", {})["passed"])

    def test_the_table_has_a_column_for_each_role(self):
        summaries = [summary_of(role, "base", all_passing(SETS["base"])) for role in ("server", "client")]
        lines = markdown(summaries).splitlines()
        self.assertEqual(lines[0], "| group | what | cases | yamabiko as server | yamabiko as client |")
        self.assertIn("| 1 | framing | 16 | 16 OK | 16 OK |", lines)
        self.assertIn("| all |  | 301 | 298 OK, 3 INFORMATIONAL | 298 OK, 3 INFORMATIONAL |", lines)
        self.assertEqual(lines[-1], "|  | failed connections with a close code | 117 | 117 of 117 | 117 of 117 |")
        self.assertEqual(len({line.count("|") for line in lines}), 1)


if __name__ == "__main__":
    unittest.main()
