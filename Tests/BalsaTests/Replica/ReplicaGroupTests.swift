import XCTest

@testable import Balsa

/// The harness of the replica tests reports what no test has declared.
final class ReplicaGroupTests: ReplicaTestCase {
    func testIncidents_notDeclared_areFound() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        XCTAssertEqual(group.unexpectedIncidents, [])
        group.isolate(leader)
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.unexpectedIncidents, ["member \(leader) reported [the quorum lost], and not []"])
        group.expect(.quorumLost, of: leader)
        XCTAssertEqual(group.unexpectedIncidents, [])
    }

    func testIncidents_declaredAndNotReported_areFound() throws {
        let group = ReplicaGroup(members: 1)
        _ = try group.start()
        group.expect(.undecodable, of: 1)
        XCTAssertEqual(group.unexpectedIncidents, ["member 1 reported [], and not [an undecodable frame]"])
        group.step(1, .received("hello"))
        XCTAssertEqual(group.unexpectedIncidents, [])
    }

    func testIncidents_failures_areFoundByTheirCode() throws {
        let group = ReplicaGroup(members: 1)
        group.host(1).provider.sealFailure = StateMachineError("no memory")
        group.options.sealStateAfterBytes = 1
        _ = try group.start()
        group.writeMany(1, 1)
        XCTAssertEqual(group.unexpectedIncidents, ["member 1 reported [failed: state machine], and not []"])
        group.expect(.failed(.stateMachine), of: 1)
    }
}
