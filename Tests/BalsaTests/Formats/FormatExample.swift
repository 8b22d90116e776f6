import BalsaPlatform
import BalsaRaft

@testable import Balsa
@testable import BalsaKeyValue
@testable import BalsaLSM
@testable import BalsaLog
@testable import BalsaTransport
@testable import BalsaWire

/// A format: an example, how its checksum is made right again, and how it is read.
struct FormatExample {
    let name: String
    let example: [UInt8]
    /// Where the version is and how long it is; nil for a format whose version stands elsewhere.
    var version: (field: String, at: Range<Int>)?
    /// The reserved bytes.
    var reserved: [(field: String, at: Range<Int>)] = []
    /// Which bytes the checksum covers, and where it is; nil where there is none.
    var checksum: (of: Range<Int>, at: Int)?
    /// Carries the checksum on over what it covers beside those bytes.
    var extended: (UInt32) -> UInt32 = { $0 }
    let read: ([UInt8]) throws -> Void
}

extension FormatExample {
    /// All formats.
    static func all() throws -> [FormatExample] {
        try memberFormats() + logFormats() + engineFormats() + engineRecords() + stateFormats() + commands()
            + wireFormats()
    }

    private static let incarnation = UniqueID(high: 3, low: 4)

    private static func memberFormats() throws -> [FormatExample] {
        var boot = BootRecord(incarnation: incarnation)
        boot.bump(nonce: 7)
        let table = try MemberTable([.init(member: 1, incarnation: incarnation, address: "a")])
        let root = RootFile(generation: 2, position: LogPosition(term: 3, index: 40))
        let owner = StateOwner(owner: .none, group: 1, generation: 2, id: incarnation)
        let list = CheckpointList(cluster: .none, stamp: 1, files: [CheckpointFile(name: "a", byteCount: 1)])
        return [
            FormatExample(
                name: "IDENTITY",
                example: [UInt8](try Identity(member: 1, incarnation: incarnation).encoded()),
                version: ("version", 4..<6),
                reserved: [("reserved", 7..<8), ("reserved", 12..<16)],
                checksum: (0..<56, 56)
            ) { _ = try Identity(decoding: Bytes($0)) },
            FormatExample(
                name: "BOOT",
                example: [UInt8](try boot.encoded()),
                version: ("version", 4..<6),
                reserved: [("reserved", 6..<8)],
                checksum: (0..<72, 72)
            ) { _ = try BootRecord(decoding: Bytes($0)) },
            FormatExample(
                name: "the table of members",
                example: [UInt8](table.encoded),
                version: ("table version", 0..<2)
            ) { _ = try MemberTable(decoding: Bytes($0)) },
            FormatExample(
                name: "ROOT",
                example: [UInt8](try root.encoded()),
                version: ("version", 4..<6),
                reserved: [("reserved", 6..<8), ("reserved", 12..<16), ("reserved", 113..<124)],
                checksum: (0..<124, 124)
            ) { _ = try RootFile(decoding: Bytes($0)) },
            FormatExample(
                name: "OWNER",
                example: [UInt8](try owner.encoded()),
                version: ("version", 4..<6),
                reserved: [("reserved", 6..<8), ("reserved", 12..<16), ("reserved", 81..<92)],
                checksum: (0..<92, 92)
            ) { _ = try StateOwner(decoding: Bytes($0)) },
            FormatExample(
                name: "the list of a checkpoint",
                example: [UInt8](try list.encoded()),
                version: ("list version", 4..<6),
                checksum: (0..<44, 44)
            ) { _ = try CheckpointList(decoding: Bytes($0)) },
        ]
    }

    private static func logFormats() throws -> [FormatExample] {
        let segment = SegmentHeader(number: 1, byteCount: 1_024, sectorBytes: 64)
        let logEnd = LogPlace(segment: 5, offset: 6)
        let vote = VoteRecord(group: 1, sequence: 3, state: HardState(term: 7, vote: 2), logEnd: logEnd)
        return [
            FormatExample(
                name: "VOTE",
                example: [UInt8](vote.encoded()),
                version: ("vote version", 8..<12),
                reserved: [("vote reserved bytes", 12..<16), ("vote reserved bytes", 112..<4_092)],
                checksum: (0..<4_092, 4_092)
            ) { _ = try VoteRecord(decoding: Bytes($0)) },
            FormatExample(
                name: "the header of a segment",
                example: [UInt8](segment.encoded()),
                version: ("segment version", 8..<12),
                reserved: [("segment reserved bytes", 36..<40), ("segment reserved bytes", 80..<124)],
                checksum: (0..<124, 124)
            ) { _ = try SegmentHeader(decoding: Bytes($0)) },
        ]
    }

