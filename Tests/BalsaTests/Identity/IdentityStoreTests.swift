import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// The files IDENTITY and BOOT: made once, never lost by a crash, and never believed when they are not what they were.
final class IdentityStoreTests: XCTestCase {
    private func open(
        _ files: SimulatedFileSystem,
        member: MemberID = 2,
        seed: UInt64 = 1
    ) throws(ReplicaError) -> IdentityStore {
        var ids = UniqueIDSource(seed: UniqueID(high: seed, low: 7))
        var store = try IdentityStore(opening: "m", in: files, member: member, ids: &ids)
        try store.count()
        return store
    }

    private func disk() throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("m")
        try files.syncDirectory(".")
        return disk
    }

    private func cluster(_ store: IdentityStore) throws -> ClusterIdentity {
        let rows = [
            MemberTable.Row(member: 1, incarnation: UniqueID(high: 5, low: 6), address: "one:1"),
            MemberTable.Row(member: 2, incarnation: store.identity.incarnation, address: "two:2"),
        ]
        return ClusterIdentity(id: UniqueID(high: 3, low: 4), table: try MemberTable(rows))
    }

    /// A disk with the directory of a member of a cluster, opened once.
    private func establishedDisk() throws -> SimulatedDisk {
        let disk = try disk()
        var store = try open(disk.mount())
        var identity = store.identity
        identity.state = .established(try cluster(store))
        try store.write(identity)
        return disk
    }

    private func refusal(_ disk: SimulatedDisk, member: MemberID = 2, line: UInt = #line) -> ReplicaError? {
        do throws(ReplicaError) {
            _ = try open(disk.mount(), member: member, seed: 3)
            XCTFail("it was opened", line: line)
            return nil
        } catch {
            return error
        }
    }

    func testANewMemberIsPreparedAndKeepsItsIncarnation() throws {
        let disk = try disk()
        let first = try open(disk.mount(), seed: 1)
        XCTAssertEqual(first.identity.state, .prepared)
        XCTAssertEqual(first.boot.counter, 1)
        disk.powerLoss(salt: 1)
        let second = try open(disk.mount(), seed: 2)
        XCTAssertEqual(second.identity, first.identity)
        XCTAssertEqual(second.boot.counter, 2)
        XCTAssertEqual(second.boot.nonces.count, 2)
        XCTAssertEqual(second.boot.nonces.last, first.boot.nonces.first)
    }

    func testASeedOfEqualHalvesGivesIDsAndNoncesToo() {
        for half: UInt64 in [0, 7, .max] {
            var ids = UniqueIDSource(seed: UniqueID(high: half, low: half))
            let id = ids.next()
            XCTAssertNotEqual(id.high, id.low)
            XCTAssertNotEqual(ids.nextNonce(), ids.nextNonce())
        }
    }

    func testEachOpeningIsKeptAndTheLastEightAreSaid() throws {
        let disk = try disk()
        var nonces: [UInt64] = []
        for seed in 1...UInt64(20) {
            let store = try open(disk.mount(), seed: seed)
            nonces.insert(store.boot.nonces[0], at: 0)
            XCTAssertEqual(store.boot.counter, seed)
            XCTAssertEqual(store.boot.nonces, nonces)
            XCTAssertEqual(store.introduction(to: 1).nonces, Array(nonces.prefix(8)))
        }
    }

    func testARecord_ofMoreOpeningsThanItHolds_forgetsTheOldestAndKeepsWhatPeersKnow() throws {
        let disk = try establishedDisk()
        var record = try TwinFile.boot(disk.mount().open("m/BOOT", .read).read(1 << 20, at: 0))
        let first = try XCTUnwrap(record.opening(1))
        record.peers = [.init(member: 1, boot: 3, nonce: 4, known: first)]
        for nonce in 1...5_000 as ClosedRange<UInt64> { record.bump(nonce: 1_000 + nonce) }
        XCTAssertEqual(record.nonces.count, 4_096)
        XCTAssertEqual(record.opening(1), first)
        XCTAssertNil(record.opening(2))
        XCTAssertNil(record.opening(5_001 - 4_096))
        XCTAssertEqual(record.opening(5_002 - 4_096), Opening(boot: 5_002 - 4_096, nonce: 1_000 + 5_001 - 4_096))
        XCTAssertNil(record.opening(5_002))
        XCTAssertNil(record.opening(0))
        try disk.mount().remove("m/BOOT")
        try disk.mount().open("m/BOOT", .create).write(TwinFile.encoded(try record.encoded()), at: 0)
        let store = try open(disk.mount(), seed: 9)
        XCTAssertEqual(store.boot.counter, 5_002)
        XCTAssertEqual(store.boot.peers, record.peers)
        XCTAssertEqual(store.introduction(to: 1, wanted: 1).proof, first)
        XCTAssertEqual(store.introduction(to: 1, wanted: 2).proof, Opening(boot: 2, nonce: 0))
        XCTAssertNil(store.introduction(to: 1, wanted: 4_999).proof, "its nonce is said anyway")
        XCTAssertNil(store.introduction(to: 1, wanted: 5_003).proof, "it is yet to come")
    }

    func testAnOpening_thatIsNotCounted_leavesEveryByteAsItWas() throws {
        let disk = try establishedDisk()
        let digest = disk.contentDigest
        var ids = UniqueIDSource(seed: UniqueID(high: 5, low: 7))
        _ = try IdentityStore(opening: "m", in: disk.mount(), member: 2, ids: &ids)
        XCTAssertEqual(disk.contentDigest, digest)
    }

    func testWhatIsWrittenIsReadBack() throws {
        let disk = try establishedDisk()
        var store = try open(disk.mount(), seed: 2)
        XCTAssertEqual(store.identity.state, .established(try cluster(store)))
        let peers = [
            BootRecord.Peer(member: 1, boot: 3, nonce: 4, known: store.boot.opening(2)),
            .init(member: 3, boot: largestNumber, nonce: .max),
        ]
        try store.note(peers)
        disk.powerLoss(salt: 5)
        XCTAssertEqual(try open(disk.mount(), seed: 3).boot.peers, peers)
        XCTAssertEqual(store.introduction(to: 9).cluster, try cluster(store).id)
        XCTAssertEqual(store.introduction(to: 9).to, 9)
        XCTAssertEqual(store.introduction(to: 9).nonces, store.boot.nonces)
    }

    func testACrashAnywhereInTheFirstOpeningLeavesADirectoryThatCanBeOpened() throws {
        let disk = try disk()
        let calls = try disk.forEachCrashPoint { files in
            _ = try open(files, seed: 1)
        } check: { crashed, point in
            for image in crashed.crashStates() {
                let after = SimulatedDisk(image)
                let store = try open(after.mount(), seed: 2)
                XCTAssertEqual(store.identity.state, .prepared, "\(point)")
                XCTAssertLessThanOrEqual(store.boot.counter, 2)
            }
        }
        XCTAssertGreaterThan(calls, 10)
    }

    func testACrashAnywhereInALaterOpeningNeverTakesBackAnOpeningThatEnded() throws {
        let disk = try establishedDisk()
        let incarnation = try open(disk.mount(), seed: 2).identity.incarnation
        try disk.forEachCrashPoint { files in
            _ = try open(files, seed: 3)
        } check: { crashed, point in
            for image in crashed.crashStates() {
                let store = try open(SimulatedDisk(image).mount(), seed: 4)
                XCTAssertEqual(store.identity.incarnation, incarnation, "\(point)")
                XCTAssertGreaterThanOrEqual(store.boot.counter, 3, "\(point)")
            }
        }
    }

    func testACrashAnywhereInAChangeLeavesTheOldIdentityOrTheNewOne() throws {
        let disk = try disk()
        let before = try open(disk.mount()).identity
        try disk.forEachCrashPoint { files in
            var store = try open(files, seed: 2)
            var identity = store.identity
            identity.state = .noted(try cluster(store))
            try store.write(identity)
        } check: { crashed, point in
            for image in crashed.crashStates() {
                let store = try open(SimulatedDisk(image).mount(), seed: 3)
                XCTAssertEqual(store.identity.incarnation, before.incarnation, "\(point)")
                let noted = try cluster(store)
                XCTAssertTrue([.prepared, .noted(noted)].contains(store.identity.state), "\(point)")
            }
        }
    }

    func testTheDirectoryOfAnotherMemberIsRefused() throws {
        let error = refusal(try establishedDisk(), member: 3)
        XCTAssertEqual(error?.code, .invalid)
        XCTAssertTrue(error?.message.contains("member 2") ?? false)
    }

    func testALostIdentityIsNotMadeAnew() throws {
        for other in ["BOOT", "log", "groups"] {
            let disk = try disk()
            try disk.mount().createDirectory("m/" + other)
            let error = refusal(disk)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertTrue(error?.message.contains(other) ?? false, other)
        }
    }

    func testOpening_directoryThatHoldsOnlyOtherFiles_isInvalidAndNotDamaged() throws {
        for (names, isForeign) in [
            (["LOCK", "notes.txt"], true), (["ports", "LOCK", "member-1"], true), (["notes.txt", "lost+found"], true),
            (["notes.txt", "BOOT"], false), (["groups", "notes.txt"], false),
        ] {
            let disk = try disk()
            for name in names { try disk.mount().createDirectory("m/" + name) }
            let error = refusal(disk)
            XCTAssertEqual(error?.code, isForeign ? .invalid : .damaged, "\(names)")
            XCTAssertEqual(error?.message.hasPrefix("m holds other files, such as "), isForeign, "\(error as Any)")
        }
    }

    func testTheRootOfAFileSystemIsAsGoodAsAnEmptyDirectory() throws {
        let disk = try disk()
        try disk.mount().createDirectory("m/lost+found")
        XCTAssertEqual(try open(disk.mount()).identity.state, .prepared)
        XCTAssertTrue(try disk.mount().exists("m/lost+found"))
    }

    func testANoteThatFailsIsNotGoneBy() throws {
        let disk = try establishedDisk()
        let full = FailingNote(.write, .noSpace)
        var store = try open(disk.mount(full), seed: 2)
        let peers = [BootRecord.Peer(member: 1, boot: 3, nonce: 4)]
        full.isOn = true
        XCTAssertThrowsError(try store.note(peers))
        XCTAssertEqual(store.boot.peers, [])
        full.isOn = false
        try store.note(peers)
        XCTAssertEqual(try open(disk.mount(), seed: 3).boot.peers, peers)
    }

    func testALostBootCounterIsNotMadeAnew() throws {
        let disk = try establishedDisk()
        try disk.mount().remove("m/BOOT")
        XCTAssertEqual(refusal(disk)?.code, .damaged)
    }

    func testTheBootCounterOfAnotherDirectoryIsRefused() throws {
        let disk = try establishedDisk()
        let other = try establishedDisk()
        try other.mount().remove("m/BOOT")
        let files = other.mount()
        let file = try files.open("m/BOOT", .create)
        var record = BootRecord(incarnation: UniqueID(high: 9, low: 9))
        record.bump(nonce: 4)
        try file.write(TwinFile.encoded(try record.encoded()), at: 0)
        XCTAssertEqual(refusal(other)?.code, .damaged)
        XCTAssertNoThrow(try open(disk.mount(), seed: 3))
    }

    private let records = [("m/IDENTITY", 126), ("m/BOOT", 76)]

    func testEveryDamagedByte_ofOneCopy_isMendedFromTheOther_andOfBothIsRefused() throws {
        for (path, count) in records {
            let whole = try establishedDisk()
            let before = try XCTUnwrap(whole.contents(of: path))
            XCTAssertEqual(before.count, 8_192, path)
            XCTAssertEqual(Array(before[..<4_096]), Array(before[4_096...]), path)
            // The padding is looked at, too.
            for byte in [0..<count, 4_090..<4_096].joined() {
                let bit = 8 * byte + byte % 8
                for copies in [[0], [1], [0, 1]] {
                    let disk = SimulatedDisk(whole.image())
                    for copy in copies {
                        disk.corrupt(path, at: UInt64(4_096 * copy + bit / 8), mask: 1 << UInt8(bit % 8))
                    }
                    let digest = disk.contentDigest
                    guard copies.count == 1 else {
                        let error = refusal(disk)
                        XCTAssertTrue(error?.code == .damaged || error?.code == .upgradeRequired, "\(path), bit \(bit)")
                        XCTAssertEqual(error?.message.hasPrefix(path), true, "\(error?.message ?? "")")
                        XCTAssertEqual(disk.contentDigest, digest)
                        continue
                    }
                    let store = try open(disk.mount(), seed: 3)
                    XCTAssertEqual(store.mended.count, 1, "\(path), bit \(bit)")
                    XCTAssertEqual(store.mended.first?.hasPrefix(path + ": "), true, "\(store.mended)")
                    let after = try XCTUnwrap(disk.contents(of: path))
                    XCTAssertEqual(Array(after[..<4_096]), Array(after[4_096...]), "\(path), bit \(bit)")
                    XCTAssertEqual(store.boot.counter, 2)
                }
            }
        }
    }

    func testTwoValidCopiesThatDiffer_areRefused() throws {
        let whole = try establishedDisk()
        let later = SimulatedDisk(whole.image())
        _ = try open(later.mount(), seed: 3)
        let copies = [whole, later].map { Bytes(Array($0.contents(of: "m/BOOT")?.prefix(4_096) ?? [])) }
        for order in [[0, 1], [1, 0]] {
            let disk = SimulatedDisk(later.image())
            let file = try disk.mount().open("m/BOOT", .readWrite)
            for (place, copy) in order.enumerated() { try file.write(copies[copy], at: UInt64(place) * 4_096) }
            file.close()
            disk.processCrash()
            let error = refusal(disk)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertEqual(error?.message, "m/BOOT: second copy: inconsistent at byte 4096")
        }
    }

    func testEveryCut_leavesTheFirstCopyOrIsRefused_andEveryExcessIsRefused() throws {
        for (path, count) in records {
            let whole = try establishedDisk()
            let size = 8_192 as UInt64
            for length in [0...UInt64(count), 4_000...4_200, 8_000...size + 1].joined() where length != size {
                let disk = SimulatedDisk(whole.image())
                try disk.mount().open(path, .readWrite).setSize(length)
                guard length >= count, length < size else {
                    XCTAssertEqual(refusal(disk)?.code, .damaged, "\(path) of \(length) bytes")
                    continue
                }
                XCTAssertEqual(try open(disk.mount(), seed: 3).mended.count, 1, "\(path) of \(length) bytes")
                XCTAssertEqual(disk.contents(of: path)?.count, 8_192)
            }
        }
    }

    func testALongRecord_hasItsCopiesFurtherApart() throws {
        let disk = try establishedDisk()
        var record = try TwinFile.boot(Bytes(try XCTUnwrap(disk.contents(of: "m/BOOT"))))
        for nonce in 1...600 as ClosedRange<UInt64> { record.bump(nonce: nonce) }
        record.peers = (1...1_024).map { BootRecord.Peer(member: $0, boot: 1, nonce: 1) }
        try disk.mount().remove("m/BOOT")
        let bytes = TwinFile.encoded(try record.encoded())
        XCTAssertEqual(bytes.count, 2 * 12 * 4_096)
        let file = try disk.mount().open("m/BOOT", .create)
        try file.write(bytes, at: 0)
        try file.sync()
        try disk.mount().syncDirectory("m")
        for at in [100, 12 * 4_096 + 100] as [UInt64] {
            let damaged = SimulatedDisk(disk.image())
            damaged.corrupt("m/BOOT", at: at, mask: 1)
            let store = try open(damaged.mount(), seed: 3)
            XCTAssertEqual(store.mended.count, 1)
            XCTAssertTrue(store.boot.peers == record.peers)
        }
    }
}
