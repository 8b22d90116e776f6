import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// What runs begin with in which the state of a replica differs.
class DivergenceTestCase: ReplicaTestCase {
    func started(sealAfterBytes: UInt64? = nil) throws -> (ReplicaGroup, MemberID) {
        let group = ReplicaGroup(members: 3)
        if let sealAfterBytes { group.options.sealStateAfterBytes = sealAfterBytes }
        group.options.digestInterval = 8
        return (group, try group.start())
    }

    func write(_ group: ReplicaGroup, _ id: MemberID, _ count: Int) {
        for number in 0..<count {
            let write = group.write(id, "k", Bytes("\(number)"))
            group.advance(by: .milliseconds(5))
            XCTAssertEqual(group.host(id).reply(to: write)?.isSuccess, true)
        }
    }

    func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }
}
