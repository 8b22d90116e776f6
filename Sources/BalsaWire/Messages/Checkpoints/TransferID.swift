import BalsaPlatform

/// The name of one attempt to hand a checkpoint to a peer.
///
/// A name is never used again, not even by a sender that was started anew, so that a chunk or an answer that comes late is
/// never taken for one of the present attempt.
public struct TransferID: Hashable, Sendable {
    /// A random number of this life of the sender of the checkpoint.
    public var nonce: UInt64
    /// Counted by that sender.
    public var number: UInt64

    /// The name of a transfer.
    public init(nonce: UInt64, number: UInt64) {
        self.nonce = nonce
        self.number = number
    }
}

extension TransferID {
    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let nonce = try reader.uint64("transfer nonce")
        self.init(nonce: nonce, number: try reader.uint64("transfer number"))
    }

    func encode(into fields: inout FieldWriter) throws(DecodingError) {
        try fields.uint64(nonce, "transfer nonce")
        try fields.uint64(number, "transfer number")
    }
}
