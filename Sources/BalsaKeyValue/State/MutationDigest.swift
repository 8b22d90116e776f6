import BalsaPlatform

/// A number that two members share when they have applied the same: a sum of one hash a change and one a reply.
///
/// A sum neither needs the state to be read nor depends on when it was sealed, compacted or sent to a peer. A change
/// enters with its revision, its kind, and the lengths and CRC-32C of key and value; the hash of them is the mixing function of
/// ``RandomSource``. It finds accidents, not attacks.
struct MutationDigest: Equatable {
    /// What enters the sum.
    enum Kind: UInt64 {
        case put = 1
        case delete = 2
        case deleteRange = 3
        case reply = 4
        case options = 5
    }

    /// 0 for a state to which nothing has happened.
    private(set) var value: UInt64 = 0

    init(value: UInt64 = 0) { self.value = value }

    /// The options that the entry of that index has put in force.
    mutating func add(_ options: ReplicatedOptions, index: UInt64) {
        let content = options.values.reduce(0) { RandomSource.mix($0 &+ RandomSource.mix($1 &+ 1)) }
        add(.options, revision: index, content: content)
    }

    mutating func add(_ kind: Kind, revision: UInt64, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let checksums = UInt64(CRC32C.checksum(key)) << 32 | UInt64(CRC32C.checksum(value))
        let lengths = UInt64(key.count) << 32 | UInt64(value.count)
        add(kind, revision: revision, content: checksums &+ RandomSource.mix(lengths))
    }

    /// The reply to the entry of that index.
    mutating func add(_ reply: CommandReply, index: UInt64) {
        let number = reply.number.map { RandomSource.mix(UInt64(bitPattern: $0) &+ 1) } ?? 0
        add(
            .reply,
            revision: index,
            content: number &+ UInt64(reply.outcome.rawValue) &+ RandomSource.mix(reply.revision)
        )
    }

    private mutating func add(_ kind: Kind, revision: UInt64, content: UInt64) {
        value &+= RandomSource.mix(RandomSource.mix(revision << 8 | kind.rawValue) &+ content)
    }
}
