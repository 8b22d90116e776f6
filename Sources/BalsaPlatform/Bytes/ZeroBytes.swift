extension UnsafeRawBufferPointer {
    /// Whether all bytes are 0; true for none. They are looked at eight at a time: formats reserve whole sectors.
    package var isZero: Bool {
        var bits: UInt64 = 0
        var offset = 0
        while offset + 8 <= count {
            bits |= loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        while offset < count {
            bits |= UInt64(self[offset])
            offset += 1
        }
        return bits == 0
    }
}
