import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// What tests of stores on real files, threads and sockets need: a directory that goes away, and clusters over loopback.
class StoreTestCase: XCTestCase {
    private(set) var directory = ""

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

    /// Waits until `condition` holds, for a bounded time.
    func eventually(
        _ what: String,
        file: StaticString = #filePath,
        line: UInt = #line,
        _ condition: () async -> Bool
    ) async throws {
        for _ in 0..<2_000 {
            if await condition() { return }
            try await Task.sleep(nanoseconds: 5_000_000)
        }
        XCTFail("did not come about: \(what)", file: file, line: line)
    }

    /// Members 1 to `count` in this process, in folders of the test's directory.
    func openCluster(
        _ count: Int = 3,
        in folder: String = "",
        runtime: StoreRuntime = .shared,
        _ options: StoreOptions = StoreOptions()
    ) async throws -> [ReplicatedStore] {
        let peers = try LoopbackPorts.peers(count)
        var stores: [ReplicatedStore] = []
        if !folder.isEmpty { try LinuxFileSystem().createDirectory("\(directory)/\(folder)") }
        let parent = folder.isEmpty ? directory : "\(directory)/\(folder)"
        for member in peers.keys.sorted() {
            let place = "\(parent)/\(member)"
            stores.append(
                try await ReplicatedStore.open(
                    at: place,
                    member: member,
                    peers: peers,
                    options: options,
                    runtime: runtime
                )
            )
        }
        return stores
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

extension LoopbackPorts {
    /// Members on ports of the loopback that are free now.
    static func peers(_ count: Int) throws -> [MemberID: String] {
        var peers: [MemberID: String] = [:]
        for (place, port) in try free(count).enumerated() { peers[MemberID(place + 1)] = "127.0.0.1:\(port)" }
        return peers
    }

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
