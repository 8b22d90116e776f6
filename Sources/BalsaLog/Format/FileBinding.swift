import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Whose a file is: of which cluster, and of which directory of a member.
///
/// VOTE, ROOT and every segment carry it, so that files of two members that were exchanged are told apart. An entry of
/// the log alone could not tell: it is the same on all members.
public struct FileOwner: Hashable, Sendable {
    /// The cluster.
    public var cluster: UniqueID
    /// The incarnation of the member's directory.
    public var incarnation: UniqueID

    /// Nobody: of a log or a vote that is opened without a member.
    public static let none = FileOwner(cluster: .none, incarnation: .none)

    /// An owner.
    public init(cluster: UniqueID, incarnation: UniqueID) {
        self.cluster = cluster
        self.incarnation = incarnation
    }
}

/// What binds the files of a member to its directory and to one opening of it.
///
/// Each opening marks VOTE, ROOT and the log with its number and its random number. A file that was set back to an
/// earlier copy has the mark of an earlier opening, and the next opening refuses it.
public struct FileBinding: Sendable {
    /// Whose the files are.
    public var owner: FileOwner
    /// The opening that is under way.
    public var mark: Opening
    /// A random number, different for each opening, of which the salts of segments are made.
    public var seed: UInt64

    /// That of a log or a vote that is opened without a member.
    public static let unbound = FileBinding(owner: .none, mark: Opening(boot: 1, nonce: 1), seed: 1)

    /// A binding.
    public init(owner: FileOwner, mark: Opening, seed: UInt64) {
        self.owner = owner
        self.mark = mark
        self.seed = seed
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Writes an owner: 32 bytes at `offset`.
    func store(_ owner: FileOwner, at offset: Int) {
        let numbers = [owner.cluster.high, owner.cluster.low, owner.incarnation.high, owner.incarnation.low]
        for (place, number) in numbers.enumerated() {
            storeBytes(of: number.littleEndian, toByteOffset: offset + 8 * place, as: UInt64.self)
        }
    }
}

extension ByteReader {
    /// The next 32 bytes as an owner.
    package mutating func fileOwner() throws(DecodingError) -> FileOwner {
        let cluster = try uniqueID("owner cluster")
        return FileOwner(cluster: cluster, incarnation: try uniqueID("owner incarnation"))
    }

    /// The next 16 bytes as the mark of an opening; nil where all are 0.
    package mutating func openingMark() throws(DecodingError) -> Opening? {
        let at = offset
        let mark = Opening(boot: try uint64("mark counter"), nonce: try uint64("mark nonce"))
        if mark.boot == 0, mark.nonce == 0 { return nil }
        guard (1...largestNumber).contains(mark.boot), mark.nonce != 0 else {
            throw DecodingError(.outOfBounds, "mark counter", at: at)
        }
        return mark
    }

    /// Throws where one of the next `count` bytes is not 0.
    package mutating func zeros(_ count: Int, _ field: StaticString) throws(DecodingError) {
        let at = offset
        guard try bytes(count, field).withUnsafeBytes({ $0.isZero }) else {
            throw DecodingError(.outOfBounds, field, at: at)
        }
    }
}

/// Where the salts of segments come from.
struct SaltSource: Sendable {
    private var random: RandomSource
    /// Whether all are 0: an error that is planted to test the tests.
    private let isConstant: Bool

    init(seed: UInt64, plantedBugs: LogPlantedBugs) {
        random = RandomSource(seed: seed)
        isConstant = plantedBugs.contains(.staleFramesAccepted)
    }

    mutating func next() -> UInt64 {
        let salt = random.next()
        return isConstant ? 0 : salt
    }
}
