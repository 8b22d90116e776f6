import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The table of errors in `Docs/Store.md`: each row says what the code can tell, and is held by tests that bring it
/// about.
final class StorePageTests: XCTestCase {
    /// A row: its reasons, the outcomes with which they are told, and the tests that bring each of them about.
    private struct Row: Equatable {
        var reason: String
        var outcomes: [String]
        var tests: [String] = []
    }

    private let rows = [
        Row(
            reason: "busy",
            outcomes: ["not applied"],
            tests: [
                "StoreReasonTests.testMoreThanMayWaitIsBusyAndWasNotApplied",
                "StoreReasonTests.testBusy_ofTheLeaderThroughAFollower_isNotAppliedAtTheDeadline",
                "ForwardingTests.testWhatIsPassedOnCountsAsWaiting",
                "StoreDeadlineTests.testRead_moreThanMayWait_isBusyThoughTheCallersHaveGivenUp",
                "StoreStallTests.testAStallIsToldAndRefusesWhatWouldPileUpAndEndsByItself",
            ]
        ),
        Row(
            reason: "no quorum",
            outcomes: ["not applied"],
            tests: ["StoreReasonTests.testWithoutAMajorityWhatWasSentIsUnknownAndWhatWaitedIsNotApplied"]
        ),
        Row(
            reason: "not the leader",
            outcomes: ["not applied"],
            tests: ["ClientSessionTests.testWhatAReplicaSaysOfOneAttemptIsNotWhatItsCallerIsTold"]
        ),
        Row(
            reason: "deadline exceeded",
            outcomes: ["not applied", "unknown"],
            tests: [
                "StoreReasonTests.testWithoutAMajorityWhatWasSentIsUnknownAndWhatWaitedIsNotApplied",
                "StoreDeadlineTests.testRead_diskThatStandsStill_endsAtItsDeadlineWithoutEffect",
            ]
        ),
        Row(
            reason: "starting up",
            outcomes: ["not applied"],
            tests: ["StoreFirstBootTests.testCallsWaitUntilAllMembersHaveBeenStarted"]
        ),
        Row(
            reason: "cancelled",
            outcomes: ["not applied", "unknown"],
            tests: [
                "StoreCancellationTests.testWhatWasSentIsUnknownAndWhatWaitedForItsTurnIsNotApplied",
                "StoreDeadlineTests.testRead_blockedOnTheDiskItself_endsAtItsDeadlineAndWithItsTask",
            ]
        ),
        Row(
            reason: "too large",
            outcomes: ["not applied", "unknown"],
            tests: [
                "StoreReasonTests.testWhatIsTooLargeIsRefusedAndNothingHasHappened",
                "ClientSessionTests.testAReplicaThatHasFailedOrClosedIsNotAskedAgain",
            ]
        ),
        Row(
            reason: "conflict",
            outcomes: ["not applied"],
            tests: ["StoreOptionChangeTests.testChange_withAnotherRevision_isAConflictThatNamesTheOneInForce"]
        ),
        Row(
            reason: "invalid",
            outcomes: ["not applied", "unknown"],
            tests: [
                "StoreReasonTests.testArgumentsThatMakeNoSenseAreErrorsAndNotTraps",
                "StoreReasonTests.testOptionsWithWhichNothingCouldBeDoneAreInvalid",
                "ClientSessionTests.testAReplicaThatHasFailedOrClosedIsNotAskedAgain",
            ]
        ),
        Row(
            reason: "upgrade required",
            outcomes: ["not applied"],
            tests: [
                "FeatureLevelTests.testProposal_levelThatAPeerDoesNotHave_isRefusedUntilAllHaveIt",
                "ClientSessionTests.testWhatAReplicaSaysOfOneAttemptIsNotWhatItsCallerIsTold",
            ]
        ),
        Row(
            reason: "diverged",
            outcomes: ["not applied"],
            tests: ["DivergenceTests.testFollower_whoseStateDiffers_acknowledgesButServesNothing"]
        ),
        Row(
            reason: "damaged",
            outcomes: ["not applied"],
            tests: ["StoreFailureTests.testDamaged_blockThatAReadMeets_isAnEventAndTheStoreGoesOn"]
        ),
        Row(
            reason: "compacted",
            outcomes: ["not applied"],
            tests: ["StoreReasonTests.testRevisionsThatAreTooOldOrNotThereYet"]
        ),
        Row(
            reason: "future revision",
            outcomes: ["not applied"],
            tests: ["StoreReasonTests.testRevisionsThatAreTooOldOrNotThereYet"]
        ),
        Row(
            reason: "session expired",
            outcomes: ["unknown"],
            tests: ["ClientSessionTests.testASessionThatEndsWhileAnAttemptIsInDoubtLeavesItInDoubt"]
        ),
        Row(
            reason: "in use",
            outcomes: ["not applied"],
            tests: [
                "StoreOpeningErrorTests.testOpening_directoryThatIsOpen_isInUseAndNamesTheDirectory",
                "StoreOpeningErrorTests.testOpening_portOnWhichSomebodyListens_isInUseAndNamesTheAddress",
            ]
        ),
        Row(
            reason: "insecure",
            outcomes: ["not applied"],
            tests: ["StoreOpeningErrorTests.testOpening_addressThatOthersReach_isInsecureAndNamesWhatToPass"]
        ),
        Row(
            reason: "closed",
            outcomes: ["not applied", "unknown"],
            tests: [
                "StoreReasonTests.testAClosedStoreRefusesEverything",
                "ClientSessionTests.testClosingTellsEverybodyWhatIsKnown",
                "StoreDeadlineTests.testRead_storeThatClosesMeanwhile_isToldClosed",
            ]
        ),
        Row(
            reason: "failed",
            outcomes: ["not applied", "unknown"],
            tests: [
                "StoreFailureTests.testFailed_syncOfTheLog_isSaidWithTheFileByEveryCallAndTheState",
                "StoreFailureTests.testDamaged_blockThatAReadMeets_isAnEventAndTheStoreGoesOn",
            ]
        ),
        Row(
            reason: "superseded, overtaken by a checkpoint",
            outcomes: ["–"],
            tests: [
                "SupersededTests.testDeposedLeader_callersOfSeveralCommands_areAllToldThoughNothingElseIsWritten",
                "RequestTableTests.testWhatACheckpointCoversIsUnknownAndSoIsAllThatWasPassedOn",
                "ClientSessionTests.testWhatAReplicaSaysOfOneAttemptIsNotWhatItsCallerIsTold",
            ]
        ),
    ]

