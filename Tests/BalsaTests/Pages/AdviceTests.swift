import Foundation
import XCTest

/// Every sentence of the sources that advises something is listed here, with the tests that do what it says and then
/// see the store work. Those tests say `advise` where they do it.
final class AdviceTests: XCTestCase {
    /// A sentence, without what is interpolated, and below it its tests.
    private static let table = """
        belongs to another member's directory: put back what belongs together
        - ExchangedFilesTests.testFilesAndDirectories_removedEmptiedOrExchanged_areIntactOrRefused
        belongs to group and not to group : put back what belongs together
        - FileAdviceTests.testRoot_ofAnotherGroupOrState_isPutBack
        is missing: is not the state that ROOT names, or has lost files: put it back as a whole
        - ExchangedFilesTests.testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused
        is the state of generation of group with the id , and /ROOT names generation of group with the id :
        put back what belongs together
        - FileAdviceTests.testRoot_ofAnotherGroupOrState_isPutBack
        member takes part in the first boot and is not listed: start all members with the same list
        - FirstBootTests.testAMemberThatIsNotListedIsReportedAndIgnored
        the members are proposed, and are listed: start all members with the same list
        - StoreFirstBootTests.testMembersThatWereGivenDifferentListsSaySoAndGoOnWhenThatIsCorrected
        two directories make proposals as member : if it was started twice, stop the second one; if that
        does not help, or its directory was emptied, and no member has joined a cluster, empty the
        directories of all members
        - FirstBootTests.testASecondMachineStartedAsTheLowest_isStoppedAndTheFirstGoesOn
        - FirstBootTests.testTwoMachinesStartedAsTheLowestMakeNoTwoClusters
        - FirstBootTests.testTheLowestThatWasEmptiedWhileOthersHaveOnlyNotedMakesNoOtherCluster
        the directories of the members are copies of one: stop all of these members but one, empty the
        directories of those that are stopped, and start them again
        - FirstBootTests.testHello_ofTheIncarnationOfAnotherMember_isReportedAndNothingIsProposed
        is that of member , not of member : start it under its own id, or name the directory of member
        - StoreIdentityTests.testADirectoryIsNotOpenedUnderAnotherID
        belongs to another directory than /IDENTITY: put back what belongs together
        - ExchangedFilesTests.testFilesAndDirectories_removedEmptiedOrExchanged_areIntactOrRefused
        /IDENTITY is missing, though is there: put back any copy of it that was made since the member joined
        its cluster; if there is none, the others go on without the member, which cannot be replaced yet,
        and refuse an empty directory; only if the members never became a cluster, empty the directory
        - StoreFirstBootTests.testLostIdentity_ofAMember_isPutBackFromACopyOrTheOthersGoOn
        - StoreFirstBootTests.testLostIdentity_beforeTheMembersAreACluster_isMendedByAnEmptyDirectory
        holds other files, such as , and none of a store: name another directory, or an empty one
        - StoreOpeningErrorTests.testOpening_directoryOfOtherFiles_isInvalidAndLeftAsItWas
        the path of the directory is empty: name the directory of the store
        - StoreOpeningErrorTests.testOpening_emptyPath_isInvalidAndNotTheWorkingDirectory
        belongs to a cluster of the members , and are listed: open it with the list that it was first opened
        with, or take an empty directory for another cluster
        - StoreIdentityTests.testADirectoryIsNotOpenedWithOtherMembers
        /IDENTITY: the cluster has members, and this release serves at most : start the member with the
        release that the others run
        - MemberTests.testOpening_clusterOfMoreMembersThanThisReleaseServes_needsAnUpgrade
        is already open; holds : close it there; if the directory of member is another one, name that one
        - StoreOpeningErrorTests.testOpening_directoryThatIsOpen_isInUseAndNamesTheDirectory
        the member acknowledged entry of term , which its log does not hold; the log ends at entry of term .
        Either its directory was set back, or the last frames of its log were damaged. Put the latest
        directory back, or leave the member stopped
        - LostLogTests.testMember_whoseLatestDirectoryIsPutBack_isWrittenToAndCountedAgain
        the state differs again after checkpoints have replaced it: this machine or this release computes
        another state than the others. Replace the release or the machine, and start the member again
        - DivergenceTests.testMember_thatIsRebuiltAgainAndAgain_stopsAndSaysWhy
        entry 1 of the log names other members than IDENTITY does, so that the two are of different
        clusters: put back what belongs together
        - FileAdviceTests.testIdentity_ofOtherMembersThanTheLog_isPutBack
        is of another opening than : the two are of two copies of the directory: put back what belongs
        together, or leave the member stopped
        - ExchangedFilesTests.testFiles_ofACopyOfTheDirectory_areRefusedByName
        put back as it was when the member stopped, never a copy made while it ran, or leave the member
        stopped
        - ExchangedFilesTests.testFilesAndDirectories_removedEmptiedOrExchanged_areIntactOrRefused
        - ExchangedFilesTests.testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused
        , and `mustExist` is set: mount the disk that holds the store, or open without `mustExist` to create
        a new one
        - HostTests.testOpening_thatMustFindAStore_refusesAnEmptyMountPointAndCreatesNothing
        the options in force are of revision , and was expected: read them again
        - StoreOptionChangeTests.testChange_withAnotherRevision_isAConflictThatNamesTheOneInForce
        pass `security: .insecureNetwork` if something else protects the network, or listen on the loopback
        - StoreOpeningErrorTests.testOpening_addressThatOthersReach_isInsecureAndNamesWhatToPass
        : stop the process that listens there, or listen on another port
        - StoreOpeningErrorTests.testOpening_portOnWhichSomebodyListens_isInUseAndNamesTheAddress
        balsa check-history: ; see --help
        - CheckHistoryTests.testWrongArgumentsAreToldInOneLine
        another demo uses ; holds : wait until it ends, or name another directory
        - DemoFailureTests.testPorts_ofADirectoryThatAnotherDemoUses_areRefusedUntilItEnds
        exists and is not a directory; name another directory
        - DemoFailureTests.testDemo_thatCannotKeepItsFiles_namesThePathAndTheReason
        is of members, and not of : pass --members , or name another directory
        - DemoFailureTests.testPorts_ofADirectory_areHeldAndRemembered
        is not a list of different ports, one a line: remove it, or name another directory
        - DemoFailureTests.testPorts_listThatIsNone_isRefusedAndKept
        exists and is not a regular file that can be written; name another file ()
        - OutputFileTests.testOutputs_thatAreNoRegularFiles_areRefusedBeforeAnythingRunsAndStay
        : the system state is of the cluster , and the member belongs to the cluster : put back what belongs
        together
        - CheckpointTests.testState_ofAnotherCluster_isRefusedByBothClustersAndKeepsEveryByte
        the snapshot at has been closed: take another one
        - EngineMisuseTests.testAClosedSnapshot_isRefusedByEveryRead
        is already open; holds : close it there
        - EngineRecoveryTests.testAnEngineIsOpenOnce
        the ticket is not from this engine, or from before it was opened again: read the batch's keys
        instead
        - EngineMisuseTests.testATicket_ofAnotherEngineOrAnEarlierOpening_isInvalid
        the file belongs to another member's directory: put back what belongs together
        - ExchangedFilesTests.testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused
        the file is shorter than its header says, and no later segment says why: put it back, or the later
        segment that is missing, as it was when the member stopped
        - FileAdviceTests.testSegment_thatIsShorterThanItsHeaderSays_isPutBack
        the opening frame is damaged, or a segment before this one is missing: put it back as it was when the
        member stopped
        - RepeatedOpeningTests.testAnOpening_withoutTheSegmentBeforeASpare_saysThatItMayBeMissing
        it takes bytes, and bytes are available in , of which are kept for the log and for ROOT: free bytes
        there; the leader tries again by itself
        - TransferFailureTests.testCheckpoint_thatDoesNotFitOnTheDisk_isRefusedAtTheFirstChunkAndComesOnceThereIsSpace
        ; raise the limit of open files
        - HostTests.testOpening_withFewDescriptors_saysThatThereAreTooMany
        the process has no descriptor or memory left; allow it more open files, or open fewer
        - DescriptorExhaustionTests.testAListener_withoutDescriptors_servesOnAndAcceptsLaterWithoutABusyLoop
        segment , in which the log goes on, or the later one that took its place, is missing: put it back as it
        was when the member stopped, or leave the member stopped
        - ExchangedFilesTests.testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused
        the file is another one of that number: put it back as it was when the member stopped, or leave the
        member stopped
        - ExchangedFilesTests.testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused
        : put back what belongs together
        - ExchangedFilesTests.testFilesOfTheGroupAndSegments_removedEmptiedOrExchanged_areIntactOrRefused
        is a symbolic link that leads nowhere; create the directory that it names, or remove the link
        - HostTests.testOpening_inPlaceOfTheDirectoryAFileOrADanglingLink_saysSo
        is a file and not a directory; name another directory
        - HostTests.testOpening_inPlaceOfTheDirectoryAFileOrADanglingLink_saysSo
        it or its directory was renamed, replaced or removed while it was open; put back what was open, then
        open it again (errno )
        - HostTests.testDirectory_renamedWhileRunning_failsTheStore
        the two speak no common version of the protocol: upgrade the older one
        - HandshakeTermsTests.testRangesOfTheProtocolNeedOneVersionInCommon
        the address is the member's own, or one that only repeats what is sent to it: correct it
        - PeerTroubleTests.testTrouble_ownAddressOrNewerHandshake_isOverOnceTheAdviceIsTaken
        it speaks a newer handshake: upgrade this member
        - PeerTroubleTests.testTrouble_ownAddressOrNewerHandshake_isOverOnceTheAdviceIsTaken
        `` has no port: write `host:port`
        - NetworkAddressTests.testEverythingElseIsRefused
        member belongs to the cluster , and member to the cluster : correct the address by which one of them
        looks for the other, or start it on the directory of its own cluster
        - StoreIdentityTests.testADirectoryOfAnotherClusterIsRefused
        - StoreIdentityTests.testOneWrongAddressDoesNotStopAMember
        the cluster has no member : correct its id or its address; a member cannot be added yet
        - StoreIdentityTests.testAMemberThatTheClusterDoesNotHaveIsRefused
        member meant to reach member and reached member : correct the address that it has for member
        - StoreFirstBootTests.testFirstBoot_addressThatLeadsToAnotherCluster_isToldAsMissing
        member was started twice, on two directories: stop the process whose directory is not the one with
        which the member joined the cluster, and never start it again; the other one goes on as member
        - StoreIdentityTests.testASecondDirectoryUnderAnIDThatIsUpIsRefused
        the directory of member is not the one with which it joined the cluster , and its votes are lost
        with that: put its own directory back as it was last; if that is lost, the others go on without the
        member, which cannot be replaced yet
        - StoreIdentityTests.testTheWipedMemberIsTakenBackWithItsOwnDirectory
        ; if member is a new one, correct the address that it has for member
        - StoreFirstBootTests.testFirstBoot_addressThatLeadsToAnotherClusterOfTheSameIDs_isToldAndDoesNotStopIt
        the directory of member was set back to before its opening , which member has listened to, and what
        it promised since is lost: put the latest directory back; if that is lost, or is refused as well
        because some member has listened to this one, the others go on without the member, which cannot be
        replaced yet
        - RefusalAdviceTests.testTheAdvice_ofARefusedOldDirectory_saysWhenTheLatestIsRefusedToo
        member is up twice, on copies of one directory: stop the one that has failed with this message, and
        never start it again; the other one goes on as member , and has lost what the first promised after
        the copy was made; if both have failed, the others go on without the member, which cannot be
        replaced yet
        - RefusalAdviceTests.testTheAdvice_ofACopyOfARunningMember_isRightForTheOneThatHasFailed
        - RefusalAdviceTests.testTheAdvice_ofACopy_saysWhatToDoIfBothProcessesHaveFailed
        what member said to introduce itself is not what a member says: check that it is of a release that
        fits
        - RefusalAdviceTests.testTheAdvice_ofAMalformedIntroduction_isAReleaseThatFits
        member has failed or has no space on its disk: see what it says, and open it again if it has failed
        - RefusalAdviceTests.testTheAdvice_ofAMemberThatIsUnavailable_isToFreeSpaceOrToOpenItAgain
        member of the cluster asks for opening of the directory of member , which has shown it or does not
        belong there: correct the address that member has for member ; if it is right, check that both are
        of releases that fit
        - RefusalAdviceTests.testAMember_thatIsAskedByAnotherThanItMeant_showsNothing
        member remembers opening of the directory of member , which has no record of it, so that nobody can
        say whether the directory was set back: put the latest directory back; if this is the latest, the
        two go on without each other, and the rest of the cluster with both
        - StoreOpeningHistoryTests.testAMember_withoutARecordOfTheOpening_isToldByBothAndStopsNeither
        member does not listen to member for a reason that this release does not know (): see what member
        says
        - HandshakeTermsTests.testAReasonThatThisReleaseDoesNotKnowIsShownByItsNumber
        """