    private static func engineFormats() throws -> [FormatExample] {
        var manifest = ByteWriter(capacity: 64, limit: 64)
        try ManifestRecord.FileHeader(number: 1, engineID: 2).encode(to: &manifest)
        let log = WriteAheadLogHeader(
            sectorBytes: 4_096,
            number: 2,
            engineID: 3,
            predecessor: WriteAheadLogPlace(number: 0, offset: 0),
            baseSequence: 0,
            durableThrough: 4_096
        )
        var header = RawBuffer(capacity: 64)
        TableLayout.appendHeader(id: 9, to: &header)
        var footer = RawBuffer(capacity: 128)
        let place = TablePlace(offset: 32, byteCount: 0)
        var sections = [place]
        while sections.count < 4 { sections.append(TablePlace(offset: sections[sections.count - 1].end, byteCount: 0)) }
        let fileBytes = sections[3].end + UInt64(TableLayout.footerBytes)
        TableFooter(
            filterKind: 0,
            filter: sections[0],
            index: sections[1],
            tombstones: sections[2],
            properties: sections[3],
            fileBytes: fileBytes
        ).append(id: 9, to: &footer)
        func placed(_ offset: UInt64) -> (UInt32) -> UInt32 {
            { sum in
                withUnsafeBytes(of: (UInt64(9).littleEndian, offset.littleEndian)) { CRC32C.extend(sum, with: $0) }
            }
        }
        return [
            FormatExample(
                name: "CURRENT",
                example: [UInt8](try CurrentFile(manifestNumber: 1, engineID: 2).encoded()),
                version: ("version", 8..<12),
                reserved: [("reserved", 12..<16)],
                checksum: (0..<32, 32)
            ) { _ = try CurrentFile(decoding: Bytes($0)) },
            FormatExample(
                name: "the header of a manifest",
                example: manifest.array,
                version: ("version", 8..<12),
                reserved: [("reserved", 12..<16), ("reserved", 32..<36)],
                checksum: (0..<36, 36)
            ) { bytes in
                _ = try Bytes(bytes).withReader { reader throws(BalsaPlatform.DecodingError) in
                    try ManifestRecord.FileHeader(from: &reader)
                }
            },
            FormatExample(
                name: "the header of a write-ahead log",
                example: [UInt8](log.encoded()),
                version: ("log version", 8..<12),
                checksum: (0..<64, 64)
            ) { _ = try WriteAheadLogHeader(decoding: Bytes($0)) },
            FormatExample(
                name: "the header of a table",
                example: [UInt8](header.bytes),
                version: ("table version", 8..<12),
                reserved: [("table reserved", 12..<16), ("table reserved", 24..<28)],
                checksum: (0..<28, 28),
                extended: placed(0)
            ) { try $0.withUnsafeBytes { try TableLayout.checkHeader($0, id: 9) } },
            FormatExample(
                name: "the footer of a table",
                example: [UInt8](footer.bytes),
                reserved: [("footer reserved", 12..<16), ("footer reserved", 88..<92)],
                checksum: (0..<92, 92),
                extended: placed(fileBytes - UInt64(TableLayout.footerBytes))
            ) { bytes in
                _ = try bytes.withUnsafeBytes { try TableFooter(decoding: $0, id: 9, fileBytes: fileBytes) }
            },
        ]
    }

    private static func engineRecords() throws -> [FormatExample] {
        var manifest = ByteWriter(capacity: 64, limit: 64)
        try ManifestRecord.encode("an edit", to: &manifest, number: 3, offset: 0)
        let seed = WriteAheadLogRecord.checksumSeed(engineID: 3, number: 2)
        var record = WriteAheadLogRecord(
            kind: .seal,
            sequence: 7,
            bodyByteCount: 0,
            durableThrough: 4_096,
            previousChecksum: 5,
            bodyChecksum: CRC32C.checksum(Bytes())
        )
        var written = [UInt8](repeating: 0, count: WriteAheadLogRecord.encodedByteCount)
        written.withUnsafeMutableBytes { record.encode(into: $0, seed: seed, offset: 8_192) }
        return [
            FormatExample(name: "a record of a manifest", example: manifest.array) { bytes in
                guard let body = ManifestRecord.body(at: 0, of: Bytes(bytes), number: 3) else {
                    throw BalsaPlatform.DecodingError(.checksum, "record", at: 0)
                }
                guard Bytes(Array(bytes[body])) == "an edit" else {
                    throw BalsaPlatform.DecodingError(.inconsistent, "record", at: 0)
                }
            },
            FormatExample(name: "a record of a write-ahead log", example: written) { [record] bytes in
                let found = bytes.withUnsafeBytes { WriteAheadLogRecord(decoding: $0, seed: seed, offset: 8_192) }
                guard found == record else { throw BalsaPlatform.DecodingError(.inconsistent, "record", at: 0) }
            },
        ]
    }

