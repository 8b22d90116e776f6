import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The first thing that either side says on a connection. `Docs/HandshakeFormat.md` has the layout.
///
/// Who connects says *hello*; who was connected to says *welcome*, or why not. All three have the same 176 bytes, so that no
/// length has to be believed before anything is known of the other side.
///
/// ```
///  0       4         6      7      8           12        16        32     40   48            64     72
///  ├ magic ┼ version ┼ kind ┼ path ┼ protocols ┼ feature ┼ cluster ┼ from ┼ to ┼ incarnation ┼ boot ┼ 8 nonces …
///                                             136          144            160        168      170 172   176
///                                           … ┼ remembered ┼ shown opening ┼ answered ┼ reason ┼ 0 ┼ crc ┤
/// ```
public struct Handshake: Equatable, Sendable {
    /// Which of the three it is.
    public enum Kind: UInt8, Sendable {
        /// The side that connected introduces itself.
        case hello = 1
        /// The other side accepts, and introduces itself.
        case welcome = 2
        /// The other side refuses, and introduces itself.
        case refusal = 3
    }

    /// Which of the three it is.
    public var kind: Kind
    /// What the connection is for.
    public var path: SendPath
    /// The versions of the protocol that the sender speaks. The highest that both speak is used.
    public var protocols: ClosedRange<UInt16>
    /// Which replicated features the sender knows.
    public var featureLevel: UInt32
    /// Who says it, and to whom.
    public var introduction: Introduction
    /// The nonce of the hello that is answered; 0 in a hello.
    public var answeredNonce: UInt64 = 0
    /// Why the connection is refused; 0 in everything but a refusal. ``HandshakeRefusal`` says what it stands for.
    public var refusalCode: UInt16 = 0

    /// The length of an encoded handshake, in bytes.
    public static let encodedByteCount = 176
    /// `BALH`.
    static let magic: UInt32 = 0x484c_4142
    /// The magic number as it is encoded.
    static let magicBytes: [UInt8] = [0x42, 0x41, 0x4c, 0x48]
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt16 = 1
    /// The bytes before the checksum, which it covers.
    static let checkedByteCount = 172
    /// How many bytes tell whether the rest can be understood.
    static let prefixByteCount = 6

    /// A hello.
    public init(
        hello path: SendPath,
        protocols: ClosedRange<UInt16>,
        featureLevel: UInt32,
        _ introduction: Introduction
    ) {
        kind = .hello
        self.path = path
        self.protocols = protocols
        self.featureLevel = featureLevel
        self.introduction = introduction
    }
}

