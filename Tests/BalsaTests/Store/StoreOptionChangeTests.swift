import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The replicated options through a store: reading, changing, conflicts, and what is in force at once.
final class StoreOptionChangeTests: StoreTestCase {
    private func bytes(_ count: Int) -> Bytes { Bytes([UInt8](repeating: 7, count: count)) }

    func testOptions_ofANewStore_areThoseThatItWasOpenedWith() async throws {
        var options = StoreOptions()
        options.replicated.retainedRevisions = 17
        let store = try await ReplicatedStore.open(at: directory, options: options)
        let entry = try await store.options()
        XCTAssertEqual(entry, ReplicatedOptionsEntry(options: options.replicated, revision: 1))
        await store.close()
        // Without a flush, after one, and whatever it is opened with.
        for proposal in [10, 1 << 20] {
            options.replicated.maxValueBytes = proposal
            let again = try await ReplicatedStore.open(at: directory, options: options)
            let found = try await again.options()
            XCTAssertEqual(found, entry)
            try await again.put(Bytes("k\(proposal)"), bytes(1_000))
            await again.close()
        }
    }

    /// The trial of a new user: a put, and an opening with a limit that the value exceeds.
    func testValue_thatIsAcknowledged_isThereAfterAnOpeningWithALowerLimit() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", bytes(21))
        await store.close()
        var options = StoreOptions()
        options.replicated.maxValueBytes = 10
        let again = try await ReplicatedStore.open(at: directory, options: options)
        let entry = try await again.get("k")
        XCTAssertEqual(entry?.value, bytes(21))
        await again.close()
    }

    /// The code of the page.
    func testPage_options_areReadAndChanged() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        var entry = try await store.options()
        entry.options.maxValueBytes = 4 << 20
        try await store.changeOptions(entry.options, expecting: entry.revision)
        try await store.put("k", bytes(4 << 20))
        await store.close()
    }

    func testChange_withAnotherRevision_isAConflictThatNamesTheOneInForce() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        var entry = try await store.options()
        entry.options.maxValueBytes = 100
        let revision = try await store.changeOptions(entry.options, expecting: entry.revision)
        XCTAssertGreaterThan(revision, entry.revision)
        entry.options.maxValueBytes = 200
        let conflict = await refusal { try await store.changeOptions(entry.options, expecting: entry.revision) }
        XCTAssertEqual(conflict?.reason, .conflict)
        XCTAssertEqual(conflict?.outcome, .notApplied)
        XCTAssertEqual(conflict?.isRetriable, false, "it would be one again")
        XCTAssertEqual(
            conflict?.message,
            "the options in force are of revision \(revision), and 1 was expected: read them again"
        )
        // What the message advises.
        let found = try await store.options()
        XCTAssertEqual(found.revision, revision)
        XCTAssertEqual(found.options.maxValueBytes, 100)
        let next = try await store.changeOptions(found.options, expecting: found.revision)
        XCTAssertGreaterThan(next, revision)
        await store.close()
    }

    func testChange_ofInvalidOptions_isRefusedWithTheRule() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        var entry = try await store.options()
        entry.options.maxValueBytes = 7
        let error = await refusal { try await store.changeOptions(entry.options, expecting: entry.revision) }
        XCTAssertEqual(error?.reason, .invalid)
        XCTAssertEqual(error?.outcome, .notApplied)
        XCTAssertEqual(error?.message, "maxValueBytes must be 8 to 268435456, not 7")
        let found = try await store.options()
        XCTAssertEqual(found, ReplicatedOptionsEntry(options: ReplicatedOptions(), revision: 1))
        let value = try await store.get("k")
        XCTAssertEqual(value?.value, "v")
        await store.close()
    }

    func testChanges_atTheSameTime_oneWinsAndTheOtherIsToldTheRevision() async throws {
        let stores = try await openCluster(3)
        let entry = try await stores[0].options()
        let results = await withTaskGroup(of: (Int, Result<UInt64, StoreError>).self) { group in
            for (place, store) in stores.enumerated() {
                group.addTask {
                    var options = entry.options
                    options.retainedRevisions = 1_000 + UInt64(place)
                    do throws(StoreError) {
                        let revision = try await store.changeOptions(
                            options,
                            expecting: entry.revision,
                            timeout: .seconds(30)
                        )
                        return (place, .success(revision))
                    } catch {
                        return (place, .failure(error))
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var winners: [(place: Int, revision: UInt64)] = []
        for case (let place, .success(let revision)) in results { winners.append((place, revision)) }
        XCTAssertEqual(winners.count, 1)
        let winner = try XCTUnwrap(winners.first)
        for case (_, .failure(let error)) in results {
            XCTAssertEqual(error.reason, .conflict)
            XCTAssertTrue(error.message.contains("of revision \(winner.revision), and 1 "), error.message)
        }
        for store in stores {
            let found = try await store.options(timeout: .seconds(30))
            XCTAssertEqual(found.revision, winner.revision)
            XCTAssertEqual(found.options.retainedRevisions, 1_000 + UInt64(winner.place))
        }
        for store in stores { await store.close() }
    }

    /// No member has been told of the limit when it was opened, and some may not have applied the change yet.
    func testLimit_thatWasRaised_isOfUseAtOnceThroughEveryMember() async throws {
        let stores = try await openCluster(3)
        for (place, store) in stores.enumerated() {
            var entry = try await store.options(timeout: .seconds(30))
            let longest = (3 + 2 * place) << 20
            entry.options.maxValueBytes = longest
            entry.options.maxKeyBytes = 5_000 + place
            try await store.changeOptions(entry.options, expecting: entry.revision, timeout: .seconds(30))
            for other in stores {
                try await other.put(bytes(5_000 + place), bytes(longest), timeout: .seconds(60))
                let found = try await other.get(bytes(5_000 + place), timeout: .seconds(60))
                XCTAssertEqual(found?.value.count, longest)
            }
        }
        try await eventually("all members hold the same") {
            var states: [[UInt64]] = []
            for store in stores {
                let status = await store.status()
                states.append([status.appliedIndex, status.digest])
            }
            return states.allSatisfy { $0 == states[0] }
        }
        for store in stores {
            XCTAssertFalse({ if case .failed = store.state { true } else { false } }(), "\(store.state)")
            await store.close()
        }
    }
}
