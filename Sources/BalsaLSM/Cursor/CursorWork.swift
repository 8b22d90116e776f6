/// What a cursor does besides passing entries, in units of the time in which it passes one.
///
/// A page over deleted keys is limited by the entries that it passes. An entry of a cached block costs a fraction of a
/// microsecond. A block that has to be read, an index, and a jump cost as much as tens to thousands of entries, so they
/// count as many. The figures are those of files in the page cache. A disk takes longer.
///
/// A cursor and the cursors of its sources share one. One thread at a time uses it.
final class CursorWork {
    /// How much there was.
    private(set) var units = 0
    /// How many blocks and bodies of tables were read.
    private(set) var reads = 0

    /// A system call, an allocation and the search in what was read, in units.
    static let unitsPerRead = 16
    /// How many bytes are read, verified and checked in the time of a unit.
    static let bytesPerUnit = 256
    /// A search in one source, in units.
    static let unitsPerSearch = 4

    /// Notes that a block or the body of a table was read.
    func noteRead(byteCount: Int) {
        reads += 1
        units += CursorWork.unitsPerRead + byteCount / CursorWork.bytesPerUnit
    }

    /// Notes that all sources were searched, in order to leave entries behind that are hidden.
    func noteJump(sources: Int) { units += CursorWork.unitsPerSearch * sources }
}