    private static func commands() -> [FormatExample] {
        let operations: [(name: String, Command.Operation)] = [
            ("openSession", .openSession), ("closeSession", .closeSession), ("put", .put(key: "k", value: "v")),
            ("delete", .delete(key: "k")), ("deleteRange", .deleteRange(from: "a", to: "b")),
            ("compareAndSet", .compareAndSet(key: "k", condition: .revision(5), then: .put("v"))),
            ("append", .append(key: "k", bytes: "more")), ("add", .add(key: "k", amount: -3)),
            ("changeOptions", .changeOptions(ReplicatedOptions(), expecting: 7)),
        ]
        return operations.enumerated().map { number, operation in
            let session: SessionID = operation.name == "openSession" ? .none : SessionID(rawValue: 4)
            let command = Command(
                identity: RequestIdentity(session: session, number: UInt64(number) + 1),
                operation: operation.1
            )
            return FormatExample(name: "the command " + operation.name, example: [UInt8](command.encoded())) { bytes in
                guard try Command(decoding: Bytes(bytes)) == command else {
                    throw BalsaPlatform.DecodingError(.inconsistent, "command", at: 0)
                }
            }
        }
    }

    private static func stateFormats() throws -> [FormatExample] {
        let state = [UInt8](try ReplicatedState(cluster: incarnation, options: ReplicatedOptions()).encoded())
        let command = Command(
            identity: RequestIdentity(session: .none, number: 1),
            operation: .delete(key: "k")
        )
        return [
            FormatExample(
                name: "the system state",
                example: state,
                version: ("version", 4..<6),
                reserved: [("reserved", 6..<8)],
                checksum: (0..<state.count - 4, state.count - 4)
            ) { _ = try ReplicatedState(decoding: Bytes($0)) },
            FormatExample(name: "a command", example: [UInt8](command.encoded()), version: ("version", 0..<1)) {
                _ = try Command(decoding: Bytes($0))
            },
            FormatExample(
                name: "a reply",
                example: [UInt8](CommandReply(.applied, revision: 1).encoded()),
                version: ("version", 0..<1)
            ) { _ = try CommandReply(decoding: Bytes($0)) },
        ]
    }

    private static func wireFormats() throws -> [FormatExample] {
        let frame = PeerFrame(
            group: 1,
            from: 1,
            to: 2,
            term: 0,
            content: .firstBoot(.hello(incarnation: incarnation))
        )
        let wire = try frame.encoded(options: WireOptions(), version: 1).flatMap { [UInt8]($0) }
        var entries = EntryBatch.Builder(group: 1, previous: .zero, capacityBytes: 128)
        entries.append(term: 1, stamp: 1, kind: .noOp, payload: Bytes())
        let entry = entries.finish()
        let hello = Handshake(
            hello: .control,
            protocols: 1...1,
            featureLevel: 0,
            Introduction(cluster: .none, from: 1, to: 2, incarnation: incarnation, boot: 1, nonces: [5])
        )
        return [
            FormatExample(
                name: "a frame",
                example: wire,
                version: ("frame version", 4..<6),
                reserved: [("frame flags", 7..<8)],
                checksum: (0..<48, 48)
            ) { _ = try PeerFrame(decoding: Bytes($0), options: WireOptions()) },
            FormatExample(
                name: "the header of an entry",
                example: [UInt8](entry.bytes),
                reserved: [("entry reserved bytes", 50..<52)],
                checksum: (0..<52, 52)
            ) { bytes in _ = try bytes.withUnsafeBytes { try EntryHeader(decoding: $0) } },
            FormatExample(
                name: "a handshake",
                example: [UInt8](hello.encoded()),
                version: ("handshake version", 4..<6),
                reserved: [("handshake reserved bytes", 170..<172)],
                checksum: (0..<172, 172)
            ) { _ = try Handshake(decoding: Bytes($0)) },
        ]
    }
}
