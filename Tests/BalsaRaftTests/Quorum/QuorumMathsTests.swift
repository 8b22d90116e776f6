import XCTest

@testable import BalsaRaft

/// Quorums against their definition, for all small cases.
final class QuorumMathsTests: XCTestCase {
    /// Whether `isIn` holds for a majority of `voters`, by the definition: more than half. Nobody is outvoted in an empty half.
    private func isQuorum(_ voters: [MemberID], _ isIn: (MemberID) -> Bool) -> Bool {
        voters.isEmpty || voters.filter(isIn).count * 2 > voters.count
    }

    /// The halves of up to `maxVoters` of the members 1 ... 4, and pairs of them.
    private func jointHalves() -> [([MemberID], [MemberID])] {
        let subsets = (0..<16).map { bits in (0..<4).filter { bits & 1 << $0 != 0 }.map { MemberID($0 + 1) } }
        return subsets.flatMap { left in subsets.map { (left, $0) } }
    }

    func testReachedIsTheLargestValueThatAQuorumOfEachHalfHasReached() throws {
        for (left, right) in jointHalves() {
            let configuration = try Configuration(incoming: left, outgoing: right)
            for code in 0..<81 {
                // Each of four members has reached 0, 1 or 2.
                let values = [code % 3, code / 3 % 3, code / 9 % 3, code / 27].map { UInt64($0) }
                let value = { (member: MemberID) in values[Int(member) - 1] }
                var expected: UInt64 = left.isEmpty && right.isEmpty ? .max : 0
                for candidate in [UInt64(1), 2] {
                    let hasReached = { (member: MemberID) in value(member) >= candidate }
                    guard expected < .max, isQuorum(left, hasReached), isQuorum(right, hasReached) else { continue }
                    expected = candidate
                }
                XCTAssertEqual(configuration.reached(value), expected, "\(left) \(right) \(values)")
            }
        }
    }

    func testAVoteIsDecidedWhenNoAnswerThatIsStillOutCanChangeIt() throws {
        for (left, right) in jointHalves() {
            let configuration = try Configuration(incoming: left, outgoing: right)
            for code in 0..<81 {
                let votes: [Bool?] = [code % 3, code / 3 % 3, code / 9 % 3, code / 27].map { [nil, true, false][$0] }
                let isWon = [false, true].map { missing in
                    let saysYes = { (member: MemberID) in votes[Int(member) - 1] ?? missing }
                    return isQuorum(left, saysYes) && isQuorum(right, saysYes)
                }
                let expected: VoteResult = isWon[0] ? .won : isWon[1] ? .pending : .lost
                XCTAssertEqual(configuration.result { votes[Int($0) - 1] }, expected, "\(left) \(right) \(votes)")
            }
        }
    }

    func testAMajorityIsMoreThanHalfAlsoOfAnEvenNumber() throws {
        for (count, size) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let voters = (1...MemberID(count)).map { $0 }
            let configuration = try Configuration(voters: voters)
            for yes in 0...count {
                let reached = configuration.reached { $0 <= yes ? 9 : 4 }
                XCTAssertEqual(reached, yes >= size ? 9 : 4, "\(yes) of \(count)")
            }
        }
    }

    func testAnyTwoQuorumsOfAJointConfigurationMeetInEachHalf() throws {
        for (left, right) in jointHalves() where !left.isEmpty && !right.isEmpty {
            let configuration = try Configuration(incoming: left, outgoing: right)
            let quorums = (0..<16).filter { bits in
                configuration.result { bits & 1 << ($0 - 1) != 0 } == .won
            }
            for one in quorums {
                for other in quorums {
                    XCTAssertTrue(left.contains { one & other & 1 << ($0 - 1) != 0 })
                    XCTAssertTrue(right.contains { one & other & 1 << ($0 - 1) != 0 })
                }
            }
        }
    }

    func testAConfigurationThatCannotBeIsRefused() {
        assertRefused("a group needs at least one voter") { try Configuration(voters: []) }
        assertRefused("0 is not a member id") { try Configuration(voters: [0, 1]) }
        assertRefused("member 1 is listed twice") { try Configuration(voters: [1, 2, 1]) }
        assertRefused("a group has at most 7 voters, not 8") { try Configuration(voters: Array(1...8)) }
    }
}
