import CBalsaPlatform

/// The CRC-32C checksum (Castagnoli polynomial, as in RFC 3720) that every format of the package uses.
///
/// Computed by the processor's instruction where there is one, else from tables; both give the same result.
public enum CRC32C {
    /// The checksum of `bytes`.
    @inlinable
    public static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        extend(0, with: bytes)
    }

    /// The checksum of `bytes`.
    public static func checksum(_ bytes: Bytes) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0) }
    }

    /// The checksum of what `checksum` covers followed by `bytes`.
    @inlinable
    public static func extend(_ checksum: UInt32, with bytes: UnsafeRawBufferPointer) -> UInt32 {
        balsa_crc32c(checksum, bytes.baseAddress, bytes.count)
    }

    /// As ``extend(_:with:)``, by tables, whatever the processor offers. The oracle of the tests.
    public static func extendByTable(_ checksum: UInt32, with bytes: UnsafeRawBufferPointer) -> UInt32 {
        balsa_crc32c_table(checksum, bytes.baseAddress, bytes.count)
    }

    /// Whether the processor has the instruction.
    public static var isHardwareAccelerated: Bool { balsa_crc32c_has_hardware() }
}