    func testTable_eachRow_hasTheOutcomesOfTheListAndTestsThatExist() throws {
        let page = try PageClaims.page("Docs/Store.md")
        let table = try XCTUnwrap(
            page.components(separatedBy: "| reason | in Swift | outcome | when |\n|---|---|---|---|\n").last
        )
        var spelled: [String: String] = [:]
        let found = table.components(separatedBy: "\n\n")[0].components(separatedBy: "\n").map { line in
            let cells = line.components(separatedBy: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            spelled[cells[1]] = cells[2]
            return Row(reason: cells[1], outcomes: cells[3].components(separatedBy: ", "))
        }
        XCTAssertEqual(found, rows.map { Row(reason: $0.reason, outcomes: $0.outcomes) })
        let source = try PageClaims.page("Sources/Balsa/Replica/Requests.swift")
        for row in rows {
            let names = spelled[row.reason]?.components(separatedBy: ", ") ?? []
            let reasons = row.reason.components(separatedBy: ", ")
            XCTAssertEqual(names.count, reasons.count, row.reason)
            for (name, reason) in zip(names, reasons) {
                let word = name.filter { $0.isLetter }
                XCTAssertEqual(name, "`.\(word)`")
                XCTAssertTrue(source.contains("static let \(word) = Reason(\"\(reason)"), "\(name) is not \(reason)")
            }
        }
        let tests = try PageClaims.allTests()
        for row in rows {
            XCTAssertFalse(row.tests.isEmpty, row.reason)
            for test in row.tests { XCTAssertTrue(tests.contains(test), "\(row.reason): there is no \(test)") }
        }
    }

    // MARK: What a session tells

    /// What a user is told, in the page's words.
    private struct Told: Hashable {
        var reason: String
        var outcome: String

        init(_ error: RequestError) {
            let error = StoreError(error)
            (reason, outcome) = (error.reason.description, error.outcome.rawValue)
        }
    }

    /// What a replica, a member in its first boot or a shell may say of an attempt; nil for silence.
    private let attempts: [Reply?] = {
        let certain: [RequestError.Reason] = [
            .notLeader, .busy, .tooLarge, .invalid, .upgradeRequired, .superseded, .closed, .failed, .startingUp,
            .diverged, .damaged,
        ]
        let uncertain: [RequestError.Reason] = [
            .notLeader, .busy, .deadlineExceeded, .overtakenByCheckpoint, .closed, .failed,
        ]
        let ended = CommandReply(.sessionExpired, revision: 9).encoded()
        return certain.map { .failure(RequestError(.notApplied, $0, leader: 3)) }
            + [.failure(RequestError(.notApplied, .notLeader))]
            + uncertain.map { .failure(RequestError(.unknown, $0, leader: 3)) }
            + [.success("of a newer release", index: 8), .success(ended, index: 9), nil]
    }()

    /// How the wait for an answer ends, where no attempt has brought one.
    private enum Ending: CaseIterable { case deadlineOfAnAttempt, deadlineBetweenAttempts, cancellation, closing }

    /// What the caller of one command is told after these answers.
    private func told(_ answers: [Reply?], _ ending: Ending) -> [Told] {
        var session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 1_000)
        var effects: [ClientEffect] = []
        var told: [Told] = []
        var pending: [RequestID] = []
        let deadline = Instant(nanoseconds: 10_000_000_000)
        func take() {
            for effect in effects {
                switch effect {
                case .submit(let submission): pending.append(submission.id)
                case .complete(_, .failure(let error)): told.append(Told(error))
                default: break
                }
            }
            effects = []
        }
        session.call(CallID(number: 1), .delete(key: "k"), deadline: deadline, at: .zero, into: &effects)
        take()
        var now = Instant.zero
        func answer(_ reply: Reply, isLast: Bool = false) {
            guard !pending.isEmpty else { return }
            session.replied(pending.removeFirst(), reply, at: now, into: &effects)
            take()
            guard !isLast || ending != .deadlineBetweenAttempts else { return }
            now = now + .seconds(1)
            session.timer(at: now, into: &effects)
            take()
        }
        answer(.success(CommandReply(.sessionOpened, revision: 7).encoded(), index: 7))
        for (place, reply) in answers.enumerated() {
            if let reply { answer(reply, isLast: place == answers.count - 1) }
        }
        switch ending {
        case .deadlineOfAnAttempt, .deadlineBetweenAttempts:
            session.timer(at: deadline, into: &effects)
            take()
            // A replica says at the deadline what it knows of the attempt that it has.
            now = deadline
            answer(.failure(RequestError(.unknown, .deadlineExceeded)))
        case .cancellation: session.cancel(CallID(number: 1), into: &effects)
        case .closing: session.close(into: &effects)
        }
        take()
        XCTAssertEqual(told.count, 1, "\(answers), then \(ending): told once")
        return told
    }

    /// Two attempts with every answer that there is: nothing is told that the page does not list, and all is told that
    /// it lists of commands.
    func testTable_everyAnswerOfTwoAttempts_tellsWhatTheTableLists() {
        var found: Set<Told> = []
        for first in attempts {
            for second in attempts {
                for ending in Ending.allCases { found.formUnion(told([first, second], ending)) }
            }
        }
        let listed = Set(
            rows.flatMap { row in
                row.outcomes.filter { $0 != "–" }.compactMap { outcome -> Told? in
                    var told = Told(RequestError(.notApplied, .busy))
                    (told.reason, told.outcome) = (row.reason, outcome)
                    return told
                }
            }
        )
        XCTAssertEqual(found.subtracting(listed).map { "\($0.reason) (\($0.outcome))" }.sorted(), [])
        // Reads, openings or changes of options alone are told these.
        let ofOthers = [
            "compacted (not applied)", "conflict (not applied)", "future revision (not applied)",
            "in use (not applied)",
            "insecure (not applied)",
        ]
        XCTAssertEqual(listed.subtracting(found).map { "\($0.reason) (\($0.outcome))" }.sorted(), ofOthers)
    }
}
