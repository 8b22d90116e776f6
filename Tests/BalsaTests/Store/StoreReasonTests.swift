import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// What a user is told when a call cannot be done: each reason with the outcome that belongs to it, on real stores.
final class StoreReasonTests: StoreTestCase {
    func testOptionsWithWhichNothingCouldBeDoneAreInvalid() async throws {
        let changes: [(inout StoreOptions) -> Void] = [
            { $0.maxOutstandingCommands = 0 }, { $0.replicated.maxSessions = 0 },
            { $0.maxWaitingBytes = 0 }, { $0.timeout = .zero }, { $0.drainLimit = .seconds(-1) },
        ]
        for (place, change) in changes.enumerated() {
            var options = StoreOptions()
            change(&options)
            do {
                let store = try await ReplicatedStore.open(at: "\(directory)/\(place)", options: options)
                XCTFail("\(place): \(store.state)")
            } catch {
                XCTAssertEqual(error.reason, .invalid, "\(place): \(error)")
            }
        }
    }

    private func bytes(_ count: Int) -> Bytes { Bytes([UInt8](repeating: 7, count: count)) }

    func testWhatIsTooLargeIsRefusedAndNothingHasHappened() async throws {
        var options = StoreOptions()
        options.replicated.maxKeyBytes = 100
        options.replicated.maxValueBytes = 1_000
        let store = try await ReplicatedStore.open(at: directory, options: options)
        let long = bytes(101)
        let large = bytes(1_001)
        try await store.put("k", bytes(900))
        var errors: [StoreError?] = []
        errors.append(await refusal { try await store.put(long, "v") })
        errors.append(await refusal { try await store.put("k", large) })
        errors.append(await refusal { try await store.append(bytes(200), to: "k") })
        errors.append(await refusal { try await store.delete(long) })
        errors.append(await refusal { try await store.delete(from: "", to: long) })
        errors.append(await refusal { try await store.add(1, to: long) })
        errors.append(await refusal { _ = try await store.compareAndSet("k", if: .absent, then: .put(large)) })
        // A key may be there from when the limit was higher, so that reads go up to what any options can allow.
        let longest = bytes(ReplicatedOptions.largestKeyBytes + 1)
        errors.append(await refusal { _ = try await store.get(longest) })
        errors.append(await refusal { _ = try await store.scan(from: longest) })
        errors.append(await refusal { _ = try await store.scan(to: longest) })
        let grown = "the value of k would be too long with 200 bytes more; `ReplicatedOptions.maxValueBytes` is 1000"
        XCTAssertTrue(errors.contains { $0?.message == grown }, "\(errors)")
        for error in errors {
            XCTAssertEqual(error?.reason, .tooLarge)
            XCTAssertEqual(error?.outcome, .notApplied)
        }
        let value = try await store.get("k")
        XCTAssertEqual(value?.value.count, 900)
        try await store.put(bytes(100), bytes(1_000))
        await store.close()
    }

