import BalsaPlatform

/// Everything of a table but its blocks, read and verified.
struct TableSections {
    let index: TableIndex
    /// Nil where the table has no filter, or one of a kind that this release does not know: then every key may be there.
    let filter: TableFilter?
    let tombstones: TombstoneList
    let properties: TableProperties
    /// How much memory they take, in bytes; tombstones left out.
    let memoryBytes: Int

    /// Reads them from an open file and holds them against what the manifest says.
    ///
    /// No length is believed before the checksum over it is verified, and nothing larger than the file is allocated.
    ///
    /// - Parameter knowsTombstones: whether the range tombstones have been read and verified before. They are left out.
    init(reading file: any File, _ metadata: TableMetadata, knowsTombstones: Bool = false) throws(EngineError) {
        let path = file.path
        let footer = try TableSections.footer(of: file, metadata)
        let filter = try TableSections.section(file, footer.filter, "filter", metadata.id)
        let index = try TableSections.section(file, footer.index, "index", metadata.id)
        let tombstones =
            knowsTombstones
            ? nil : try TableSections.section(file, footer.tombstones, "range tombstones", metadata.id)
        let properties = try TableSections.section(file, footer.properties, "properties", metadata.id)
        do throws(DecodingError) {
            self.index = try TableIndex(
                decoding: index,
                byteCount: Int(footer.index.byteCount),
                blocksEnd: footer.filter.offset
            )
            let deletions = try tombstones.map { section throws(DecodingError) in
                try TombstoneSection.decode(TableSections.content(section))
            }
            self.tombstones = TombstoneList(deletions ?? [])
            self.properties = try TableProperties(decoding: TableSections.content(properties))
            let expected = self.properties.metadata(
                number: metadata.number,
                id: metadata.id,
                byteCount: footer.fileBytes
            )
            guard expected == metadata, self.properties.blockCount == UInt64(self.index.count),
                deletions == nil || self.properties.rangeDeletionCount == UInt64(deletions?.count ?? 0),
                (self.properties.entryCount == 0) == (self.index.count == 0)
            else { throw DecodingError(.inconsistent, "table properties", at: Int(footer.properties.offset)) }
            if footer.filterKind == TableFooter.FilterKind.blocked {
                let byteCount = Int(footer.filter.byteCount)
                guard byteCount % TableFilter.lineBytes == 0, byteCount / TableFilter.lineBytes <= TableFilter.maxLines
                else { throw DecodingError(.outOfBounds, "filter size", at: Int(footer.filter.offset)) }
                self.filter = TableFilter(filter, byteCount: byteCount)
            } else {
                self.filter = nil
            }
        } catch {
            throw EngineError(error, in: path)
        }
        memoryBytes = filter.memoryBytes + self.index.memoryBytes
    }

    /// Reads the range tombstones alone from an open file.
    static func tombstones(reading file: any File, _ metadata: TableMetadata) throws(EngineError) -> TombstoneList {
        let footer = try footer(of: file, metadata)
        let section = try section(file, footer.tombstones, "range tombstones", metadata.id)
        do throws(DecodingError) {
            let deletions = try TombstoneSection.decode(content(section))
            guard UInt64(deletions.count) == metadata.rangeDeletionCount else {
                throw DecodingError(.inconsistent, "range tombstones", at: Int(footer.tombstones.offset))
            }
            return TombstoneList(deletions)
        } catch {
            throw EngineError(error, in: file.path)
        }
    }

    /// Reads header and footer from an open file, and holds them against what the manifest says.
    private static func footer(of file: any File, _ metadata: TableMetadata) throws(EngineError) -> TableFooter {
        let path = file.path
        let size: UInt64
        do throws(FileError) { size = try file.size() } catch { throw EngineError(error) }
        guard size == metadata.byteCount, size <= UInt64(Int64.max) else {
            throw EngineError(.damaged, "\(path): has \(size) bytes and not \(metadata.byteCount)")
        }
        guard size >= UInt64(TableLayout.headerBytes + TableLayout.footerBytes) else {
            throw EngineError(.damaged, "\(path): is too short for a table")
        }
        let header = try read(file, 0, TableLayout.headerBytes)
        let footer = try read(file, size - UInt64(TableLayout.footerBytes), TableLayout.footerBytes)
        do throws(DecodingError) {
            try TableLayout.checkHeader(header.bytes, id: metadata.id)
            return try TableFooter(decoding: footer.bytes, id: metadata.id, fileBytes: size)
        } catch {
            throw EngineError(error, in: path)
        }
    }

    /// Whether a key with `hash` may be among the entries.
    func mayContain(_ hash: UInt64) -> Bool {
        guard let filter else { return true }
        return filter.mayContain(hash)
    }

    /// The bytes of a section without its checksum.
    private static func content(_ memory: RawMemory) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory.bytes[0..<memory.count - TableLayout.checksumBytes])
    }

    /// A section, followed by its checksum, which is right.
    private static func section(
        _ file: any File,
        _ place: TablePlace,
        _ name: String,
        _ id: UInt64
    ) throws(EngineError) -> RawMemory {
        let memory = try read(file, place.offset, Int(place.byteCount) + TableLayout.checksumBytes, alignment: 64)
        let stored = memory.bytes.loadUnaligned(fromByteOffset: Int(place.byteCount), as: UInt32.self)
        guard TableLayout.checksum(content(memory), id: id, offset: place.offset) == UInt32(littleEndian: stored) else {
            throw EngineError(.damaged, "\(file.path): the checksum of the \(name) at byte \(place.offset) is wrong")
        }
        return memory
    }

    private static func read(
        _ file: any File,
        _ offset: UInt64,
        _ count: Int,
        alignment: Int = 16
    ) throws(EngineError) -> RawMemory {
        let memory = RawMemory(count: count, alignment: alignment)
        let read: Int
        do throws(FileError) {
            read = try file.read(into: memory.mutableBytes, at: offset)
        } catch {
            throw EngineError(error)
        }
        guard read == count else {
            throw EngineError(.damaged, "\(file.path): ends at byte \(offset + UInt64(read)), within the table")
        }
        return memory
    }
}
