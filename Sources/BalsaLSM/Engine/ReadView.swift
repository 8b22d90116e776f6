import BalsaPlatform

/// Everything that a reader looks at, as of one moment. Immutable but for the active memtable, which only grows.
///
/// The engine publishes a view by one atomic pointer. A point read pins an epoch and uses the view without counting a
/// reference; a cursor holds it.
final class ReadView: @unchecked Sendable {
    /// Where new writes go.
    let memtable: Memtable
    /// The memtables that wait for their flush, newest first.
    let sealed: [Memtable]
    /// The tables.
    let version: Version
    /// All memtables, newest first, for searches that count no references.
    private let memtables: UnsafeMutableBufferPointer<Unmanaged<Memtable>>

    init(memtable: Memtable, sealed: [Memtable], version: Version) {
        self.memtable = memtable
        self.sealed = sealed
        self.version = version
        memtables = .allocate(capacity: 1 + sealed.count)
        memtables.initializeElement(at: 0, to: .passUnretained(memtable))
        for (index, memtable) in sealed.enumerated() {
            memtables.initializeElement(at: 1 + index, to: .passUnretained(memtable))
        }
    }

    deinit { memtables.deallocate() }

    /// The newest entry of `key` up to `sequence`, in all sources from the newest down.
    ///
    /// The first source that says anything of the key, be it by an entry or a range tombstone, has the last word: what
    /// older sources say is older. Within one source the higher sequence number wins, and the entry where they are equal.
    ///
    /// Nothing here is generic: a call across modules would make the types of its results at run time.
    ///
    /// Nothing is read from the disk. The caller is pinned.
    ///
    /// - Parameters:
    ///   - loaded: what the caller has read because an earlier call missed it.
    ///   - body: gets the value and the sequence number of a put; not called for a key without a value, or if something
    ///     is missing.
    /// - Returns: what has to be read first; nil if the answer was found.
    func find(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber,
        _ loaded: LoadedParts?,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Void
    ) -> TableMiss? {
        for memtable in memtables {
            let (hit, tombstone) = memtable._withUnsafeGuaranteedRef {
                ($0.find(key, at: sequence), $0.covering(key, at: sequence))
            }
            if let hit, hit.trailer.sequence >= tombstone {
                if hit.trailer.kind == .put { body(hit.value, hit.trailer.sequence) }
                return nil
            }
            if tombstone > 0 { return nil }
        }
        let hash = Table.hash(key)
        for slot in version.slots(of: 0) where slot.concerns(key) {
            switch slot.find(key, at: sequence, hash: hash, loaded, body) {
            case .said: return nil
            case .silent: continue
            case .missing(let part): return TableMiss(table: slot.table.takeUnretainedValue(), part: part)
            }
        }
        for level in 1..<max(1, version.levelCount) {
            guard let slot = version.slots(of: level).slot(for: key) else { continue }
            switch slot.pointee.find(key, at: sequence, hash: hash, loaded, body) {
            case .said: return nil
            case .silent: continue
            case .missing(let part): return TableMiss(table: slot.pointee.table.takeUnretainedValue(), part: part)
            }
        }
        return nil
    }
}

/// What a table has to say of a key.
enum TableAnswer {
    /// A value or its deletion: older sources are not asked.
    case said
    /// Nothing.
    case silent
    /// Nothing before this has been read.
    case missing(TableMiss.Part)
}

extension TableSlot {
    /// Whether the key lies within the table's bounds.
    @inline(__always)
    func concerns(_ key: UnsafeRawBufferPointer) -> Bool {
        KeyOrder.compare(smallest, key) <= 0 && !ends(before: key)
    }

    /// Finds what the table says of `key` at `sequence`, and calls `body` if that is a value.
    ///
    /// The filter knows of entries and not of tombstones, which are asked first.
    @inline(__always)
    func find(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber,
        hash: UInt64,
        _ loaded: LoadedParts?,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Void
    ) -> TableAnswer {
        let tombstone = covering(key, at: sequence)
        guard hasEntries else { return tombstone > 0 ? .said : .silent }
        let lookup = table._withUnsafeGuaranteedRef { $0.lookUp(key, at: sequence, hash: hash, loaded) }
        switch lookup {
        case .miss(let part): return .missing(part)
        case .absent: return tombstone > 0 ? .said : .silent
        case .entry(let trailer, let value):
            guard trailer.sequence >= tombstone else { return .said }
            switch trailer.kind {
            case .put: body(value, trailer.sequence)
            case .deletion: break
            case .rangeDeletion, nil: return .missing(.kind)
            }
            return .said
        }
    }
}
