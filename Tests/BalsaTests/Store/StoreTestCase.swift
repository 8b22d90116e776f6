import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// What tests of stores on real files, threads and sockets need: a directory that goes away, and clusters over loopback.
class StoreTestCase: XCTestCase {
    private(set) var directory = ""
    private var reserved: [ReservedPorts] = []
    /// Where the members of the cluster that was opened last are reached.
    private(set) var peers: [MemberID: String] = [:]

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: directory) }

    /// The error that `body` throws; nil, and a failed test, where it throws none.
    func refusal(
        file: StaticString = #filePath,
        line: UInt = #line,
        _ body: () async throws -> Void
    ) async -> StoreError? {
        do {
            try await body()
            XCTFail("nothing was refused", file: file, line: line)
            return nil
        } catch let error as StoreError {
            return error
        } catch {
            XCTFail("another error: \(error)", file: file, line: line)
            return nil
        }
    }

    /// The addresses of members 1 to `count`, which nobody else is given until the test ends.
    func newPeers(_ count: Int) throws -> [MemberID: String] {
        let reservation = try ReservedPorts(count)
        reserved.append(reservation)
        var peers: [MemberID: String] = [:]
        for (index, port) in reservation.ports.enumerated() { peers[MemberID(index + 1)] = "127.0.0.1:\(port)" }
        return peers
    }

    /// Members 1 to `count` in this process, in folders of the test's directory.
    func openCluster(
        _ count: Int = 3,
        in folder: String = "",
        runtime: StoreRuntime = .shared,
        _ options: StoreOptions = StoreOptions()
    ) async throws -> [ReplicatedStore] {
        peers = try newPeers(count)
        if !folder.isEmpty { try LinuxFileSystem().createDirectory("\(directory)/\(folder)") }
        var stores: [ReplicatedStore] = []
        for member in peers.keys.sorted() {
            stores.append(try await openMember(member, in: folder, runtime: runtime, options))
        }
        return stores
    }

    /// Opens a member of the cluster that was opened last.
    func openMember(
        _ member: MemberID,
        in folder: String = "",
        runtime: StoreRuntime = .shared,
        _ options: StoreOptions = StoreOptions()
    ) async throws -> ReplicatedStore {
        try await ReplicatedStore.open(
            at: folder.isEmpty ? "\(directory)/\(member)" : "\(directory)/\(folder)/\(member)",
            member: member,
            peers: peers,
            options: options,
            runtime: runtime
        )
    }

    /// The member of a cluster that leads, once one does, and the others.
    func split(_ stores: [ReplicatedStore]) async throws -> (leader: ReplicatedStore, others: [ReplicatedStore]) {
        try await eventually("a leader") { stores.contains { $0.state == .leader } }
        let place = try XCTUnwrap(stores.firstIndex { $0.state == .leader })
        return (stores[place], stores.indices.filter { $0 != place }.map { stores[$0] })
    }

    /// The last one of a cluster that has lost its majority: it led, and its session is open.
    func survivor(_ options: StoreOptions = StoreOptions()) async throws -> ReplicatedStore {
        let stores = try await openCluster(3, options)
        try await stores[0].put("before", "all is well")
        let (leader, others) = try await split(stores)
        try await leader.put("before", "all is well")
        for store in others { await store.close() }
        return leader
    }
}

/// A listener of a test.
enum LoopbackListener {
    /// A socket that is bound to a port of the loopback.
    static func bound() throws -> (socket: Int32, port: UInt16) {
        struct CannotBind: Error {}
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard isBound else { throw CannotBind() }
        return (socket, UInt16(bigEndian: address.sin_port))
    }
}

/// Notes what an observer is told.
final class NotingObserver: StoreObserver {
    private let noted = Locked<(states: [StoreState], events: [StoreEvent])>(([], []))

    var states: [StoreState] { noted.withLock { $0.states } }
    var events: [StoreEvent] { noted.withLock { $0.events } }

    func stateChanged(_ state: StoreState) { noted.withLock { $0.states.append(state) } }
    func noticed(_ event: StoreEvent) { noted.withLock { $0.events.append(event) } }
}
