import BalsaPlatform

/// The bytes of one write, in one piece or several.
enum WriteSource {
    case buffer(UnsafeRawBufferPointer)
    case pieces([Bytes])

    /// The number of bytes.
    var count: Int {
        switch self {
        case .buffer(let buffer): buffer.count
        case .pieces(let pieces): pieces.reduce(0) { $0 + $1.count }
        }
    }

    /// Calls `body` with the first `limit` bytes, piece by piece.
    func forEach(upTo limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        switch self {
        case .buffer(let buffer):
            body(UnsafeRawBufferPointer(rebasing: buffer.prefix(limit)))
        case .pieces(let pieces):
            var left = limit
            for piece in pieces where left > 0 {
                piece.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0.prefix(left))) }
                left -= min(left, piece.count)
            }
        }
    }
}
