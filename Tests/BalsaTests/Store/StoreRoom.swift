import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// Notes what a store tells its observer.
final class NotedEvents: StoreObserver {
    private let noted = Locked<[StoreEvent]>([])

    func noticed(_ event: StoreEvent) { noted.withLock { $0.append(event) } }

    /// The clusters that the member has joined.
    var joined: [String] {
        noted.withLock { $0 }.compactMap { if case .joined(let cluster) = $0 { cluster } else { nil } }
    }

    /// Whether a connection to a peer was made.
    func hasConnected(to peer: MemberID) -> Bool {
        noted.withLock { $0 }.contains { if case .connected(peer) = $0 { true } else { false } }
    }

    /// What the first boot waits for.
    var waits: [String] {
        noted.withLock { $0 }.compactMap { if case .firstBootWaits(let text) = $0 { text } else { nil } }
    }

    /// What the first boot misses, report by report.
    var missing: [[MissingPeer]] {
        noted.withLock { $0 }.compactMap { if case .firstBootMisses(let peers) = $0 { peers } else { nil } }
    }

    /// What was said of refusals between the member and this peer.
    func refusals(of peer: MemberID) -> [String] {
        noted.withLock { $0 }.compactMap {
            if case .refused(let refused, let text) = $0, refused == peer { text } else { nil }
        }
    }
}

/// A folder and the ports for the members of one cluster on this machine: real files, threads and sockets.
final class StoreRoom {
    private let folder: String
    /// Where the members are reached.
    var peers: [MemberID: String] = [:]
    /// The stores that are open.
    private(set) var stores: [MemberID: ReplicatedStore] = [:]
    private(set) var events: [MemberID: NotedEvents] = [:]
    private var reserved: [ReservedPorts] = []

    init(members: [MemberID] = [1, 2, 3]) throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-room-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
        for member in members { peers[member] = try newAddress() }
    }

    /// An address of this machine that nobody else is given, and at which nobody listens yet.
    func newAddress() throws -> String {
        let reservation = try ReservedPorts(1)
        reserved.append(reservation)
        return "127.0.0.1:\(reservation.ports[0])"
    }

    func tearDown() async throws {
        for store in stores.values { await store.close() }
        try FileManager.default.removeItem(atPath: folder)
    }

    /// The directory of a member, or of a copy of it.
    func directory(_ member: MemberID, _ copy: String = "") -> String { "\(folder)/\(member)\(copy)" }

    /// Opens a member, on its own directory unless told otherwise.
    @discardableResult
    func open(_ member: MemberID, at directory: String? = nil) async throws -> ReplicatedStore {
        let (store, observer) = try await open(member, at: directory ?? self.directory(member), peers)
        stores[member] = store
        events[member] = observer
        return store
    }

    /// Opens a store that the room does not count among its members.
    func open(
        _ member: MemberID,
        at directory: String,
        _ peers: [MemberID: String]
    ) async throws -> (ReplicatedStore, NotedEvents) {
        let observer = NotedEvents()
        var options = StoreOptions()
        options.observer = observer
        // Nothing here is about how long an election takes.
        options.replica.raft.heartbeatInterval = .milliseconds(25)
        options.replica.raft.minElectionTimeout = .milliseconds(120)
        options.replica.raft.maxElectionTimeout = .milliseconds(240)
        return (
            try await ReplicatedStore.open(at: directory, member: member, peers: peers, options: options), observer
        )
    }

    /// Opens all members and waits until they serve.
    func openAll(startingWith first: MemberID = 1) async throws {
        for member in peers.keys.sorted() { try await open(member) }
        let store = try XCTUnwrap(stores[first])
        try await store.put("opened", "1", timeout: .seconds(30))
    }

    func close(_ member: MemberID) async {
        await stores.removeValue(forKey: member)?.close()
    }

    func copy(_ from: String, to: String) throws { try FileManager.default.copyItem(atPath: from, toPath: to) }

    func remove(_ directory: String) throws { try FileManager.default.removeItem(atPath: directory) }
}

extension StoreState {
    /// Why the store has failed; nil while it has not.
    var failure: String? { if case .failed(let text) = self { text } else { nil } }
}

extension XCTestCase {
    /// Waits until a store has failed, and checks that its sentence has all of these parts.
    func expectFailure(
        of store: ReplicatedStore,
        saying parts: [String],
        file: StaticString = #filePath,
        line: UInt = #line
    ) async throws {
        try await eventually("it is refused") { store.state.failure != nil }
        let text = store.state.failure ?? ""
        for part in parts { XCTAssertTrue(text.contains(part), "\(part) in: \(text)", file: file, line: line) }
        let error = await storeError { try await store.put("never", "said", timeout: .seconds(1)) }
        XCTAssertEqual(error?.reason, .failed, file: file, line: line)
        XCTAssertEqual(error?.outcome, .notApplied, file: file, line: line)
        XCTAssertEqual(error?.message, text, "the call says why, as the state does", file: file, line: line)
        for consistency in [ReadConsistency.local, .linearizable] {
            let read = await storeError { _ = try await store.get("k", consistency: consistency) }
            XCTAssertEqual(read?.reason, .failed, file: file, line: line)
            XCTAssertEqual(read?.message, text, "\(consistency)", file: file, line: line)
        }
    }

    /// The error that a call throws; nil where it throws nothing. An error of another type fails the test.
    func storeError(
        file: StaticString = #filePath,
        line: UInt = #line,
        _ body: () async throws -> Void
    ) async -> StoreError? {
        do {
            try await body()
            return nil
        } catch let error as StoreError {
            return error
        } catch {
            XCTFail("another error: \(error)", file: file, line: line)
            return nil
        }
    }
}
