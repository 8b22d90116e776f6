import Foundation
import XCTest

@testable import BalsaRaft

/// Whole scenarios of a group that other people wrote, read from the folder that `BALSA_CONFORMANCE` names.
///
/// ``InteractionRun`` says where the core decides otherwise on purpose.
final class InteractionConformanceTests: XCTestCase {
    /// How far a known scenario is compared: states and logs always, messages where their order can be the same.
    private struct Extent {
        var comparesMessages = true
        var late: [String: Int] = [:]
        /// How many outputs are compared.
        var messages = 0
        var states = 0
        /// Where the core decides otherwise, by the commands whose outputs differ. Each is expected to differ.
        var differences: [String] = []
    }

    // The core differs from the scripts in two ways, and safety depends on neither:
    // - A peer that is being probed when an entry is committed learns so from the next append or heartbeat. The leader
    //   of the script sends it an append without entries as soon as the probe is answered.
    // - A peer whose window is full is told the commit index all the same, by appends without entries. They take no
    //   part of the window. If entries before them were lost, the answer says so before the next heartbeat.

    private static let known: [String: Extent] = [
        // A heartbeat of a new term is answered when the term is durable, and so the last append comes after the end.
        "async_storage_writes_append_aba_race.txt": Extent(
            comparesMessages: false,
            late: ["raft-log": 5],
            states: 17,
            differences: [
                "line 116, process-ready 4 5 6 of member 5", "line 116, process-ready 4 5 6 of member 6",
                "line 280, process-ready 5 6 7 of member 5", "line 280, process-ready 5 6 7 of member 6",
                "line 280, process-ready 5 6 7 of member 7",
            ]
        ),
        "campaign.txt": Extent(
            messages: 1,
            states: 3,
            differences: ["line 24, stabilize of member 3", "line 24, stabilize"]
        ),
        "lagging_commit.txt": Extent(messages: 7, states: 4),
        "prevote.txt": Extent(
            messages: 7,
            states: 8,
            differences: ["line 139, stabilize of member 3", "line 139, stabilize"]
        ),
        "probe_and_replicate.txt": Extent(messages: 9, states: 22),
        "replicate_pause.txt": Extent(
            messages: 5,
            states: 5,
            differences: [
                "line 74, deliver-msgs", "line 134, stabilize 2 3", "line 152, stabilize 1", "line 163, stabilize 3",
            ]
        ),
        "single_node.txt": Extent(messages: 1, states: 1),
        "snapshot_succeed_via_app_resp.txt": Extent(messages: 6, states: 5),
    ]

    /// Files that are known to be left out: they need membership changes, which the core does not offer yet.
    private static let leftOut = [
        "campaign_learner_must_vote.txt", "confchange_v2_add_double_auto.txt",
    ]

    /// The whole folder `confchange/` is about membership changes.
    private static let configurationChanges = [
        "joint_autoleave.txt", "joint_idempotency.txt", "simple_idempotency.txt", "simple_promote_demote.txt",
        "update.txt",
    ]

    /// Why a scenario cannot be run, by a command that it gives. Any other command that the runner does not know fails.
    private static let missing = [
        "transfer-leadership": "the core chooses the moment at which the other member is told to campaign",
        "forget-leader": "a member cannot be made to forget its leader",
        "report-unreachable": "the transport reports peers to the core in another way",
        "send-snapshot": "a checkpoint is sent where the core asks for it",
        "tick-election": "time is the shell's, and not counted in ticks",
        "set-randomized-election-timeout": "election timeouts are drawn by the core",
        "process-apply-thread": "entries are applied by the shell",
    ]

    /// Why a scenario cannot be run; nil where it can.
    private static func reasonToLeaveOut(_ script: InteractionScript) -> String? {
        if script.commands.contains(where: \.needsMembershipChanges) { return "members cannot be changed" }
        return script.commands.lazy.compactMap { missing[$0.name] }.first
    }

    private func folder(_ name: String) throws -> URL {
        guard let folder = ProcessInfo.processInfo.environment["BALSA_CONFORMANCE"], !folder.isEmpty else {
            throw XCTSkip("BALSA_CONFORMANCE does not name the folder of the conformance data")
        }
        return URL(fileURLWithPath: folder).appendingPathComponent(name)
    }

