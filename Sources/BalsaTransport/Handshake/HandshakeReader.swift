import BalsaPlatform

/// Gathers the bytes of one handshake, which may arrive one by one.
///
/// Takes exactly as many bytes as a handshake has, and refuses at the first byte that cannot belong to one: somebody who
/// speaks another protocol is told apart at once, and not at the deadline.
struct HandshakeReader {
    private var gathered: [UInt8] = []

    /// How many bytes are still to come.
    var wanted: Int { Handshake.encodedByteCount - gathered.count }

    /// Takes bytes that arrived, no more than are wanted.
    ///
    /// - Returns: the handshake, once it is complete.
    /// - Throws: ``DecodingError`` where it is none. The connection is of no use any more.
    mutating func receive(_ bytes: UnsafeRawBufferPointer) throws(DecodingError) -> Handshake? {
        precondition(bytes.count <= wanted, "bytes behind a handshake were given to its reader")
        gathered.append(contentsOf: bytes)
        let known = Bytes(gathered)
        if wanted == 0 { return try Handshake(decoding: known) }
        guard gathered.starts(with: Handshake.magicBytes.prefix(gathered.count)) else {
            throw DecodingError(.magic, "handshake magic", at: 0)
        }
        guard gathered.count >= Handshake.prefixByteCount else { return nil }
        try known.withReader { reader throws(DecodingError) in try Handshake.readPrefix(&reader) }
        return nil
    }
}
