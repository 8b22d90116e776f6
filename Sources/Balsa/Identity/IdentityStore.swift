import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The files IDENTITY and BOOT of a member's directory.
///
/// Both are ``TwinFile``s, replaced as a whole. A crash leaves the old or the new one. IDENTITY comes first: a
/// directory with anything else in it and no IDENTITY has lost it.
struct IdentityStore {
    private let fileSystem: any FileSystem
    private let directory: String
    private(set) var identity: Identity
    private(set) var boot: BootRecord

    /// The random number of this opening.
    private let nonce: UInt64
    /// A sentence for each file with a damaged copy, which ``count()`` writes again.
    private(set) var mended: [String] = []
    /// Whether this opening is counted.
    private var isCounted = false
    /// Whether a copy of IDENTITY is damaged.
    private var isIdentityDamaged = false

    /// Reads both files, or makes IDENTITY for a new member. It does not count the opening: ``count()`` does that, once
    /// neither what the directory holds nor the setup has refused it. A store binds its port before.
    ///
    /// - Parameters:
    ///   - directory: exists, and is locked by the caller.
    ///   - fileSystem: the files.
    ///   - member: which member this is.
    ///   - ids: where a new incarnation and the nonce of this opening come from.
    init(
        opening directory: String,
        in fileSystem: any FileSystem,
        member: MemberID,
        ids: inout UniqueIDSource
    ) throws(ReplicaError) {
        self.fileSystem = fileSystem
        self.directory = directory
        nonce = ids.nextNonce()
        let path = directory + "/IDENTITY"
        // Whoever renamed a file may have died before its name was durable.
        try filed { () throws(FileError) in try fileSystem.syncDirectory(directory) }
        let found = try IdentityStore.read(path, Identity.maxByteCount, in: fileSystem) { bytes throws(DecodingError) in
            try Identity(decoding: bytes)
        }
        if let found {
            identity = found.record
            isIdentityDamaged = found.fault != nil
            if let fault = found.fault { mended.append(mendedSentence(path, fault)) }
        } else {
            try IdentityStore.checkIsEmpty(directory, in: fileSystem)
            identity = Identity(member: member, incarnation: ids.next())
            boot = BootRecord(incarnation: identity.incarnation)
            try write(identity)
        }
        guard identity.member == member else {
            throw ReplicaError(
                .invalid,
                "\(path) is that of member \(identity.member), not of member \(member): start it under its own id, or "
                    + "name the directory of member \(member)"
            )
        }
        let record = try IdentityStore.readBoot(directory, identity, in: fileSystem)
        boot = record.record
        if let fault = record.fault { mended.append(mendedSentence(directory + "/BOOT", fault)) }
    }

    /// This opening, which ``count()`` notes.
    var opening: Opening { Opening(boot: isCounted ? boot.counter : boot.counter + 1, nonce: nonce) }

    /// Notes durably that VOTE, ROOT and the log have the mark of this opening. Before anything is said.
    mutating func noteMarks() throws(ReplicaError) {
        precondition(isCounted, "an opening is counted before it marks anything")
        boot.marked = opening
        try writeBoot()
    }

    /// Notes durably that the directory is opened once more. Called when nothing refuses the opening any more, and
    /// before anything is changed or said. Does nothing once it is noted.
    ///
    /// - Returns: the revision of BOOT.
    @discardableResult
    mutating func count() throws(ReplicaError) -> UInt64 {
        guard !isCounted else { return boot.revision }
        if isIdentityDamaged { try write(identity) }
        isIdentityDamaged = false
        boot.bump(nonce: nonce)
        isCounted = true
        try writeBoot()
        return boot.revision
    }

    private static func readBoot(
        _ directory: String,
        _ identity: Identity,
        in fileSystem: any FileSystem
    ) throws(ReplicaError) -> TwinFile.Found<BootRecord> {
        let path = directory + "/BOOT"
        let found = try read(path, BootRecord.maxByteCount, in: fileSystem) { bytes throws(DecodingError) in
            try BootRecord(decoding: bytes)
        }
        guard let found else {
            // It is made right behind IDENTITY, before anything is said.
            guard identity.state == .prepared else { throw ReplicaError(.damaged, "\(path) is missing") }
            return TwinFile.Found(record: BootRecord(incarnation: identity.incarnation), fault: nil)
        }
        let record = found.record
        guard record.incarnation == identity.incarnation else {
            throw ReplicaError(
                .damaged,
                "\(path) belongs to another directory than \(directory)/IDENTITY: put back what belongs together"
            )
        }
        guard record.counter < largestNumber else { throw ReplicaError(.damaged, "\(path) cannot count any further") }
        return found
    }

    /// What only a member that has begun makes in its directory.
    static let ownNames = ["IDENTITY", "BOOT", "log", "groups"]
    /// What a directory may hold in which a member begins. The last one is in the root of every ext4 file system, as
    /// which a new member's directory may be mounted.
    private static let emptyNames = ["LOCK", "IDENTITY.new", "BOOT.new", FileSystemProbe.folderName, "lost+found"]

