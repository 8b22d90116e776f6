import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// What an event says in a log: a level, and one line in words.
final class StoreEventTests: XCTestCase {
    private static let slow = SlowOperation(
        kind: .apply,
        duration: .milliseconds(300),
        threshold: .milliseconds(100)
    )

    private let events: [(StoreEvent, StoreEvent.Level, String)] = [
        (.standing(Standing(role: .leader, term: 4, leader: 1)), .info, "leader in term 4, member 1 leads"),
        (
            .standing(Standing(role: .preCandidate, term: 4, leader: 0)), .info,
            "pre-candidate in term 4, no leader is known"
        ),
        (.anomaly(.quorumLost), .warning, "leadership ended: no majority answered for an election timeout"),
        (
            .optionsDiffer([
                OptionDifference(name: "maxSessions", proposed: 5, inForce: 6),
                OptionDifference(name: "maxKeyBytes", proposed: 1, inForce: 2),
            ]), .warning,
            "opened with other replicated options than are in force: maxSessions: 5 proposed, 6 in force; "
                + "maxKeyBytes: 1 "
                + "proposed, 2 in force"
        ),
        (.frameRefused("no frame"), .warning, "a frame was dropped: no frame"),
        (.checkpointRefused(from: 2, "damaged"), .warning, "a checkpoint of member 2 was refused: damaged"),
        (.refused(2, "wiped"), .warning, "member 2: wiped"),
        (.joined(cluster: "c"), .info, "joined the cluster c"),
        (.firstBootWaits("start all"), .warning, "the first boot waits: start all"),
        (
            .firstBootMisses([
                MissingPeer(member: 2, address: "a:1", reason: "refused"),
                MissingPeer(member: 3, address: "b:1", reason: "unknown"),
            ]), .info, "the first boot misses member 2 at a:1: refused; member 3 at b:1: unknown"
        ),
        (
            .firstBootMisses([]), .info,
            "the first boot misses no peer, and waits for all to agree; "
                + "where that does not end, another member tells why"
        ),
        (.connectionClosed("no hello"), .warning, "no hello"),
        (.connected(3), .debug, "connected to member 3"),
        (.retrying("no space"), .warning, "tried again: no space"),
        (.damaged("table-1"), .error, "table-1"),
        (.stalled(.flush), .warning, "stalled: flush"),
        (.resumed(.flush, after: .seconds(2)), .info, "resumed after 2.0 seconds: flush"),
        (.slow(slow), .warning, "slow: applying took 0.3 seconds, longer than 0.1 seconds"),
        (.failed(ReplicaError(.damaged, "m/VOTE")), .error, "the store has failed: damaged: m/VOTE"),
    ]

    private let anomalies: [(Anomaly, StoreEvent.Level, String)] = [
        (.unknownPeer(9), .warning, "member 9, which does not belong to the group, sent a message"),
        (.malformedMessage(from: 2), .warning, "member 2 sent a message whose parts contradict each other"),
        (.secondLeader(2, term: 3), .error, "member 2 claims to lead term 3, which another member leads"),
        (
            .acknowledgedEntriesLost(by: 2, through: LogPosition(term: 3, index: 7)), .error,
            "member 2 does not hold the entries that it acknowledged through index 7 of term 3"
        ),
        (
            .stateDiverged(2, own: 255, majority: StateDigest(index: 8, value: 16)), .error,
            "the state of member 2 differs from the majority's at index 8: digest ff and not 10"
        ),
        (
            .stateRebuilt(through: 8), .info,
            "a checkpoint through index 8 has replaced the state, which differed or could not be read"
        ),
        (
            .rebuiltInVain(times: 2, pause: .seconds(4)), .error,
            "the state differs again after 2 checkpoints have replaced it: the next one is asked for in 4.000000s"
        ),
        (
            .digestsDisagree(at: 8), .error,
            "the members' states differ at index 8, and nobody knows which of them are right"
        ),
        (.committedEntryContradicted(5), .error, "a leader sent another entry for the committed index 5"),
        (.persistFailed, .error, "a write of the log or the vote failed"),
        (.persistStalled, .warning, "leadership ended: a write of the log took longer than an election timeout"),
        (.quorumLost, .warning, "leadership ended: no majority answered for an election timeout"),
    ]

    /// The name of a case, as the source has it.
    private func name(_ value: Any) -> String { String("\(Mirror(reflecting: value).children.first?.label ?? "")") }

    /// The cases of an enumeration, in the order of its source.
    private func cases(of name: String, in path: String) throws -> [String] {
        let source = try PageClaims.page(path)
        let body = try XCTUnwrap(source.components(separatedBy: "enum \(name):").last).components(separatedBy: "\n}")[0]
        return body.components(separatedBy: "\n").filter { $0.hasPrefix("    case ") }
            .map { String($0.dropFirst("    case ".count).prefix { $0.isLetter }) }
    }

    func testEvents_each_hasALevelAndOneLineInWords() throws {
        for (event, level, description) in events {
            XCTAssertEqual(event.level, level, description)
            XCTAssertEqual("\(event)", description)
        }
        let names = try cases(of: "StoreEvent", in: "Sources/Balsa/Store/StoreEvent.swift")
        XCTAssertEqual(names.count, 17)
        XCTAssertEqual(Set(events.map { name($0.0) }), Set(names), "every case is here")
    }

    func testAnomalies_each_hasALevelAndOneLineInWords() throws {
        for (anomaly, level, description) in anomalies {
            XCTAssertEqual(StoreEvent.anomaly(anomaly).level, level, description)
            XCTAssertEqual("\(StoreEvent.anomaly(anomaly))", description)
        }
        let names = try cases(of: "Anomaly", in: "Sources/BalsaRaft/Effects.swift")
        XCTAssertEqual(anomalies.count, names.count, "every case is here: \(names)")
        XCTAssertEqual(Set(anomalies.map(\.2)).count, names.count)
    }

    func testStates_each_isInWords() {
        let states: [(StoreState, String)] = [
            (.recovering, "recovering"), (.leader, "leader"), (.follower(of: 3), "follower of member 3"),
            (.noQuorum, "no quorum"), (.failed("damaged: VOTE"), "failed: damaged: VOTE"), (.closed, "closed"),
        ]
        for (state, description) in states { XCTAssertEqual("\(state)", description) }
    }

    func testLevels_areInOrder() {
        XCTAssertEqual(StoreEvent.Level.allCases.sorted(), [.debug, .info, .warning, .error])
    }
}