    /// Without spaces that stand together, as they do where something is interpolated.
    private func plain(_ sentence: String) -> String {
        sentence.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private var tests: [(sentence: String, tests: [String])] {
        var tests: [(sentence: String, tests: [String])] = []
        var isInside = false
        for line in AdviceTests.table.components(separatedBy: "\n") {
            if line.hasPrefix("- ") {
                isInside = false
                tests[tests.count - 1].tests.append(String(line.dropFirst(2)))
            } else if isInside {
                tests[tests.count - 1].sentence += " " + line
            } else {
                isInside = true
                tests.append((line, []))
            }
        }
        return tests
    }

    /// All sentences that advise, each once. The simulation has none for an operator.
    private func found() throws -> Set<String> {
        let folder = PageClaims.root.appendingPathComponent("Sources")
        var found: Set<String> = []
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        where path.hasSuffix(".swift") && !path.hasPrefix("BalsaSimulation/") {
            found.formUnion(Advice.sentences(ofSource: try PageClaims.page("Sources/" + path)))
        }
        return found
    }

    func testSentences_eachThatAdvises_isListedWithItsTests() throws {
        let others = Set(Advice.other.map { plain($0) })
        let listed = Set(tests.map { plain($0.sentence) }).union(others)
        XCTAssertEqual(listed.count, tests.count + others.count, "one is listed twice")
        let found = Set(try found().map { plain($0) })
        XCTAssertGreaterThan(found.count, 50)
        for sentence in found.subtracting(listed).sorted() { XCTFail("no test is named that does this: '\(sentence)'") }
        for sentence in listed.subtracting(found).sorted() { XCTFail("no source says this: '\(sentence)'") }
    }

    func testTests_eachThatIsNamed_existsAndDoesWhatIsAdvised() throws {
        let bodies = try bodiesOfTests()
        XCTAssertGreaterThan(bodies.count, 600, "the tests were not found")
        for (sentence, names) in tests {
            XCTAssertFalse(names.isEmpty, sentence)
            for name in names {
                guard let body = bodies[name] else {
                    XCTFail("\(name) does not exist: '\(sentence)'")
                    continue
                }
                XCTAssertTrue(body.contains("advise"), "\(name) does not say where it does this: '\(sentence)'")
            }
        }
    }

    /// The tests with their bodies and the comments above them, as `Class.testName`.
    private func bodiesOfTests() throws -> [String: String] {
        let folder = PageClaims.root.appendingPathComponent("Tests")
        var bodies: [String: String] = [:]
        let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        for path in paths where path.hasSuffix("Tests.swift") {
            let source = try PageClaims.page("Tests/" + path)
            let names = PageClaims.tests(ofSource: source)
            let parts = source.components(separatedBy: "\n    func test")
            guard parts.count == names.count + 1 else { continue }
            for (place, name) in names.enumerated() {
                let comment = parts[place].components(separatedBy: "\n").suffix(while: { $0.hasPrefix("    ///") })
                bodies[name] = comment.joined() + parts[place + 1].components(separatedBy: "\n    }\n")[0]
            }
        }
        return bodies
    }

    func testSentencesOfASource_areTheLiteralsWithAnImperative() {
        let source = #"""
            // "stop it" is a comment
            throw Failure("\(path) is a file; name another directory")
            throw Failure(
                "it is open by \(holder ?? "somebody"), which holds it: close it there, "
                    + "or never start it again"
            )
            let title = "open"
            let name = "stopped members: 3"
            let text = "two were started, and then stop the second"
            """#
        XCTAssertEqual(
            Advice.sentences(ofSource: source),
            [
                " is a file; name another directory",
                "it is open by , which holds it: close it there, or never start it again",
                "two were started, and then stop the second",
            ]
        )
    }
}

extension Array where Element == String {
    /// The last elements for which this holds.
    fileprivate func suffix(while isWanted: (String) -> Bool) -> [String] {
        Array(reversed().prefix(while: isWanted).reversed())
    }
}