    private func files(_ folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".txt") }.sorted()
    }

    func testScenarios_ofTheSharedFiles_giveTheSameStatesLogsAndMessages() throws {
        let folder = try folder("interaction")
        var (run, leftOut): ([String], [String]) = ([], [])
        for name in try files(folder) {
            let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            let script = try InteractionScript(text)
            XCTAssertFalse(script.commands.isEmpty, "\(name) has no command")
            if let reason = InteractionConformanceTests.reasonToLeaveOut(script) {
                print("\(name) is not run: \(reason)")
                leftOut.append(name)
                continue
            }
            // Of a file that is not known the messages are not compared: nobody has looked where they may differ.
            let extent = InteractionConformanceTests.known[name] ?? Extent(comparesMessages: false)
            var check = InteractionCheck(comparesMessages: extent.comparesMessages, late: extent.late)
            do { try check.run(script) } catch { XCTFail("\(name) is neither run nor listed: \(error)") }
            let differences = check.faults.map { $0.components(separatedBy: ": found")[0] }
            XCTAssertEqual(differences, extent.differences, "\(name): \(check.faults.joined(separator: "\n"))")
            if InteractionConformanceTests.known[name] != nil {
                XCTAssertEqual(check.messageOutputs, extent.messages, name)
                XCTAssertEqual(check.stateOutputs, extent.states, name)
            }
            run.append(name)
        }
        for name in InteractionConformanceTests.known.keys.sorted() {
            XCTAssertTrue(run.contains(name), "\(name) is not run")
        }
        for name in InteractionConformanceTests.leftOut {
            XCTAssertTrue(leftOut.contains(name), "\(name) is missing, or can be run")
        }
    }

    func testConfigurationChanges_areListedUntilTheCoreHasThem() throws {
        let names = try files(try folder("confchange"))
        for name in InteractionConformanceTests.configurationChanges {
            XCTAssertTrue(names.contains(name), "\(name) is missing")
        }
        // When the core offers changes of members, this fails, and the files are to be run.
        var member = try TestMember.settledLeader()
        member.step(.changeMembership(try Configuration(voters: [1, 2]), request: 1))
        XCTAssertEqual(member.takeResponses(), [.refused(request: 1, .notSupported)])
    }

    // MARK: A scenario of our own, which keeps the runner honest without the data

    private static let sample = """
        # Three members whose logs begin behind index 5; the first is elected and commits an entry.
        add-nodes 3 voters=(1, 2, 3) index=5
        ----
        ok

        campaign 1
        ----
        INFO whatever is logged here says nothing

        process-ready 1
        ----
        Ready MustSync=true:
        Lead:0 State:StateCandidate
        HardState Term:1 Vote:1 Commit:5
        Messages:
        1->2 MsgVote Term:1 Log:1/5
        1->3 MsgVote Term:1 Log:1/5

        deliver-msgs 2 drop=(3)
        ----
        1->2 MsgVote Term:1 Log:1/5
        dropped: 1->3 MsgVote Term:1 Log:1/5

        stabilize 2 1
        ----
        > 2 handling Ready
          Ready MustSync=true:
          HardState Term:1 Vote:1 Commit:5
          Messages:
          2->1 MsgVoteResp Term:1 Log:0/0
        > 1 receiving messages
          2->1 MsgVoteResp Term:1 Log:0/0
        > 1 handling Ready
          Ready MustSync=true:
          Lead:1 State:StateLeader
          Messages:
          1->2 MsgApp Term:1 Log:1/5 Commit:5 Entries:[1/6 EntryNormal ""]
          1->3 MsgApp Term:1 Log:1/5 Commit:5 Entries:[1/6 EntryNormal ""]
        > 2 receiving messages
          1->2 MsgApp Term:1 Log:1/5 Commit:5 Entries:[1/6 EntryNormal ""]
        > 2 handling Ready
          Messages:
          2->1 MsgAppResp Term:1 Log:0/6
        > 1 receiving messages
          2->1 MsgAppResp Term:1 Log:0/6
        > 1 handling Ready
          HardState Term:1 Vote:1 Commit:6
          Messages:
          1->2 MsgApp Term:1 Log:1/6 Commit:6
        > 2 receiving messages
          1->2 MsgApp Term:1 Log:1/6 Commit:6
        > 2 handling Ready
          HardState Term:1 Vote:1 Commit:6
          Messages:
          2->1 MsgAppResp Term:1 Log:0/6
        > 1 receiving messages
          2->1 MsgAppResp Term:1 Log:0/6

        raft-state
        ----
        1: StateLeader (Voter) Term:1 Lead:1
        2: StateFollower (Voter) Term:1 Lead:1
        3: StateFollower (Voter) Term:0 Lead:0

        propose 1 hello
        ----
        ok

        process-ready 1
        ----
        Messages:
        1->2 MsgApp Term:1 Log:1/6 Commit:6 Entries:[1/7 EntryNormal "hello"]

        status 1
        ----
        1: StateReplicate match=7 next=8
        2: StateReplicate match=6 next=8 inflight=1
        3: StateProbe match=0 next=6 paused inactive

        raft-log 1
        ----
        1/6 EntryNormal ""
        1/7 EntryNormal "hello"

        raft-log 3
        ----
        log is empty: first index=6, last index=5
        """

    private func faults(_ text: String) throws -> [String] {
        var check = InteractionCheck()
        try check.run(try InteractionScript(text))
        return check.faults
    }

    func testTheRunner_withAScenarioOfOurOwn_findsNoFault() throws {
        var check = InteractionCheck()
        try check.run(try InteractionScript(InteractionConformanceTests.sample))
        XCTAssertEqual(check.faults.joined(separator: "\n"), "")
        XCTAssertEqual(check.messageOutputs, 4)
        XCTAssertEqual(check.stateOutputs, 7)
    }

    func testTheRunner_withOneWrongExpectation_findsThatFault() throws {
        let changes = [
            // A role, a term, an entry, a payload, what is known of a log, a commit index, a vote.
            ("2: StateFollower (Voter) Term:1", "2: StateCandidate (Voter) Term:1", "raft-state"),
            ("3: StateFollower (Voter) Term:0", "3: StateFollower (Voter) Term:1", "raft-state"),
            ("----\n1/6 EntryNormal", "----\n2/6 EntryNormal", "raft-log 1"),
            ("1/7 EntryNormal \"hello\"\n\nraft", "1/7 EntryNormal \"world\"\n\nraft", "raft-log 1"),
            ("match=6 next=8 inflight=1", "match=6 next=8 inflight=2", "status 1"),
            ("Lead:0 State:StateCandidate", "Lead:1 State:StateCandidate", "process-ready 1 of member 1"),
            (
                "HardState Term:1 Vote:1 Commit:5\nMess", "HardState Term:1 Commit:5\nMess",
                "process-ready 1 of member 1"
            ),
            // A message too many, one to another member, one that is lost and not delivered, another order.
            (
                "2->1 MsgVoteResp Term:1 Log:0/0\n> 1", "2->1 MsgVoteResp Term:1 Log:0/0\n  2->3 MsgVote Term:1\n> 1",
                "stabilize 2 1"
            ),
            ("dropped: 1->3", "1->3", "deliver-msgs 2"),
            (
                "1->2 MsgVote Term:1 Log:1/5\n1->3 MsgVote Term:1 Log:1/5",
                "1->3 MsgVote Term:1 Log:1/5\n1->2 MsgVote Term:1 Log:1/5", "process-ready 1"
            ),
            ("Log:1/6 Commit:6 Entries:[1/7", "Log:1/6 Commit:5 Entries:[1/7", "process-ready 1"),
        ]
        for (right, wrong, place) in changes {
            let text = InteractionConformanceTests.sample.replacing(right, with: wrong, maxReplacements: 1)
            XCTAssertNotEqual(text, InteractionConformanceTests.sample, right)
            let faults = try faults(text)
            XCTAssertEqual(faults.count, 1, "\(wrong): \(faults)")
            XCTAssertTrue(faults.first?.contains(", \(place):") == true, "\(wrong): \(faults)")
        }
    }

    func testTheRunner_withWhatItCannotRead_refuses() throws {
        for (text, reason) in [
            ("elect 1\n----\nok\n", "line 1: no such command: elect"),
            ("campaign 1\n\n----\nok\n", "line 1 expects nothing"),
            ("add-nodes 3 voters=(1,2,3\n----\nok\n", "line 1: a list without an end"),
            ("add-nodes 1 voters=(1,2)\n----\nok\n\npropose 1 a\n----\nok\n", "line 5: member 1 takes no proposal"),
            ("stabilize 4\n----\nok\n", "there is no member 4"),
            ("add-nodes 1 voters=(1) speed=3\n----\nok\n", "line 1: no such option: speed"),
        ] {
            XCTAssertThrowsError(try faults(text), text) {
                XCTAssertEqual($0 as? InteractionError, InteractionError(description: reason))
            }
        }
    }

    func testAScenario_thatChangesMembers_isTold() throws {
        let texts = ["propose-conf-change 1\nv4\n----\nok\n", "add-nodes 3 voters=(1,2) learners=(3)\n----\nok\n"]
        for text in texts { XCTAssertTrue(try InteractionScript(text).commands[0].needsMembershipChanges, text) }
        let sample = try InteractionScript(InteractionConformanceTests.sample)
        XCTAssertFalse(sample.commands.contains(where: \.needsMembershipChanges))
    }
}