    func testArgumentsThatMakeNoSenseAreErrorsAndNotTraps() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("text", "not a counter")
        var errors: [StoreError?] = []
        errors.append(await refusal { try await store.delete(from: "b", to: "a") })
        errors.append(await refusal { _ = try await store.scan(from: "b", to: "a") })
        errors.append(await refusal { _ = try await store.scan(from: "b", to: "a", order: .descending) })
        errors.append(await refusal { _ = try await store.scan(limit: 0) })
        errors.append(await refusal { _ = try await store.scan(limit: -1) })
        errors.append(await refusal { _ = try await store.scan(limit: .min) })
        errors.append(await refusal { try await store.add(1, to: "text") })
        for error in errors {
            XCTAssertEqual(error?.reason, .invalid)
            XCTAssertEqual(error?.outcome, .notApplied)
            XCTAssertNotEqual(error?.message, "", "the sentence says what makes no sense")
        }
        for range in errors[...2] {
            XCTAssertEqual(range?.message, "the range from b to a ends before it begins")
        }
        XCTAssertEqual(errors[3]?.message, "the limit of a page must be at least 1, not 0")
        XCTAssertEqual(errors[6]?.message, "not a counter: the value of text has another length than 8 bytes")
        await store.close()
    }

    func testTheEdgesOfWhatMakesSense() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("", "the empty key is a key")
        try await store.put("empty", "")
        let empty = try await store.get("")
        XCTAssertEqual(empty?.value, "the empty key is a key")
        let value = try await store.get("empty")
        XCTAssertEqual(value?.value, "", "no bytes are not no value")
        let page = try await store.scan(limit: .max)
        XCTAssertEqual(page.pairs.map(\.key), ["", "empty"])
        let nothing = try await store.scan(from: "a", to: "a")
        XCTAssertEqual(nothing.pairs, [])
        try await store.delete(from: "a", to: "a")
        try await store.delete("never was there")
        try await store.delete(from: "", to: nil)
        let rest = try await store.scan()
        XCTAssertEqual(rest.pairs, [])
        try await store.add(.max, to: "counter")
        let over = await refusal { try await store.add(1, to: "counter") }
        XCTAssertEqual(over?.outcome, .notApplied)
        XCTAssertEqual(over?.message, "overflow: the counter counter and 1 have no sum that fits in 64 bits")
        let counter = try await store.add(0, to: "counter")
        XCTAssertEqual(counter, .max, "a sum that does not fit changes nothing")
        await store.close()
    }

    func testMoreThanMayWaitIsBusyAndWasNotApplied() async throws {
        var options = StoreOptions()
        options.maxWaitingBytes = 4 << 10
        let store = try await survivor(options)
        let half = bytes(3 << 10)
        let first = Task { try await store.put("k", half, timeout: .seconds(60)) }
        try await eventually("it is under way") { await store.status().outstandingCommands == 1 }
        let error = await refusal { try await store.put("k", half) }
        XCTAssertEqual(error?.reason, .busy)
        XCTAssertEqual(error?.outcome, .notApplied)
        XCTAssertEqual(error?.isRetriable, true)
        let never = await refusal { try await store.put("k", bytes(5 << 10)) }
        XCTAssertEqual(never?.reason, .tooLarge, "there would never be room for it")
        XCTAssertEqual(never?.outcome, .notApplied)
        XCTAssertEqual(never?.message.contains("4096"), true, never?.message ?? "")
        first.cancel()
        await store.close(drainingFor: .zero)
    }

    /// The caller hears what was too large, how large it is and what the limit is; much more than may wait is no matter
    /// of time.
    func testWhatIsTooLargeNamesItsSizeAndTheLimit() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        let large = bytes(40 << 20)
        let value = await refusal { try await store.put("k", large) }
        XCTAssertEqual(value?.reason, .tooLarge)
        XCTAssertEqual(value?.isRetriable, false)
        XCTAssertEqual(value?.message, "a value of 41943040 bytes; `ReplicatedOptions.maxValueBytes` is 1048576")
        let long = bytes(5_000)
        let key = await refusal { try await store.put(long, "v") }
        XCTAssertEqual(key?.message, "a key of 5000 bytes; `ReplicatedOptions.maxKeyBytes` is 4096")
        // A key may be there from when the limit was higher.
        let absent = try await store.get(long)
        XCTAssertNil(absent)
        let never = bytes(40_000)
        let read = await refusal { _ = try await store.get(never) }
        XCTAssertEqual(read?.message, "a key of 40000 bytes; no options allow more than 32768")
        let reversed = await refusal { _ = try await store.scan(from: "b", to: "a") }
        XCTAssertEqual(reversed?.description.contains("invalid: "), false, "\(String(describing: reversed))")
        await store.close()
    }

    /// The leader applies nothing and takes nothing more. What a follower passes on is definitely refused, again and
    /// again.
    func testBusy_ofTheLeaderThroughAFollower_isNotAppliedAtTheDeadline() async throws {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 16 << 10
        options.replica.maxBacklogBytes = 16 << 10
        let peers = try newPeers(3)
        var stores: [ReplicatedStore] = []
        var runtimes: [StoreRuntime] = []
        for member in peers.keys.sorted() {
            let runtime = StoreRuntime(workers: 2)
            runtimes.append(runtime)
            let place = "\(directory)/\(member)"
            stores.append(
                try await .open(at: place, member: member, peers: peers, options: options, runtime: runtime)
            )
        }
        try await stores[0].put("before", "all is well")
        let (leader, others) = try await split(stores)
        // Each has its session, which is no part of what is asked here.
        for store in others { try await store.put("before", "all is well") }
        let place = try XCTUnwrap(stores.firstIndex { $0 === leader })
        let held = try HeldWorkers(of: runtimes[place])
        var last: StoreError?
        for number in 0..<1_000 where last?.reason != .busy {
            do throws(StoreError) {
                try await leader.put(Bytes("k\(number)"), bytes(1_000), timeout: .milliseconds(50))
            } catch { last = error }
        }
        XCTAssertEqual(last?.reason, .busy)
        for store in others {
            let error = await refusal {
                try await store.put("through a follower", "never", timeout: .milliseconds(300))
            }
            XCTAssertTrue([.busy, .deadlineExceeded].contains(error?.reason), "\(String(describing: error))")
            XCTAssertEqual(error?.outcome, .notApplied, "\(String(describing: error))")
        }
        held.letGo()
        try await others[0].put("after", "all is well", timeout: .seconds(30))
        let value = try await others[1].get("through a follower", timeout: .seconds(30))
        XCTAssertNil(value, "what was not applied never is")
        for store in stores { await store.close() }
    }

    func testRevisionsThatAreTooOldOrNotThereYet() async throws {
        var options = StoreOptions()
        options.replicated.retainedRevisions = 5
        options.replicated.retainedNanoseconds = 1
        options.replicated.retentionSampleNanoseconds = 1
        let store = try await ReplicatedStore.open(at: directory, options: options)
        let first = try await store.put("k", "old")
        for number in 0..<20 { try await store.put("k", Bytes("\(number)")) }
        let old = await refusal { _ = try await store.scan(at: first) }
        XCTAssertEqual(old?.reason, .compacted)
        XCTAssertEqual(old?.isRetriable, false, "it never comes back")
        let future = await refusal { _ = try await store.scan(at: 1 << 40) }
        XCTAssertEqual(future?.reason, .futureRevision)
        let early = await refusal {
            _ = try await store.get("k", consistency: .atLeast(1 << 40), timeout: .milliseconds(50))
        }
        XCTAssertEqual(early?.reason, .deadlineExceeded, "it might have come")
        XCTAssertEqual(early?.outcome, .notApplied)
        await store.close()
    }

    func testWithoutAMajorityWhatWasSentIsUnknownAndWhatWaitedIsNotApplied() async throws {
        var options = StoreOptions()
        options.maxOutstandingCommands = 1
        let store = try await survivor(options)
        let sent = Task { try await store.put("sent", "perhaps", timeout: .milliseconds(700)) }
        try await eventually("it is under way") { await store.status().outstandingCommands == 1 }
        let late = await refusal { try await store.put("queued", "never", timeout: .milliseconds(100)) }
        let unknown = await refusal { _ = try await sent.value }
        XCTAssertEqual(unknown?.outcome, .unknown)
        XCTAssertEqual(unknown?.reason, .deadlineExceeded)
        XCTAssertEqual(unknown?.isRetriable, false, "not without knowing what became of it")
        XCTAssertEqual(late?.outcome, .notApplied, "its turn never came")
        XCTAssertEqual(late?.reason, .deadlineExceeded)
        let read = await refusal { _ = try await store.get("before", timeout: .milliseconds(300)) }
        XCTAssertEqual(read?.outcome, .notApplied)
        XCTAssertTrue([.noQuorum, .deadlineExceeded].contains(read?.reason), "\(String(describing: read))")
        let local = try await store.get("before", consistency: .local)
        XCTAssertEqual(local?.value, "all is well", "a local read asks nobody")
        let known = try await store.get("before", consistency: .atLeast(local?.revision ?? 0))
        XCTAssertEqual(known?.value, "all is well", "nor one of a revision that is here")
        try await eventually("the state says so") { store.state == .noQuorum }
        let leaderless = await refusal { _ = try await store.get("before", timeout: .milliseconds(100)) }
        XCTAssertEqual(leaderless?.reason, .noQuorum)
        XCTAssertEqual(leaderless?.isRetriable, true)
        await store.close(drainingFor: .zero)
    }

    func testAStoreThatNeverSawAMajorityAnswersAtTheDeadline() async throws {
        let peers = try newPeers(3)
        let store = try await ReplicatedStore.open(at: directory + "/1", member: 1, peers: peers)
        XCTAssertEqual(store.state, .recovering)
        let put = await refusal { try await store.put("k", "v", timeout: .milliseconds(100)) }
        XCTAssertEqual(put?.outcome, .notApplied)
        XCTAssertEqual(put?.isRetriable, true)
        let get = await refusal { _ = try await store.get("k", timeout: .milliseconds(100)) }
        XCTAssertEqual(get?.outcome, .notApplied)
        await store.close()
    }

    func testAClosedStoreRefusesEverything() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        await store.close()
        var errors: [StoreError?] = []
        errors.append(await refusal { try await store.put("k", "v") })
        errors.append(await refusal { try await store.delete("k") })
        errors.append(await refusal { _ = try await store.get("k") })
        errors.append(await refusal { _ = try await store.get("k", consistency: .local) })
        errors.append(await refusal { _ = try await store.scan() })
        for error in errors {
            XCTAssertEqual(error?.reason, .closed)
            XCTAssertEqual(error?.outcome, .notApplied)
        }
    }

    func testWhatCannotBeOpenedSaysWhy() async throws {
        let peers = try newPeers(3)
        let directory = directory + "/store"
        let stranger = await refusal { _ = try await ReplicatedStore.open(at: directory, member: 4, peers: peers) }
        XCTAssertEqual(stranger?.reason, .invalid)
        XCTAssertEqual(stranger?.message.contains("member 4 is not among the peers"), true)
        let portless = await refusal {
            _ = try await ReplicatedStore.open(at: directory, member: 1, peers: [1: "localhost"])
        }
        XCTAssertEqual(portless?.reason, .invalid)
        XCTAssertEqual(portless?.message.contains("`localhost` has no port"), true)
        let open = await refusal {
            _ = try await ReplicatedStore.open(at: directory, member: 1, peers: [1: "0.0.0.0:0", 2: "10.0.0.2:1"])
        }
        XCTAssertEqual(open?.reason, .insecure, "\(String(describing: open))")
        var options = StoreOptions()
        options.replica.applyPageBytes = 0
        let limits = await refusal { [options] in
            _ = try await ReplicatedStore.open(at: directory, options: options)
        }
        XCTAssertEqual(limits?.reason, .invalid)
        var existing = StoreOptions()
        existing.mustExist = true
        let nowhere = await refusal { [existing] in
            _ = try await ReplicatedStore.open(at: directory + "/not/there", options: existing)
        }
        XCTAssertEqual(nowhere?.reason, .failed)
        XCTAssertEqual(nowhere?.message.contains(directory + "/not/there does not exist"), true)
        let parent = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: parent) }
        try Data().write(to: parent.appendingPathComponent(".keep"))
        let foreign = await refusal { [existing] in
            _ = try await ReplicatedStore.open(at: parent.path, options: existing)
        }
        XCTAssertEqual(foreign?.reason, .failed)
        XCTAssertEqual(foreign?.message.contains(" holds no store, and `mustExist` is set"), true)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: parent.path), [".keep"])
        // Nothing of all that has left anything that would keep the store from opening.
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        await store.close()
    }

    func testADamagedStoreIsNotOpenedAndNamesTheFile() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        await store.close()
        let fileSystem = LinuxFileSystem()
        let place = directory + "/groups/1"
        let names = try fileSystem.list(place)
        let vote = try XCTUnwrap(names.first { $0 == "VOTE" }, "\(names)")
        let file = try fileSystem.open("\(place)/\(vote)", .readWrite)
        try file.write(Bytes([UInt8](repeating: 0xff, count: 64)), at: 0)
        let size = try file.size()
        try file.write(Bytes([UInt8](repeating: 0xff, count: 64)), at: size / 2)
        file.close()
        let directory = directory
        let error = await refusal { _ = try await ReplicatedStore.open(at: directory) }
        XCTAssertEqual(error?.reason, .failed)
        XCTAssertEqual(error?.outcome, .notApplied)
        XCTAssertEqual(error?.message.contains(vote), true, "\(String(describing: error))")
    }
}