    /// Throws where a directory holds files and none of a member: it is not the one that was meant. Reads only, and
    /// leaves a directory that cannot be read to the opening.
    static func checkIsNotForeign(_ directory: String, in fileSystem: any FileSystem) throws(ReplicaError) {
        guard let names = try? fileSystem.list(directory) else { return }
        try checkIsNotForeign(directory, names)
    }

    private static func checkIsNotForeign(_ directory: String, _ names: [String]) throws(ReplicaError) {
        guard !names.contains(where: { ownNames.contains($0) }),
            let other = names.first(where: { !emptyNames.contains($0) })
        else { return }
        throw ReplicaError(
            .invalid,
            "\(directory) holds other files, such as \(other), and none of a store: name another directory, or "
                + "an empty one"
        )
    }

    /// Throws where a directory without IDENTITY holds anything that only a member makes, or what no member makes.
    private static func checkIsEmpty(_ directory: String, in fileSystem: any FileSystem) throws(ReplicaError) {
        let names = try filed { () throws(FileError) in try fileSystem.list(directory) }
        try checkIsNotForeign(directory, names)
        guard let other = names.first(where: { ownNames.contains($0) }) else { return }
        throw ReplicaError(
            .damaged,
            "\(directory)/IDENTITY is missing, though \(other) is there: put back any copy of it that was made since the member "
                + "joined its cluster; if there is none, the others go on without the member, which cannot be replaced yet, and "
                + "refuse an empty directory; only if the members never became a cluster, empty the directory"
        )
    }

    /// What a file holds; nil where there is none.
    private static func read<Record: Equatable>(
        _ path: String,
        _ maxRecordBytes: Int,
        in fileSystem: any FileSystem,
        _ decode: (Bytes) throws(DecodingError) -> Record
    ) throws(ReplicaError) -> TwinFile.Found<Record>? {
        let bytes = try filed { () throws(FileError) in
            try TwinFile.read(path, maxRecordBytes: maxRecordBytes, in: fileSystem)
        }
        guard let bytes else { return nil }
        do throws(DecodingError) { return try TwinFile.decode(bytes, decode) } catch {
            throw ReplicaError(error, in: path)
        }
    }

    /// Makes an identity durable.
    mutating func write(_ identity: Identity) throws(ReplicaError) {
        try replace("IDENTITY") { () throws(DecodingError) in try identity.encoded() }
        self.identity = identity
    }

    /// Makes durable what was seen of the peers' openings. When it throws, the file may hold the new or the old, and the store
    /// goes by the old.
    mutating func note(_ peers: [BootRecord.Peer]) throws(ReplicaError) {
        let before = boot.peers
        boot.peers = peers
        do throws(ReplicaError) { try writeBoot() } catch {
            boot.peers = before
            throw error
        }
    }

    /// A revision whose write has failed may be on the disk, and is not used again.
    private mutating func writeBoot() throws(ReplicaError) {
        boot.revision += 1
        let boot = boot
        try replace("BOOT") { () throws(DecodingError) in try boot.encoded() }
    }

    private func replace(_ name: String, _ encode: () throws(DecodingError) -> Bytes) throws(ReplicaError) {
        let bytes: Bytes
        do throws(DecodingError) { bytes = try encode() } catch {
            throw ReplicaError(.invalid, "\(directory)/\(name) cannot be encoded: \(error)")
        }
        try filed { () throws(FileError) in
            try TwinFile.replace(name, in: directory, with: bytes, fileSystem)
        }
    }

    /// How the member introduces itself to a peer.
    ///
    /// - Parameters:
    ///   - peer: the peer.
    ///   - remembered: the latest opening of the peer's directory that the member has listened to; 0 for none.
    ///   - wanted: which opening of its own directory the peer was heard to remember; nil where that is not known.
    func introduction(to peer: MemberID, remembered: UInt64 = 0, wanted: UInt64? = nil) -> Introduction {
        let nonces = Array(boot.nonces.prefix(Introduction.maxNonces))
        var proof: Opening?
        // The last ones are in the nonces. One that is yet to come was told to a directory that was set back since.
        if let wanted, wanted <= boot.counter - UInt64(nonces.count) {
            proof = boot.opening(wanted) ?? Opening(boot: wanted, nonce: 0)
        }
        return Introduction(
            cluster: identity.established?.id ?? .none,
            from: identity.member,
            to: peer,
            incarnation: identity.incarnation,
            boot: boot.counter,
            nonces: nonces,
            remembered: remembered,
            proof: proof
        )
    }
}

/// Calls `body` and names a failed file operation as a failure of the member.
private func filed<Result>(_ body: () throws(FileError) -> Result) throws(ReplicaError) -> Result {
    do throws(FileError) { return try body() } catch { throw ReplicaError(error) }
}
