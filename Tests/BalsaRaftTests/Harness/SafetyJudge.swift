import XCTest

@testable import BalsaRaft

/// What must be true of a group whatever happens to it (Raft, figure 3), checked after every step of a member.
struct SafetyJudge {
    /// Who led each term.
    private var leaders: [Term: MemberID] = [:]
    /// The terms of all entries that any member ever took for committed, from index 1 on.
    private(set) var committed: [Term] = []
    /// What each member knew to be committed in its present life.
    private var commits: [MemberID: LogIndex] = [:]

    /// The highest index that anybody took for committed.
    var commitIndex: LogIndex { LogIndex(committed.count) }

    mutating func restarted(_ member: TestMember) {
        commits[member.id] = member.raft.commitIndex
    }

    mutating func look(at member: TestMember) {
        lookAtLeader(member)
        lookAtCommit(member)
    }

    private mutating func lookAtLeader(_ member: TestMember) {
        guard member.raft.role == .leader else { return }
        let term = member.raft.term
        guard let known = leaders[term] else {
            leaders[term] = member.id
            // Leader completeness: what is committed in an earlier term is in the log of every later leader.
            for (offset, entryTerm) in committed.enumerated() {
                let index = LogIndex(offset) + 1
                guard entryTerm < term, index > member.log.base.index else { continue }
                XCTAssertEqual(
                    member.log.term(at: index),
                    entryTerm,
                    "leader \(member.id) of term \(term) has committed entry \(index)"
                )
            }
            return
        }
        XCTAssertEqual(known, member.id, "term \(term) has one leader")
    }

    private mutating func lookAtCommit(_ member: TestMember) {
        let index = member.raft.commitIndex
        let before = commits[member.id] ?? 0
        XCTAssertGreaterThanOrEqual(index, before, "what is committed stays committed on \(member.id)")
        commits[member.id] = index
        guard index > before else { return }
        for index in before + 1...index {
            // What a checkpoint covers the log does not know any more; behind that a commit without an entry is an error.
            guard index >= member.log.base.index else { continue }
            guard let term = member.log.term(at: index) else {
                XCTFail("member \(member.id) commits \(index), and its log ends at \(member.log.lastIndex)")
                continue
            }
            if index <= commitIndex {
                XCTAssertEqual(
                    committed[Int(index) - 1],
                    term,
                    "entry \(index) is committed on \(member.id) as elsewhere"
                )
            } else if index == commitIndex + 1 {
                committed.append(term)
            } else {
                XCTFail("member \(member.id) commits \(index) before anybody committed \(commitIndex + 1)")
            }
        }
    }

    /// Log matching: where two logs hold the same entry, they agree in all before it.
    static func checkLogMatching(_ members: [TestMember]) {
        for (slot, left) in members.enumerated() {
            for right in members[(slot + 1)...] {
                let start = max(left.log.base.index, right.log.base.index)
                var index = min(left.log.lastIndex, right.log.lastIndex)
                var haveMet = false
                while index > start {
                    let isSame = left.log.term(at: index) == right.log.term(at: index)
                    if haveMet, !isSame { XCTFail("logs \(left.id) and \(right.id) differ at \(index), not behind it") }
                    haveMet = haveMet || isSame
                    index -= 1
                }
            }
        }
    }
}
