import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Entry 1 and the members that a member's identity names.
final class FounderTests: XCTestCase {
    private func table(_ incarnation: UInt64) throws -> MemberTable {
        let id = UniqueID(high: incarnation, low: 2)
        return try MemberTable([MemberTable.Row(member: 1, incarnation: id, address: "a:1")])
    }

    private func refusal(_ payload: Bytes, _ kind: EntryKind = .configuration) throws -> ReplicaError.Code? {
        let table = try table(1)
        do throws(ReplicaError) {
            try Replica.checkFounders(payload, kind, are: table)
            return nil
        } catch {
            return error.code
        }
    }

    func testEntry1_ofTheSameMembers_isTaken() throws {
        XCTAssertNil(try refusal(FoundingEntry(table: try table(1), options: "options").encoded))
    }

    func testEntry1_ofOtherMembersOrNone_isOfAnotherCluster() throws {
        XCTAssertEqual(try refusal(FoundingEntry(table: try table(9), options: Bytes()).encoded), .refused)
        XCTAssertEqual(try refusal(FoundingEntry(table: try table(1), options: Bytes()).encoded, .noOp), .refused)
        XCTAssertEqual(try refusal(Bytes()), .refused)
    }

    /// It may be the right one: an upgrade helps, and putting files back does not.
    func testEntry1_ofANewerRelease_needsAnUpgrade() throws {
        var bytes = [UInt8](try table(1).encoded)
        bytes[0] = 2
        XCTAssertEqual(try refusal(Bytes(bytes)), .upgradeRequired)
    }
}
