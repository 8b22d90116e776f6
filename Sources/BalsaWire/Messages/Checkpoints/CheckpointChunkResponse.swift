import BalsaPlatform

/// What became of a part of a checkpoint, told to who sent it.
public struct CheckpointChunkResponse: Equatable, Sendable {
    /// The attempt that the chunk belonged to.
    public var transfer: TransferID
    /// How much of the stream the receiver has without a gap, in bytes: where the next chunk begins.
    public var receivedByteCount: UInt64
    /// How far the transfer is.
    public var status: Status

    /// How far a transfer is. The numbers are those of the encoding; 0 is none of them.
    public enum Status: UInt8, Equatable, Sendable {
        /// More is expected.
        case receiving = 1
        /// The receiver has the whole stream, and it is what the checksums say.
        case complete = 2
        /// The receiver has no use for this transfer: nothing more of it needs to come.
        case refused = 3
    }

    /// What became of a part of a checkpoint.
    ///
    /// - Parameters:
    ///   - transfer: the attempt that the chunk belonged to.
    ///   - receivedByteCount: how much of the stream the receiver has without a gap, in bytes.
    ///   - status: how far the transfer is.
    public init(transfer: TransferID, receivedByteCount: UInt64, status: Status) {
        self.transfer = transfer
        self.receivedByteCount = receivedByteCount
        self.status = status
    }
}

extension CheckpointChunkResponse {
    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let transfer = try TransferID(decoding: &reader)
        let receivedByteCount = try reader.boundedNumber("chunk received byte count")
        let start = reader.offset
        guard let status = Status(rawValue: try reader.uint8("chunk status")) else {
            throw DecodingError(.outOfBounds, "chunk status", at: start)
        }
        self.init(transfer: transfer, receivedByteCount: receivedByteCount, status: status)
    }

    func encode(into fields: inout FieldWriter) throws(DecodingError) {
        try transfer.encode(into: &fields)
        try fields.number(receivedByteCount, "chunk received byte count")
        try fields.uint8(status.rawValue, "chunk status")
    }
}
