import BalsaKeyValue
import BalsaPlatform
import BalsaSimulation
import XCTest

/// Copies that come late, and revisions that a page names.
final class LateCopyTests: XCTestCase {
    /// A request that was refused because of the window, and of which a second copy comes later.
    func testARefusedRequestIsNotExecutedByALaterCopy() throws {
        var options = MachineOptions()
        options.limits.sessionWindow = 4
        let fixture = try MachineFixture(options)
        let session = try fixture.open()
        let late = Command(
            identity: RequestIdentity(session: session, number: 6),
            lowestOutstanding: 1,
            operation: .put(key: "k", value: "late")
        ).encoded()
        XCTAssertEqual(try fixture.apply(late).outcome, .windowExceeded)
        // Others end, and then the network brings the second copy.
        try fixture.apply(.put(key: "a", value: "b"), session: session, number: 5, lowest: 5)
        XCTAssertEqual(
            try fixture.apply(late).outcome,
            .windowExceeded,
            "every copy of the same bytes is refused alike"
        )
        XCTAssertNil(try fixture.machine.get("k"))
    }

    /// The present revision can be read although entries behind it wrote nothing.
    func testTheRevisionThatAPageNamesCanBeRead() throws {
        var options = MachineOptions()
        options.limits.retainedRevisions = 3
        let fixture = try MachineFixture(options)
        try fixture.apply(.put(key: "k", value: "v"))
        for _ in 0..<5 { try fixture.skip() }
        let page = try fixture.machine.scan()
        XCTAssertEqual(page.revision, 6)
        try fixture.apply(.put(key: "l", value: "w"))
        try fixture.apply(.put(key: "l", value: "w"))
        // The mark is 5: revision 6 is retained, and is read at the sequence 1?
        XCTAssertEqual(fixture.machine.retentionMark, 5)
        XCTAssertEqual(try fixture.machine.scan(at: page.revision).pairs.count, 1)
    }
}
