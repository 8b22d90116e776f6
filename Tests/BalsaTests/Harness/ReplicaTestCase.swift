import XCTest

/// A test of replica groups: when it ends, every group has reported what the test declared, and nothing else.
class ReplicaTestCase: XCTestCase {
    /// The groups of the test that runs; nil where no test of this kind runs. Tests of one process run one after another.
    private nonisolated(unsafe) static var groups: [ReplicaGroup]?

    /// Adds a group to those that are checked when the test ends.
    static func add(_ group: ReplicaGroup) {
        XCTAssertNotNil(groups, "a test of replica groups is a ReplicaTestCase", file: group.file, line: group.line)
        groups?.append(group)
    }

    override func setUp() {
        super.setUp()
        ReplicaTestCase.groups = []
    }

    override func tearDown() {
        for group in ReplicaTestCase.groups ?? [] { group.checkIncidents() }
        ReplicaTestCase.groups = nil
        super.tearDown()
    }
}