extension Handshake {
    /// The handshake in its 176 bytes.
    ///
    /// - Precondition: there is a reason exactly where it is a refusal, the introduction has 1 to 8 nonces, none of them 0, and
    ///   no opening 0 is shown.
    public func encoded() -> Bytes {
        precondition((kind == .refusal) == (refusalCode != 0), "a refusal, and only it, has a reason")
        let nonces = introduction.nonces
        precondition(
            (1...Introduction.maxNonces).contains(nonces.count) && !nonces.contains(0),
            "a member that introduces itself has been opened"
        )
        precondition(introduction.proof?.boot != 0, "openings are counted from 1")
        let filled = Slab.filled(capacity: Handshake.encodedByteCount) { buffer in
            func put<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number, at offset: Int) {
                buffer.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Number.self)
            }
            func put(_ id: UniqueID, at offset: Int) {
                put(id.high, at: offset)
                put(id.low, at: offset + 8)
            }
            put(Handshake.magic, at: 0)
            put(Handshake.version, at: 4)
            put(kind.rawValue, at: 6)
            put(path.encoded, at: 7)
            put(protocols.lowerBound, at: 8)
            put(protocols.upperBound, at: 10)
            put(featureLevel, at: 12)
            put(introduction.cluster, at: 16)
            put(introduction.from, at: 32)
            put(introduction.to, at: 40)
            put(introduction.incarnation, at: 48)
            put(introduction.boot, at: 64)
            for place in 0..<Introduction.maxNonces {
                put(place < nonces.count ? nonces[place] : 0, at: 72 + 8 * place)
            }
            put(introduction.remembered, at: 136)
            put(introduction.proof?.boot ?? 0, at: 144)
            put(introduction.proof?.nonce ?? 0, at: 152)
            put(answeredNonce, at: 160)
            put(refusalCode, at: 168)
            put(UInt16(0), at: 170)
            put(CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<Handshake.checkedByteCount])), at: 172)
            return Handshake.encodedByteCount
        }
        return Bytes(slab: filled, offset: 0, count: Handshake.encodedByteCount)
    }

    /// Decodes and verifies a handshake.
    ///
    /// - Parameter bytes: the handshake and nothing behind it.
    /// - Throws: ``DecodingError`` for everything but what ``encoded()`` returns: *version* for a newer format, which is
    ///   looked at before the checksum, since a newer format may have that elsewhere.
    public init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try Handshake(&reader) }
    }

    private init(_ reader: inout ByteReader) throws(DecodingError) {
        try Handshake.readPrefix(&reader)
        let kind = Kind(rawValue: try reader.uint8("handshake kind"))
        let path = SendPath(encoded: try reader.uint8("handshake path"))
        let lowest = try reader.uint16("handshake lowest protocol")
        let highest = try reader.uint16("handshake highest protocol")
        featureLevel = try reader.uint32("handshake feature level")
        let cluster = try reader.uniqueID("handshake cluster")
        let from = try reader.uint64("handshake sender")
        let to = try reader.uint64("handshake receiver")
        let incarnation = try reader.uniqueID("handshake incarnation")
        let boot = try reader.uint64("handshake boot counter")
        var nonces: [UInt64] = []
        for _ in 0..<Introduction.maxNonces { nonces.append(try reader.uint64("handshake nonces")) }
        let remembered = try reader.uint64("handshake remembered opening")
        let shown = try reader.uint64("handshake shown opening")
        let shownNonce = try reader.uint64("handshake shown nonce")
        answeredNonce = try reader.uint64("handshake answered nonce")
        refusalCode = try reader.uint16("handshake reason")
        let reserved = try reader.uint16("handshake reserved bytes")
        let stored = try reader.uint32("handshake checksum")
        guard reader.checksum(of: 0..<Handshake.checkedByteCount) == stored else {
            throw DecodingError(.checksum, "handshake checksum", at: Handshake.checkedByteCount)
        }
        try reader.finish("handshake end")
        guard let kind else { throw DecodingError(.outOfBounds, "handshake kind", at: 6) }
        guard let path else { throw DecodingError(.outOfBounds, "handshake path", at: 7) }
        guard lowest <= highest else { throw DecodingError(.inconsistent, "handshake lowest protocol", at: 8) }
        guard from != 0 else { throw DecodingError(.outOfBounds, "handshake sender", at: 32) }
        guard to != 0 else { throw DecodingError(.outOfBounds, "handshake receiver", at: 40) }
        guard incarnation != .none else { throw DecodingError(.outOfBounds, "handshake incarnation", at: 48) }
        // As many as there are, and behind them nothing: so that there is one way to write each introduction.
        let count = nonces.firstIndex(of: 0) ?? nonces.count
        guard count > 0 else { throw DecodingError(.outOfBounds, "handshake nonces", at: 72) }
        guard nonces[count...].allSatisfy({ $0 == 0 }) else {
            throw DecodingError(.inconsistent, "handshake nonces", at: 72)
        }
        guard shown != 0 || shownNonce == 0 else {
            throw DecodingError(.inconsistent, "handshake shown nonce", at: 152)
        }
        guard kind != .hello || answeredNonce == 0 else {
            throw DecodingError(.inconsistent, "handshake answered nonce", at: 160)
        }
        guard (kind == .refusal) == (refusalCode != 0) else {
            throw DecodingError(.inconsistent, "handshake reason", at: 168)
        }
        guard reserved == 0 else { throw DecodingError(.outOfBounds, "handshake reserved bytes", at: 170) }
        self.kind = kind
        self.path = path
        protocols = lowest...highest
        introduction = Introduction(
            cluster: cluster,
            from: from,
            to: to,
            incarnation: incarnation,
            boot: boot,
            nonces: Array(nonces[..<count]),
            remembered: remembered,
            proof: shown == 0 ? nil : Opening(boot: shown, nonce: shownNonce)
        )
    }

    /// Reads the magic number and the version, which have the same place in every version.
    static func readPrefix(_ reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint32("handshake magic") == magic else {
            throw DecodingError(.magic, "handshake magic", at: 0)
        }
        let found = try reader.uint16("handshake version")
        guard found <= version else { throw DecodingError(.version, "handshake version", at: 4) }
        guard found > 0 else { throw DecodingError(.outOfBounds, "handshake version", at: 4) }
    }
}

extension SendPath {
    /// The path as a handshake has it.
    fileprivate var encoded: UInt8 {
        switch self {
        case .control: 1
        case .bulk: 2
        }
    }

    fileprivate init?(encoded: UInt8) {
        switch encoded {
        case 1: self = .control
        case 2: self = .bulk
        default: return nil
        }
    }
}
